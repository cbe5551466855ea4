//! Messages from the client: which there are, how long they may be, and views on the bodies that
//! the session must understand. Never what a message does to the session.

use super::frame::{FRAME_BYTES_MAX, Header, split_string, tag_name, write_frame, write_string};

pub const BIND: u8 = b'B';
pub const CLOSE: u8 = b'C';
pub const COPY_DATA: u8 = b'd';
pub const COPY_DONE: u8 = b'c';
pub const COPY_FAIL: u8 = b'f';
pub const DESCRIBE: u8 = b'D';
pub const EXECUTE: u8 = b'E';
pub const FLUSH: u8 = b'H';
pub const FUNCTION_CALL: u8 = b'F';
pub const PARSE: u8 = b'P';
/// Password, SASL and GSS answers share one type byte.
pub const PASSWORD: u8 = b'p';
pub const QUERY: u8 = b'Q';
pub const SYNC: u8 = b'S';
pub const TERMINATE: u8 = b'X';

/// How long a message may claim to be, by what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Any message before the server has let the client in, and answers to it afterwards.
    pub authentication_bytes_max: u32,
    /// Close, Describe, Execute and CopyFail, which carry names.
    pub names_bytes_max: u32,
    /// Query and Parse, which are held to be read.
    pub statement_bytes_max: u32,
    /// Bind, FunctionCall and CopyData, which stream through.
    pub values_bytes_max: u32,
}

impl MessageLimits {
    pub const DEFAULT: MessageLimits = MessageLimits {
        // PostgreSQL's own limit for one step of an authentication exchange.
        authentication_bytes_max: 65_535,
        // PostgreSQL's own limit for messages that carry names only.
        names_bytes_max: 10_000,
        // A statement must be held whole to be read; this is the memory one client can take.
        statement_bytes_max: 64 * 1024 * 1024,
        // PostgreSQL's own limit for a message; none of it is held.
        values_bytes_max: FRAME_BYTES_MAX,
    };
}

/// Both names of a Bind must end within this many bytes: twice what the server allows a message
/// that carries one.
pub const BIND_NAMES_BYTES_MAX: usize = 20_000;

/// What is wrong with the bytes that a client sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error(
        "unknown message type {}; expected one of B C D E F H P Q S X c d f p",
        tag_name(*.0)
    )]
    UnknownType(u8),
    #[error("message {} claims a length of {length}; expected {expected}", tag_name(*tag))]
    Length {
        tag: u8,
        length: u32,
        expected: String,
    },
    #[error(
        "message {} of {length} bytes is over the limit of {limit} bytes",
        tag_name(*tag)
    )]
    TooLong { tag: u8, length: u32, limit: u32 },
    #[error("malformed {message} message: {wrong}")]
    Malformed {
        message: &'static str,
        wrong: &'static str,
    },
}

/// Checks a header before anything of the body is awaited, so that a lie costs no memory.
///
/// `admitted`: the server has accepted who the client says it is.
pub fn check_header(
    header: Header,
    limits: &MessageLimits,
    admitted: bool,
) -> Result<(), MessageError> {
    let Header { tag, length } = header;
    let most = match tag {
        QUERY | PARSE => limits.statement_bytes_max,
        BIND | FUNCTION_CALL | COPY_DATA => limits.values_bytes_max,
        CLOSE | DESCRIBE | EXECUTE | COPY_FAIL => limits.names_bytes_max,
        PASSWORD => limits.authentication_bytes_max,
        SYNC | FLUSH | TERMINATE | COPY_DONE => 4,
        _ => return Err(MessageError::UnknownType(tag)),
    };
    let most = match admitted {
        true => most.min(FRAME_BYTES_MAX),
        false => most.min(limits.authentication_bytes_max),
    };
    if length < 4 {
        return Err(MessageError::Length {
            tag,
            length,
            expected: "at least 4".to_owned(),
        });
    }
    if length <= most {
        return Ok(());
    }
    if most == 4 {
        return Err(MessageError::Length {
            tag,
            length,
            expected: "4, for this message has no body".to_owned(),
        });
    }
    Err(MessageError::TooLong {
        tag,
        length,
        limit: most,
    })
}

fn malformed(message: &'static str, wrong: &'static str) -> MessageError {
    MessageError::Malformed { message, wrong }
}

/// The text of a Query.
pub fn query_text(body: &[u8]) -> Result<&[u8], MessageError> {
    match split_string(body) {
        Some((text, [])) => Ok(text),
        Some(_) => Err(malformed("Query", "bytes follow the text's NUL")),
        None => Err(malformed("Query", "the text has no NUL at its end")),
    }
}

/// `name`, text and declared parameter types of a Parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    pub name: &'a [u8],
    pub text: &'a [u8],
    /// The count and the oids, as they stood on the wire.
    pub types: &'a [u8],
}

impl<'a> Parse<'a> {
    pub fn read(body: &'a [u8]) -> Result<Parse<'a>, MessageError> {
        let (name, rest) =
            split_string(body).ok_or_else(|| malformed("Parse", "the name has no NUL"))?;
        let (text, types) =
            split_string(rest).ok_or_else(|| malformed("Parse", "the text has no NUL"))?;
        let (count, oids) = types
            .split_first_chunk::<2>()
            .ok_or_else(|| malformed("Parse", "the count of parameter types is missing"))?;
        let count = usize::from(u16::from_be_bytes(*count));
        if oids.len() != count * 4 {
            return Err(malformed(
                "Parse",
                "the parameter types do not fill the message",
            ));
        }
        Ok(Parse { name, text, types })
    }

    pub fn type_oids(&self) -> impl Iterator<Item = u32> + '_ {
        let oids = self.types.get(2..).unwrap_or_default();
        oids.chunks_exact(4)
            .map(|oid| u32::from_be_bytes([oid[0], oid[1], oid[2], oid[3]]))
    }
}

/// The two names at the head of a Bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindNames<'a> {
    pub portal: &'a [u8],
    pub statement: &'a [u8],
}

impl<'a> BindNames<'a> {
    pub fn read(body: &'a [u8]) -> Result<(BindNames<'a>, &'a [u8]), MessageError> {
        let (portal, rest) =
            split_string(body).ok_or_else(|| malformed("Bind", "the portal's name has no NUL"))?;
        let (statement, rest) = split_string(rest)
            .ok_or_else(|| malformed("Bind", "the statement's name has no NUL"))?;
        Ok((BindNames { portal, statement }, rest))
    }

    /// How many of these bytes the two names take; `None` while they are incomplete.
    #[must_use]
    pub fn extent(body: &[u8]) -> Option<usize> {
        let (_, rest) = BindNames::read(body).ok()?;
        Some(body.len() - rest.len())
    }
}

/// Formats and values of a Bind, from what follows its names. `None` when they are not complete:
/// the server will say so, and nothing here depends on them.
#[must_use]
pub fn bind_parameters(rest: &[u8]) -> Option<Vec<(i16, Option<Vec<u8>>)>> {
    let (formats, rest) = counted(rest)?;
    let (formats, rest) = rest.split_at_checked(formats * 2)?;
    let (count, mut rest) = counted(rest)?;
    let mut values = Vec::with_capacity(count.min(rest.len() / 4));
    for index in 0..count {
        // No format means text for all, one format holds for all.
        let at = if formats.len() == 2 { 0 } else { index * 2 };
        let format = match formats.get(at..at + 2) {
            Some(bytes) => i16::from_be_bytes([bytes[0], bytes[1]]),
            None => 0,
        };
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let (value, after) = match usize::try_from(length) {
            Ok(length) => {
                let (value, after) = after.split_at_checked(length)?;
                (Some(value.to_vec()), after)
            }
            Err(_) => (None, after),
        };
        values.push((format, value));
        rest = after;
    }
    Some(values)
}

fn counted(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_be_bytes(*count)), rest))
}

/// What a Describe or Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescribeTarget<'a> {
    Statement(&'a [u8]),
    Portal(&'a [u8]),
}

impl<'a> DescribeTarget<'a> {
    pub fn read(message: &'static str, body: &'a [u8]) -> Result<DescribeTarget<'a>, MessageError> {
        let (kind, rest) = body
            .split_first()
            .ok_or_else(|| malformed(message, "the body is empty"))?;
        let name = match split_string(rest) {
            Some((name, [])) => name,
            Some(_) => return Err(malformed(message, "bytes follow the name's NUL")),
            None => return Err(malformed(message, "the name has no NUL")),
        };
        match kind {
            b'S' => Ok(DescribeTarget::Statement(name)),
            b'P' => Ok(DescribeTarget::Portal(name)),
            _ => Err(malformed(
                message,
                "the kind is neither `S` (statement) nor `P` (portal)",
            )),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    pub portal: &'a [u8],
    pub rows_max: u32,
}

impl<'a> Execute<'a> {
    pub fn read(body: &'a [u8]) -> Result<Execute<'a>, MessageError> {
        let (portal, rest) = split_string(body)
            .ok_or_else(|| malformed("Execute", "the portal's name has no NUL"))?;
        let rows_max: [u8; 4] = rest
            .try_into()
            .map_err(|_| malformed("Execute", "the row limit is not four bytes"))?;
        Ok(Execute {
            portal,
            rows_max: u32::from_be_bytes(rows_max),
        })
    }
}

pub fn write_query(out: &mut Vec<u8>, text: &[u8]) {
    write_frame(out, QUERY, |body| write_string(body, text));
}

pub fn write_parse(out: &mut Vec<u8>, parse: Parse<'_>) {
    write_frame(out, PARSE, |body| {
        write_string(body, parse.name);
        write_string(body, parse.text);
        body.extend_from_slice(parse.types);
    });
}

pub fn write_close_statement(out: &mut Vec<u8>, name: &[u8]) {
    write_close(out, DescribeTarget::Statement(name));
}

/// What stands behind the header of a Parse.
#[must_use]
pub fn parse_body(parse: Parse<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(parse.name.len() + parse.text.len() + parse.types.len() + 2);
    write_string(&mut body, parse.name);
    write_string(&mut body, parse.text);
    body.extend_from_slice(parse.types);
    body
}

pub fn write_close(out: &mut Vec<u8>, target: DescribeTarget<'_>) {
    let (kind, name) = match target {
        DescribeTarget::Statement(name) => (b'S', name),
        DescribeTarget::Portal(name) => (b'P', name),
    };
    write_frame(out, CLOSE, |body| {
        body.push(kind);
        write_string(body, name);
    });
}

/// A Bind without parameters, results in text format.
pub fn write_bind(out: &mut Vec<u8>, names: BindNames<'_>) {
    write_frame(out, BIND, |body| {
        write_string(body, names.portal);
        write_string(body, names.statement);
        body.extend_from_slice(&[0; 6]);
    });
}

/// A Bind to the unnamed portal, values and results in text format.
pub fn write_bind_values<'v>(
    out: &mut Vec<u8>,
    statement: &[u8],
    values: impl ExactSizeIterator<Item = &'v [u8]>,
) {
    write_frame(out, BIND, |body| {
        write_string(body, b"");
        write_string(body, statement);
        body.extend_from_slice(&[0; 2]);
        // Whoever made the values has few of them, each a piece of a text whose length is limited.
        body.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            body.extend_from_slice(&(value.len() as u32).to_be_bytes());
            body.extend_from_slice(value);
        }
        body.extend_from_slice(&[0; 2]);
    });
}

pub fn write_describe_portal(out: &mut Vec<u8>, name: &[u8]) {
    write_frame(out, DESCRIBE, |body| {
        body.push(b'P');
        write_string(body, name);
    });
}

pub fn write_bare(out: &mut Vec<u8>, tag: u8) {
    write_frame(out, tag, |_| {});
}

pub fn write_describe_statement(out: &mut Vec<u8>, name: &[u8]) {
    write_frame(out, DESCRIBE, |body| {
        body.push(b'S');
        write_string(body, name);
    });
}

pub fn write_execute(out: &mut Vec<u8>, execute: Execute<'_>) {
    write_frame(out, EXECUTE, |body| {
        write_string(body, execute.portal);
        body.extend_from_slice(&execute.rows_max.to_be_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_body_is_an_error_at_every_length() {
        let mut parse = Vec::new();
        write_parse(
            &mut parse,
            Parse {
                name: b"s1",
                text: b"SELECT $1",
                types: &[0, 1, 0, 0, 0, 23],
            },
        );
        let body = &parse[5..];
        for end in 0..body.len() {
            assert!(Parse::read(&body[..end]).is_err(), "{end} bytes");
        }
        let whole = Parse::read(body).expect("whole");
        assert_eq!(whole.type_oids().collect::<Vec<_>>(), [23]);

        let mut execute = Vec::new();
        write_execute(
            &mut execute,
            Execute {
                portal: b"p",
                rows_max: 7,
            },
        );
        for end in 0..execute.len() - 5 {
            assert!(Execute::read(&execute[5..5 + end]).is_err());
        }
        for end in 0..3 {
            assert!(DescribeTarget::read("Close", &b"Sx\0"[..end]).is_err());
        }
    }

    #[test]
    fn a_header_that_lies_is_refused_before_its_body_comes() {
        let limits = MessageLimits {
            authentication_bytes_max: 40,
            names_bytes_max: 30,
            statement_bytes_max: 100,
            values_bytes_max: u32::MAX,
        };
        let check = |tag, length, admitted| {
            let header = Header { tag, length };
            check_header(header, &limits, admitted).is_ok()
        };
        for admitted in [false, true] {
            assert!(!check(b'Q', 3, admitted));
            assert!(!check(b'S', 5, admitted));
            assert!(!check(b'z', 4, admitted));
        }
        // Type, the most it may be before the client is let in, and after.
        for (tag, before, after) in [
            (b'Q', 40, 100),
            (b'P', 40, 100),
            (b'B', 40, FRAME_BYTES_MAX),
            (b'F', 40, FRAME_BYTES_MAX),
            (b'd', 40, FRAME_BYTES_MAX),
            (b'C', 30, 30),
            (b'D', 30, 30),
            (b'E', 30, 30),
            (b'f', 30, 30),
            (b'p', 40, 40),
            (b'S', 4, 4),
            (b'H', 4, 4),
            (b'X', 4, 4),
            (b'c', 4, 4),
        ] {
            for (most, admitted) in [(before, false), (after, true)] {
                assert!(check(tag, most, admitted), "{} {most}", tag_name(tag));
                assert!(!check(tag, most + 1, admitted), "{} {most}", tag_name(tag));
            }
        }
    }

    #[test]
    fn parameters_take_the_one_format_the_list_or_text() {
        // One format for two values, the second NULL.
        let one = [0, 1, 0, 1, 0, 2, 0, 0, 0, 1, b'x', 255, 255, 255, 255, 0, 0];
        assert_eq!(
            bind_parameters(&one),
            Some(vec![(1, Some(b"x".to_vec())), (1, None)])
        );
        let text = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(bind_parameters(&text), Some(vec![(0, Some(Vec::new()))]));
        for end in 0..one.len() - 2 {
            assert_eq!(bind_parameters(&one[..end]), None, "{end} bytes");
        }
    }
}
