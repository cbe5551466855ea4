//! The first packet of a connection, which has no type byte: a session's parameters, a wish for
//! encryption, or a cancel request.

use super::frame::split_string;

/// The length word and the code that follows it.
pub const PREFIX_BYTES: usize = 8;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
/// The whole packet by which a client asks for TLS: its length and the code.
pub const SSL_REQUEST_PACKET: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// What a TLS connection begins with; no length of a startup packet does.
pub const TLS_HANDSHAKE: u8 = 0x16;
const GSS_REQUEST: u32 = 80_877_104;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    #[error("invalid length of startup packet: {length}; expected 8 to {limit}")]
    Length { length: u32, limit: u32 },
    #[error("unsupported frontend protocol {major}.{minor}; expected 3.x")]
    Protocol { major: u16, minor: u16 },
    /// PostgreSQL's own words.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    #[error("encryption was asked for too often")]
    Negotiations,
    #[error("received unencrypted data after the request for TLS")]
    UnencryptedData,
}

impl StartupError {
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        match self {
            StartupError::Length { .. }
            | StartupError::Layout
            | StartupError::Negotiations
            | StartupError::UnencryptedData => "08P01",
            StartupError::Protocol { .. } => "0A000",
        }
    }

    /// Whether the client is told. Of what is no startup packet at all PostgreSQL speaks in its log only:
    /// whoever sent it would not understand an answer, or waits for none (a client that ends before it
    /// has begun sends Terminate as its first bytes).
    #[must_use]
    pub fn is_told(&self) -> bool {
        match self {
            StartupError::Length { .. } => false,
            StartupError::Layout
            | StartupError::Negotiations
            | StartupError::UnencryptedData
            | StartupError::Protocol { .. } => true,
        }
    }
}

/// How long the whole packet is, from its first four bytes.
pub fn packet_bytes(length: [u8; 4], limit: u32) -> Result<usize, StartupError> {
    let length = u32::from_be_bytes(length);
    if (PREFIX_BYTES as u32..=limit).contains(&length) {
        Ok(length as usize)
    } else {
        Err(StartupError::Length { length, limit })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup<'a> {
    Ssl,
    Gss,
    Cancel,
    Session(Parameters<'a>),
}

/// What the session's own parameters mean to the proxy; the packet itself is relayed as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a> {
    pub user: &'a [u8],
    pub database: &'a [u8],
    pub application_name: &'a [u8],
    /// A parameter or `options` sets `search_path`: unqualified names could mean any table.
    pub sets_search_path: bool,
}

impl<'a> Parameters<'a> {
    /// The database that the session is for: as the server takes it, the user's name where none is said.
    #[must_use]
    pub fn database(&self) -> &'a [u8] {
        if self.database.is_empty() {
            self.user
        } else {
            self.database
        }
    }
}

impl<'a> Startup<'a> {
    /// Reads a whole packet, its length word included.
    pub fn read(packet: &'a [u8]) -> Result<Startup<'a>, StartupError> {
        let Some((code, body)) = packet.get(4..).and_then(|b| b.split_first_chunk::<4>()) else {
            return Err(StartupError::Layout);
        };
        match u32::from_be_bytes(*code) {
            SSL_REQUEST => Ok(Startup::Ssl),
            GSS_REQUEST => Ok(Startup::Gss),
            CANCEL_REQUEST => Ok(Startup::Cancel),
            version if version >> 16 == 3 => Ok(Startup::Session(parameters(body)?)),
            version => Err(StartupError::Protocol {
                major: (version >> 16) as u16,
                minor: version as u16,
            }),
        }
    }
}

fn parameters(mut rest: &[u8]) -> Result<Parameters<'_>, StartupError> {
    let mut parameters = Parameters::default();
    loop {
        let (name, after) = split_string(rest).ok_or(StartupError::Layout)?;
        if name.is_empty() {
            return Ok(parameters);
        }
        let (value, after) = split_string(after).ok_or(StartupError::Layout)?;
        rest = after;
        match name {
            b"user" => parameters.user = value,
            b"database" => parameters.database = value,
            b"application_name" => parameters.application_name = value,
            b"options" => parameters.sets_search_path |= options_set_search_path(value),
            other => parameters.sets_search_path |= other.eq_ignore_ascii_case(b"search_path"),
        }
    }
}

/// `-c search_path=…` and `--search-path=…` alike; a backslash only quotes what follows it.
/// Anything that spells the name counts: the cost of a false alarm is a refusal, not a mistake.
fn options_set_search_path(options: &[u8]) -> bool {
    let plain: Vec<u8> = options
        .iter()
        .filter(|byte| **byte != b'\\')
        .map(|byte| match byte {
            b'-' => b'_',
            other => other.to_ascii_lowercase(),
        })
        .collect();
    plain.windows(11).any(|window| window == b"search_path")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let mut packet = (8 + body.len() as u32).to_be_bytes().to_vec();
        packet.extend_from_slice(&code.to_be_bytes());
        packet.extend_from_slice(body);
        packet
    }

    fn sets_search_path(body: &[u8]) -> bool {
        match Startup::read(&packet(196_608, body)) {
            Ok(Startup::Session(parameters)) => parameters.sets_search_path,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_way_to_set_search_path_at_startup_is_seen() {
        assert!(sets_search_path(b"user\0a\0search_path\0x\0\0"));
        assert!(sets_search_path(b"user\0a\0Search_Path\0x\0\0"));
        assert!(sets_search_path(b"options\0-c search_path=x\0\0"));
        assert!(sets_search_path(b"options\0--Search-Path=x\0\0"));
        assert!(sets_search_path(b"options\0-csearch\\_path=x\0\0"));
        assert!(!sets_search_path(b"user\0search_path\0\0"));
        assert!(!sets_search_path(b"options\0-c work_mem=4MB\0\0"));
    }

    #[test]
    fn a_packet_cut_anywhere_is_an_error_and_no_panic() {
        let whole = packet(196_608, b"user\0a\0database\0b\0\0");
        assert!(Startup::read(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(Startup::read(&whole[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn a_browser_is_told_that_its_length_is_wrong() {
        assert_eq!(
            packet_bytes(*b"GET ", 10_000),
            Err(StartupError::Length {
                length: 0x4745_5420,
                limit: 10_000
            })
        );
        assert!(packet_bytes([0, 0, 0, 7], 10_000).is_err());
        assert_eq!(packet_bytes([0, 0, 0, 8], 10_000), Ok(8));
    }

    #[test]
    fn protocol_two_is_refused_by_name() {
        let error = Startup::read(&packet(2 << 16, b"")).expect_err("protocol 2");
        assert_eq!(error.sqlstate(), "0A000");
    }
}
