//! The connection to one user of the console: messages in, of a bounded length and in a bounded time, and messages out.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::relay;
use crate::stream::Stream;
use crate::wire::frame::Header;
use crate::wire::frontend::{self, MessageError, MessageLimits};

/// Commands are a line long; nothing here needs more.
const LIMITS: MessageLimits = MessageLimits {
    authentication_bytes_max: 8 * 1024,
    names_bytes_max: 8 * 1024,
    statement_bytes_max: 64 * 1024,
    values_bytes_max: 64 * 1024,
};

/// From a message's first byte to its last, and for its answer to be taken: a network's worst, and no more.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A client that does not take its last words within this does without them.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// What is written at once.
const OUT_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error(transparent)]
    Gone(#[from] io::Error),
    #[error("it did not go on with a message, or did not take an answer, in time")]
    Slow,
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("an answer could not be written: {0}")]
    Encode(#[from] pgwire::error::PgWireError),
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Fatal,
}

/// What is told to a user who is refused something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub sqlstate: &'static str,
    pub message: String,
    pub hint: String,
    /// Where in the text, counted in characters from 1.
    pub position: Option<usize>,
}

impl Refusal {
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            sqlstate,
            message: message.into(),
            hint: String::new(),
            position: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = hint.into();
        self
    }

    pub fn told(&self, severity: Severity) -> Message {
        let severity = match severity {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        let mut info = info(severity, self.sqlstate, &self.message);
        info.hint = Some(self.hint.clone()).filter(|hint| !hint.is_empty());
        info.position = self.position.map(|position| position.to_string());
        Message::ErrorResponse(ErrorResponse::from(info))
    }
}

fn info(severity: &str, sqlstate: &str, message: &str) -> ErrorInfo {
    let mut info = ErrorInfo::new(
        severity.to_owned(),
        sqlstate.to_owned(),
        message.replace('\0', " "),
    );
    info.severity_nonlocalized = Some(severity.to_owned());
    info
}

/// Something to be read beside an answer.
pub(super) fn notice(message: &str) -> Message {
    Message::NoticeResponse(NoticeResponse::from(info("NOTICE", "00000", message)))
}

#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    out: BytesMut,
}

impl Line {
    pub fn new(stream: Stream) -> Line {
        Line {
            stream,
            out: BytesMut::new(),
        }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The next message's type and body. Whoever is in no message may stay silent for as long as he likes; the caller
    /// bounds it where he must not. Given up half-way, the line can only be closed.
    pub async fn read(&mut self, admitted: bool) -> Result<(u8, Vec<u8>), LineError> {
        let tag = self.stream.read_u8().await?;
        let rest = async {
            let length = self.stream.read_u32().await?;
            frontend::check_header(Header { tag, length }, &LIMITS, admitted)?;
            let mut body = vec![0; length as usize - 4];
            self.stream.read_exact(&mut body).await?;
            Ok((tag, body))
        };
        let read = tokio::time::timeout(TIMEOUT, rest).await;
        read.unwrap_or(Err(LineError::Slow))
    }

    /// Puts a message behind those that are to be written; many at once are written in between.
    pub async fn put(&mut self, message: Message) -> Result<(), LineError> {
        message.encode(&mut self.out)?;
        match self.out.len() >= OUT_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    pub async fn flush(&mut self) -> Result<(), LineError> {
        let writing = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let written = tokio::time::timeout(TIMEOUT, writing).await;
        self.out.clear();
        Ok(written.map_err(|_| LineError::Slow)??)
    }

    /// Says why, and closes.
    pub async fn farewell(mut self, refusal: &Refusal) {
        let saying = async {
            self.put(refusal.told(Severity::Fatal)).await?;
            self.flush().await?;
            Ok::<_, LineError>(relay::linger(self.stream).await?)
        };
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, saying).await;
    }
}
