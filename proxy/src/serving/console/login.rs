//! A user of the console proves who he is: SCRAM-SHA-256, bound to the TLS connection where there is one.
//!
//! Whether a name is there, a password is wrong or a proof is broken, he is told the same, after the same exchange.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};

use super::line::{Line, LineError, Refusal};
use crate::serving::operators::{Role, Users};
use crate::stream::Stream;
use crate::wire::frame::split_string;
use crate::wire::frontend::PASSWORD;

const PLAIN: &str = "SCRAM-SHA-256";
const BOUND: &str = "SCRAM-SHA-256-PLUS";

/// Who guesses waits for each guess, in his place among those who have not proved who they are, of which an address has
/// only so many.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The newest version that is spoken here.
const PROTOCOL: i32 = 3 << 16;

#[derive(Debug)]
pub(super) enum LoginError {
    Line(LineError),
    Refused(Refusal),
}

impl From<LineError> for LoginError {
    fn from(error: LineError) -> LoginError {
        LoginError::Line(error)
    }
}

fn broken(wrong: &str) -> LoginError {
    LoginError::Refused(Refusal::new(
        "08P01",
        format!("malformed SASL message: {wrong}"),
    ))
}

/// Takes the user in, or not. The caller bounds the time.
pub(super) async fn login(
    line: &mut Line,
    users: &Path,
    name: &str,
    startup: &[u8],
) -> Result<Role, LoginError> {
    negotiate(line, startup).await?;
    let users = Users::read(users).map_err(|error| {
        tracing::error!("nobody can enter the console: {error}");
        LoginError::Refused(Refusal::new(
            "57P03",
            "the console's users cannot be read; the proxy's log says why",
        ))
    })?;
    let mut server = ScramServerAuth::new();
    let mut mechanisms = vec![PLAIN.to_owned()];
    // A certificate whose signature says no hash cannot be bound to.
    if bind(&mut server, line.stream()) {
        mechanisms.insert(0, BOUND.to_owned());
    }
    say(line, Authentication::SASL(mechanisms.clone())).await?;

    let message = answer(line).await?;
    let (mechanism, rest) = split_string(&message).ok_or_else(|| broken("no mechanism"))?;
    if !mechanisms
        .iter()
        .any(|offered| offered.as_bytes() == mechanism)
    {
        return Err(broken("a mechanism that was not offered"));
    }
    let (length, first) = rest
        .split_first_chunk::<4>()
        .ok_or_else(|| broken("no length"))?;
    if usize::try_from(i32::from_be_bytes(*length)) != Ok(first.len()) {
        return Err(broken("the length is not that of the rest"));
    }
    // A mechanism that is not bound must not be sent with a binding, nor the other way round.
    if first.starts_with(b"p=") != (mechanism == BOUND.as_bytes()) {
        return Err(broken("the binding is not the mechanism's"));
    }
    let (secret, role) = users.secret(name);
    let (challenge, waiting) = server
        .on_client_first_message_with_secret(first, secret)
        .map_err(|_| broken("no first message of SCRAM"))?;
    say(line, Authentication::SASLContinue(challenge.into())).await?;
    let proof = answer(line).await?;
    // Looked at whoever it is, for whom it takes as long.
    let checked = waiting.on_client_final_message(&proof).ok();
    let (Some(signature), Some(role)) = (checked, role) else {
        tokio::time::sleep(FAILURE_PAUSE).await;
        return Err(LoginError::Refused(Refusal::new(
            "28P01",
            format!("password authentication failed for user \"{name}\""),
        )));
    };
    line.put(Message::Authentication(Authentication::SASLFinal(
        signature.into(),
    )))
    .await?;
    line.put(Message::Authentication(Authentication::Ok))
        .await?;
    Ok(role)
}

async fn say(line: &mut Line, what: Authentication) -> Result<(), LoginError> {
    line.put(Message::Authentication(what)).await?;
    Ok(line.flush().await?)
}

async fn answer(line: &mut Line) -> Result<Vec<u8>, LoginError> {
    let (tag, body) = line.read(false).await?;
    match tag {
        PASSWORD => Ok(body),
        _ => Err(LoginError::Refused(Refusal::new(
            "08P01",
            "expected an answer to the authentication request",
        ))),
    }
}

/// Whether the login can be bound to this connection.
fn bind(server: &mut ScramServerAuth, stream: &Stream) -> bool {
    let Some(certificate) = stream.certificate() else {
        return false;
    };
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(certificate)
    );
    server.configure_certificate(pem.as_bytes()).is_ok()
}

/// A client of a newer protocol is told which is spoken here, and which of its options are not known.
async fn negotiate(line: &mut Line, startup: &[u8]) -> Result<(), LoginError> {
    let version = startup.get(4..8).and_then(|v| <[u8; 4]>::try_from(v).ok());
    let asked = version.map_or(PROTOCOL, i32::from_be_bytes);
    let mut unknown = Vec::new();
    let mut rest = startup.get(8..).unwrap_or_default();
    while let Some((name, after)) = split_string(rest) {
        let Some((_, after)) = split_string(after) else {
            break;
        };
        if name.starts_with(b"_pq_.") {
            unknown.push(String::from_utf8_lossy(name).into_owned());
        }
        rest = after;
    }
    if asked > PROTOCOL || !unknown.is_empty() {
        line.put(Message::NegotiateProtocolVersion(
            NegotiateProtocolVersion::new(PROTOCOL, unknown),
        ))
        .await?;
    }
    Ok(())
}
