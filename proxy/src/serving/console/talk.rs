//! The conversation with one user of the console: the simple protocol, and as much of the extended one as drivers speak who
//! know no other. No statement has parameters, and none is inside a transaction, though one may be begun.

mod deeds;

use std::collections::HashMap;
use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus,
};
use pgwire::messages::startup::{BackendKeyData, ParameterStatus, SecretKey};

use super::command::{self, Command, SETTINGS};
use super::line::{Line, LineError, Refusal, Severity};
use super::table::{Formats, Table, fields};
use crate::cancel::OwnKey;
use crate::control::events::Actor;
use crate::serving::operate::Operator;
use crate::serving::operators::Role;
use crate::shared::Shared;
use crate::wire::frontend::{self, BindNames, DescribeTarget, Execute, MessageError, Parse};

/// Drivers keep a handful.
const PREPARED_MAX: usize = 100;

/// Why a conversation goes no further.
#[derive(Debug)]
pub(super) enum TalkEnd {
    /// The user has said so.
    Terminated,
    /// The proxy stops.
    Stopped,
    Broken(LineError),
}

impl From<LineError> for TalkEnd {
    fn from(error: LineError) -> TalkEnd {
        TalkEnd::Broken(error)
    }
}

impl From<MessageError> for TalkEnd {
    fn from(error: MessageError) -> TalkEnd {
        TalkEnd::Broken(error.into())
    }
}

/// A statement or a portal; `None`: an empty text.
#[derive(Clone, Debug)]
struct Prepared(Option<Command>);

#[derive(Clone, Debug)]
struct Portal {
    command: Option<Command>,
    formats: Formats,
}

/// What a command answers.
enum Answer {
    Rows(Table, String),
    Word(String),
}

/// Why one does not.
enum Failed {
    Refused(Refusal),
    End(TalkEnd),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refused(refusal)
    }
}

impl From<LineError> for Failed {
    fn from(error: LineError) -> Failed {
        Failed::End(error.into())
    }
}

impl From<MessageError> for Failed {
    fn from(error: MessageError) -> Failed {
        Failed::End(error.into())
    }
}

pub(super) struct Talk<'a> {
    shared: &'a Arc<Shared>,
    pub line: Line,
    user: &'a str,
    role: Role,
    operator: Operator,
    key: OwnKey<'a>,
    statements: HashMap<Vec<u8>, Prepared>,
    portals: HashMap<Vec<u8>, Portal>,
    status: TransactionStatus,
    /// An error of the extended protocol: nothing counts until the next Sync.
    skips: bool,
}

impl<'a> Talk<'a> {
    pub fn new(
        shared: &'a Arc<Shared>,
        line: Line,
        (user, role): (&'a str, Role),
        peer: &str,
        key: OwnKey<'a>,
    ) -> Talk<'a> {
        let actor = Actor {
            user: format!("{user} (console)"),
            from: peer.to_owned(),
        };
        Talk {
            shared,
            line,
            user,
            role,
            operator: Operator::new(shared, actor),
            key,
            statements: HashMap::new(),
            portals: HashMap::new(),
            status: TransactionStatus::Idle,
            skips: false,
        }
    }

    /// Until one of the two has enough.
    pub async fn run(&mut self) -> TalkEnd {
        match self.talk().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn talk(&mut self) -> Result<TalkEnd, TalkEnd> {
        self.greet().await?;
        loop {
            self.line.flush().await?;
            // Given up, the line is only closed.
            let (tag, body) = tokio::select! {
                read = self.line.read(true) => read?,
                () = self.shared.stop.idle_end() => return Ok(TalkEnd::Stopped),
            };
            match tag {
                frontend::TERMINATE => return Ok(TalkEnd::Terminated),
                frontend::SYNC => {
                    self.skips = false;
                    self.portals.clear();
                    self.ready().await?;
                }
                // Nothing that is behind an error is looked at, and nothing copied here.
                _ if self.skips => {}
                frontend::FLUSH
                | frontend::COPY_DATA
                | frontend::COPY_DONE
                | frontend::COPY_FAIL => {}
                frontend::QUERY => self.query(frontend::query_text(&body)?).await?,
                _ => match self.extended(tag, &body).await {
                    Ok(()) => {}
                    Err(Failed::Refused(refusal)) => {
                        self.skips = true;
                        self.refuse(&refusal).await?;
                    }
                    Err(Failed::End(end)) => return Err(end),
                },
            }
        }
    }

    /// What a server says of itself to whoever has got in.
    async fn greet(&mut self) -> Result<(), TalkEnd> {
        let own = [
            ("session_authorization", self.user),
            ("application_name", ""),
        ];
        let settings = SETTINGS.iter().map(|setting| (setting.name, setting.value));
        for (name, value) in settings.chain(own) {
            let status = ParameterStatus::new(name.to_owned(), value.to_owned());
            self.line.put(Message::ParameterStatus(status)).await?;
        }
        let (process, secret) = self.key.told();
        let key = BackendKeyData::new(process, SecretKey::I32(secret));
        self.line.put(Message::BackendKeyData(key)).await?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), TalkEnd> {
        let ready = ReadyForQuery::new(self.status);
        Ok(self.line.put(Message::ReadyForQuery(ready)).await?)
    }

    async fn refuse(&mut self, refusal: &Refusal) -> Result<(), TalkEnd> {
        self.status = self.status.to_error_state();
        let told = refusal.told(Severity::Error);
        Ok(self.line.put(told).await?)
    }

    async fn query(&mut self, text: &[u8]) -> Result<(), TalkEnd> {
        match self.simple(text).await {
            Ok(()) => {}
            Err(Failed::Refused(refusal)) => self.refuse(&refusal).await?,
            Err(Failed::End(end)) => return Err(end),
        }
        self.ready().await
    }

    async fn simple(&mut self, text: &[u8]) -> Result<(), Failed> {
        let commands = command::commands(utf8(text)?)?;
        if commands.is_empty() {
            let empty = Message::EmptyQueryResponse(EmptyQueryResponse::new());
            return Ok(self.line.put(empty).await?);
        }
        for command in commands {
            let formats = Formats::default();
            self.answer(&command, &formats, true).await?;
        }
        Ok(())
    }

    async fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), Failed> {
        match tag {
            frontend::PARSE => self.parse(Parse::read(body)?).await,
            frontend::BIND => self.bind(body).await,
            frontend::DESCRIBE => self.describe(DescribeTarget::read("Describe", body)?).await,
            frontend::EXECUTE => self.execute(Execute::read(body)?).await,
            frontend::CLOSE => {
                match DescribeTarget::read("Close", body)? {
                    DescribeTarget::Statement(name) => drop(self.statements.remove(name)),
                    DescribeTarget::Portal(name) => drop(self.portals.remove(name)),
                }
                let closed = Message::CloseComplete(CloseComplete::new());
                Ok(self.line.put(closed).await?)
            }
            unknown => Err(Refusal::new(
                "0A000",
                format!(
                    "the console does not speak message {:?}",
                    char::from(unknown)
                ),
            )
            .into()),
        }
    }

    async fn parse(&mut self, parse: Parse<'_>) -> Result<(), Failed> {
        let mut commands = command::commands(utf8(parse.text)?)?;
        if commands.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Refusal::new("42601", message).into());
        }
        let is_named = !parse.name.is_empty();
        if is_named && self.statements.contains_key(parse.name) {
            let name = String::from_utf8_lossy(parse.name);
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Refusal::new("42P05", message).into());
        }
        has_room(&self.statements)?;
        let prepared = Prepared(commands.pop());
        self.statements.insert(parse.name.to_vec(), prepared);
        let parsed = Message::ParseComplete(ParseComplete::new());
        Ok(self.line.put(parsed).await?)
    }

    async fn bind(&mut self, body: &[u8]) -> Result<(), Failed> {
        let (names, rest) = BindNames::read(body)?;
        let formats = result_formats(rest)?;
        let command = self.statement(names.statement)?.0.clone();
        has_room(&self.portals)?;
        let portal = Portal { command, formats };
        self.portals.insert(names.portal.to_vec(), portal);
        let bound = Message::BindComplete(BindComplete::new());
        Ok(self.line.put(bound).await?)
    }

    fn statement(&self, name: &[u8]) -> Result<&Prepared, Refusal> {
        self.statements.get(name).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Refusal::new(
                "26000",
                format!("prepared statement \"{name}\" does not exist"),
            )
        })
    }

    fn portal(&self, name: &[u8]) -> Result<&Portal, Refusal> {
        self.portals.get(name).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Refusal::new("34000", format!("portal \"{name}\" does not exist"))
        })
    }

    async fn describe(&mut self, target: DescribeTarget<'_>) -> Result<(), Failed> {
        let (command, formats) = match target {
            DescribeTarget::Statement(name) => {
                let command = self.statement(name)?.0.clone();
                let parameters = ParameterDescription::new(Vec::new());
                self.line
                    .put(Message::ParameterDescription(parameters))
                    .await?;
                (command, Formats::default())
            }
            DescribeTarget::Portal(name) => {
                let portal = self.portal(name)?;
                (portal.command.clone(), portal.formats.clone())
            }
        };
        let columns = command.as_ref().and_then(Command::columns);
        let described = match columns {
            Some(columns) => {
                let fields = fields(columns, &formats);
                Message::RowDescription(RowDescription::new(
                    fields.iter().map(Into::into).collect(),
                ))
            }
            None => Message::NoData(NoData::new()),
        };
        Ok(self.line.put(described).await?)
    }

    /// A limit of rows is not kept: there are never many.
    async fn execute(&mut self, execute: Execute<'_>) -> Result<(), Failed> {
        let portal = self.portal(execute.portal)?.clone();
        let Some(command) = portal.command else {
            let empty = Message::EmptyQueryResponse(EmptyQueryResponse::new());
            return Ok(self.line.put(empty).await?);
        };
        self.answer(&command, &portal.formats, false).await
    }

    /// Does what is asked, and says what came of it.
    async fn answer(
        &mut self,
        command: &Command,
        formats: &Formats,
        described: bool,
    ) -> Result<(), Failed> {
        let (rows, word) = match self.act(command).await? {
            Answer::Rows(table, word) => (Some(table), word),
            Answer::Word(word) => (None, word),
        };
        if let Some(table) = rows {
            if described {
                let fields = fields(table.columns, formats);
                let fields = fields.iter().map(Into::into).collect();
                let description = Message::RowDescription(RowDescription::new(fields));
                self.line.put(description).await?;
            }
            for row in table.encode(formats).map_err(LineError::from)? {
                self.line.put(Message::DataRow(row)).await?;
            }
        }
        let complete = Message::CommandComplete(CommandComplete::new(word));
        Ok(self.line.put(complete).await?)
    }
}

fn utf8(text: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(text)
        .map_err(|_| Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""))
}

fn has_room<T>(kept: &HashMap<Vec<u8>, T>) -> Result<(), Refusal> {
    match kept.len() < PREPARED_MAX {
        true => Ok(()),
        false => Err(Refusal::new(
            "54000",
            format!(
                "the console keeps {PREPARED_MAX} prepared statements and portals of a session"
            ),
        )),
    }
}

/// The formats of the results, of what stands behind a Bind's names.
fn result_formats(rest: &[u8]) -> Result<Formats, Failed> {
    let malformed = || MessageError::Malformed {
        message: "Bind",
        wrong: "its formats and values do not fill the message",
    };
    let count = |rest: &mut &[u8]| {
        let (count, after) = rest.split_first_chunk::<2>()?;
        *rest = after;
        Some(usize::from(u16::from_be_bytes(*count)))
    };
    let mut rest = rest;
    let formats = count(&mut rest).ok_or_else(malformed)?;
    rest = rest.get(formats * 2..).ok_or_else(malformed)?;
    if count(&mut rest).ok_or_else(malformed)? > 0 {
        let message = "no statement of the console has parameters";
        return Err(Refusal::new("08P01", message).into());
    }
    let results = count(&mut rest).ok_or_else(malformed)?;
    if rest.len() != results * 2 {
        return Err(malformed().into());
    }
    let codes = rest.chunks_exact(2);
    let codes: Vec<i16> = codes.map(|c| i16::from_be_bytes([c[0], c[1]])).collect();
    match codes.iter().all(|code| matches!(code, 0 | 1)) {
        true => Ok(Formats(codes)),
        false => Err(Refusal::new("22023", "expected a format of 0 or 1 for each column").into()),
    }
}
