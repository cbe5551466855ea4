//! The client's messages, written down.

use crossfade::wire::frame::write_frame;

#[must_use]
pub fn frame(tag: char, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, tag as u8, |out| out.extend_from_slice(body));
    out
}

/// Startup as the throwaway server's superuser, with more parameters after.
#[must_use]
pub fn startup_with(version: u32, user: &str, database: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    let own = [("user", user.as_bytes()), ("database", database.as_bytes())];
    for (name, value) in own.iter().chain(more) {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value);
        body.push(0);
    }
    body.push(0);
    let mut packet = (4 + body.len() as u32).to_be_bytes().to_vec();
    packet.extend_from_slice(&body);
    packet
}

#[must_use]
pub fn query(text: &str) -> Vec<u8> {
    query_bytes(text.as_bytes())
}

#[must_use]
pub fn query_bytes(text: &[u8]) -> Vec<u8> {
    frame('Q', &[text, b"\0"].concat())
}

#[must_use]
pub fn parse(name: &str, text: &str) -> Vec<u8> {
    parse_typed(name, text.as_bytes(), &[])
}

#[must_use]
pub fn parse_typed(name: &str, text: &[u8], types: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", text, b"\0"].concat();
    body.extend_from_slice(&(types.len() as u16).to_be_bytes());
    for oid in types {
        body.extend_from_slice(&oid.to_be_bytes());
    }
    frame('P', &body)
}

/// Values in text format, results in the given format.
#[must_use]
pub fn bind(portal: &str, statement: &str, values: &[Option<&[u8]>], results: u16) -> Vec<u8> {
    bind_formats(portal, statement, &[], values, &[results])
}

#[must_use]
pub fn bind_formats(
    portal: &str,
    statement: &str,
    formats: &[u16],
    values: &[Option<&[u8]>],
    results: &[u16],
) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    let counted = |body: &mut Vec<u8>, codes: &[u16]| {
        body.extend_from_slice(&(codes.len() as u16).to_be_bytes());
        for code in codes {
            body.extend_from_slice(&code.to_be_bytes());
        }
    };
    counted(&mut body, formats);
    body.extend_from_slice(&(values.len() as u16).to_be_bytes());
    for value in values {
        match value {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend_from_slice(&(value.len() as u32).to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    counted(&mut body, results);
    frame('B', &body)
}

#[must_use]
pub fn describe(kind: char, name: &str) -> Vec<u8> {
    frame('D', &[&[kind as u8], name.as_bytes(), b"\0"].concat())
}

#[must_use]
pub fn close(kind: char, name: &str) -> Vec<u8> {
    frame('C', &[&[kind as u8], name.as_bytes(), b"\0"].concat())
}

#[must_use]
pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    let rows_max = rows_max.to_be_bytes();
    frame('E', &[portal.as_bytes(), b"\0", &rows_max].concat())
}

#[must_use]
pub fn sync() -> Vec<u8> {
    frame('S', b"")
}

#[must_use]
pub fn flush() -> Vec<u8> {
    frame('H', b"")
}

/// Parse, Describe, Bind, Describe and Execute of the unnamed statement, without Sync.
#[must_use]
pub fn extended(text: &[u8]) -> Vec<u8> {
    [
        parse_typed("", text, &[]),
        describe('S', ""),
        bind("", "", &[], 0),
        describe('P', ""),
        execute("", 0),
    ]
    .concat()
}

#[must_use]
pub fn copy_data(bytes: &[u8]) -> Vec<u8> {
    frame('d', bytes)
}

#[must_use]
pub fn copy_done() -> Vec<u8> {
    frame('c', b"")
}

#[must_use]
pub fn copy_fail(why: &str) -> Vec<u8> {
    frame('f', &[why.as_bytes(), b"\0"].concat())
}

/// FunctionCall with binary arguments and a binary result.
#[must_use]
pub fn call(function: u32, arguments: &[&[u8]]) -> Vec<u8> {
    let mut body = function.to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 0, 1]);
    body.extend_from_slice(&(arguments.len() as u16).to_be_bytes());
    for argument in arguments {
        body.extend_from_slice(&(argument.len() as u32).to_be_bytes());
        body.extend_from_slice(argument);
    }
    body.extend_from_slice(&[0, 1]);
    frame('F', &body)
}

#[must_use]
pub fn terminate() -> Vec<u8> {
    frame('X', b"")
}
