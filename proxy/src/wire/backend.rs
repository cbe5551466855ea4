//! Messages from the server: their types, and views and writers for the few that must be
//! understood. DataRow and CopyData are known by their type byte only.

use super::frame::{split_string, write_frame, write_string};

pub const AUTHENTICATION: u8 = b'R';
pub const BACKEND_KEY_DATA: u8 = b'K';
pub const BIND_COMPLETE: u8 = b'2';
pub const CLOSE_COMPLETE: u8 = b'3';
pub const COMMAND_COMPLETE: u8 = b'C';
pub const COPY_BOTH_RESPONSE: u8 = b'W';
pub const COPY_DATA: u8 = b'd';
pub const COPY_DONE: u8 = b'c';
pub const COPY_IN_RESPONSE: u8 = b'G';
pub const COPY_OUT_RESPONSE: u8 = b'H';
pub const DATA_ROW: u8 = b'D';
pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
pub const ERROR_RESPONSE: u8 = b'E';
pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
pub const NO_DATA: u8 = b'n';
pub const NOTICE_RESPONSE: u8 = b'N';
pub const NOTIFICATION_RESPONSE: u8 = b'A';
pub const PARAMETER_DESCRIPTION: u8 = b't';
pub const PARAMETER_STATUS: u8 = b'S';
pub const PARSE_COMPLETE: u8 = b'1';
pub const PORTAL_SUSPENDED: u8 = b's';
pub const READY_FOR_QUERY: u8 = b'Z';
pub const ROW_DESCRIPTION: u8 = b'T';

/// The body of AuthenticationOk.
pub const AUTHENTICATION_OK: &[u8] = &[0, 0, 0, 0];
/// The code of AuthenticationSASL, which offers mechanisms.
const AUTHENTICATION_SASL: u32 = 10;
const CHANNEL_BINDING: &[u8] = b"SCRAM-SHA-256-PLUS";

/// An AuthenticationSASL's body without SCRAM-SHA-256-PLUS; `None` when it does not offer that, or
/// is something else.
#[must_use]
pub fn without_channel_binding(body: &[u8]) -> Option<Vec<u8>> {
    let (code, mut rest) = body.split_first_chunk()?;
    if u32::from_be_bytes(*code) != AUTHENTICATION_SASL {
        return None;
    }
    let mut without = code.to_vec();
    let mut found = false;
    while let Some((mechanism, after)) = split_string(rest) {
        if mechanism.is_empty() {
            break;
        }
        rest = after;
        if mechanism == CHANNEL_BINDING {
            found = true;
        } else {
            write_string(&mut without, mechanism);
        }
    }
    without.extend_from_slice(rest);
    found.then_some(without)
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[must_use]
    pub fn new(body: &'a [u8]) -> Fields<'a> {
        Fields(body)
    }

    /// Field by field up to the closing NUL; a field that was cut off ends the list.
    pub fn iter(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&code, after) = rest.split_first()?;
            if code == 0 {
                return None;
            }
            let (value, after) = split_string(after)?;
            rest = after;
            Some((code, value))
        })
    }

    #[must_use]
    pub fn value(self, code: u8) -> Option<&'a [u8]> {
        self.iter().find(|(c, _)| *c == code).map(|(_, v)| v)
    }

    #[must_use]
    pub fn sqlstate(self) -> &'a [u8] {
        self.value(b'C').unwrap_or_default()
    }

    /// FATAL and PANIC end the connection. `V` is never translated, `S` may be.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        let severity = self.value(b'V').or_else(|| self.value(b'S'));
        matches!(severity, Some(b"FATAL" | b"PANIC"))
    }
}

pub fn write_fields<'a>(
    out: &mut Vec<u8>,
    tag: u8,
    fields: impl IntoIterator<Item = (u8, &'a [u8])>,
) {
    write_frame(out, tag, |body| {
        for (code, value) in fields {
            body.push(code);
            write_string(body, value);
        }
        body.push(0);
    });
}

/// An ErrorResponse of our own; an empty hint is left out.
pub fn write_error(out: &mut Vec<u8>, severity: &str, sqlstate: &str, message: &str, hint: &str) {
    let all = [
        (b'S', severity.as_bytes()),
        (b'V', severity.as_bytes()),
        (b'C', sqlstate.as_bytes()),
        (b'M', message.as_bytes()),
        (b'H', hint.as_bytes()),
    ];
    let given = all.into_iter().filter(|(_, value)| !value.is_empty());
    write_fields(out, ERROR_RESPONSE, given);
}

pub fn write_no_data(out: &mut Vec<u8>) {
    write_frame(out, NO_DATA, |_| {});
}

pub fn write_command_complete(out: &mut Vec<u8>, tag: &[u8]) {
    write_frame(out, COMMAND_COMPLETE, |body| write_string(body, tag));
}

/// The command tag, without its NUL.
#[must_use]
pub fn command_tag(body: &[u8]) -> Option<&[u8]> {
    split_string(body).map(|(tag, _)| tag)
}

/// The number at the end of a command tag: `SELECT 3` and `INSERT 0 3` both say 3.
#[must_use]
pub fn tag_count(tag: &[u8]) -> Option<&str> {
    let last = tag.rsplit(|byte| *byte == b' ').next()?;
    let digits = !last.is_empty() && last.iter().all(u8::is_ascii_digit);
    if digits {
        std::str::from_utf8(last).ok()
    } else {
        None
    }
}

/// Name and value of a ParameterStatus.
#[must_use]
pub fn parameter_status(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = split_string(body)?;
    let (value, _) = split_string(rest)?;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_back_field_by_field() {
        let mut out = Vec::new();
        write_error(&mut out, "FATAL", "08006", "gone", "");
        let fields = Fields::new(&out[5..]);
        assert_eq!(fields.sqlstate(), b"08006");
        assert_eq!(fields.value(b'M'), Some(&b"gone"[..]));
        assert_eq!(fields.value(b'H'), None);
        assert!(fields.is_fatal());
        for end in 0..out.len() - 5 {
            // Cut anywhere, it may say less but must not panic or run on.
            assert!(Fields::new(&out[5..5 + end]).iter().count() <= 4);
        }
    }

    #[test]
    fn an_offer_of_channel_binding_is_taken_out_and_nothing_else() {
        let both = b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        let plain = b"\0\0\0\x0aSCRAM-SHA-256\0\0";
        assert_eq!(without_channel_binding(both).as_deref(), Some(&plain[..]));
        assert_eq!(without_channel_binding(plain), None);
        assert_eq!(without_channel_binding(AUTHENTICATION_OK), None);
        for end in 0..both.len() {
            // Cut anywhere it must not panic, and what is left must be no longer.
            let without = without_channel_binding(&both[..end]);
            assert!(without.is_none_or(|without| without.len() < end));
        }
    }

    #[test]
    fn a_tag_counts_by_its_last_word() {
        assert_eq!(tag_count(b"INSERT 0 12"), Some("12"));
        assert_eq!(tag_count(b"SELECT 3"), Some("3"));
        assert_eq!(tag_count(b"CREATE TABLE"), None);
        assert_eq!(tag_count(b""), None);
    }
}
