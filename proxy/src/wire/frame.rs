//! A frame is a type byte, a length that counts itself, and a body; all later messages have this
//! shape. Knows where frames begin and end, never what they mean.

use std::ffi::CStr;

/// Type byte and length word.
pub const HEADER_BYTES: usize = 5;

/// The largest length that PostgreSQL itself accepts (its allocation limit, 1 GiB less one).
pub const FRAME_BYTES_MAX: u32 = 0x3fff_ffff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub tag: u8,
    /// As on the wire: counts itself and the body, not the type byte.
    pub length: u32,
}

impl Header {
    /// Reads the first five bytes; `None` when there are fewer.
    #[must_use]
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let (head, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [tag, a, b, c, d] = *head;
        Some(Header {
            tag,
            length: u32::from_be_bytes([a, b, c, d]),
        })
    }

    /// Type byte, length word and body together.
    #[must_use]
    #[inline]
    pub fn frame_bytes(self) -> usize {
        self.length as usize + 1
    }

    /// The type as a person reads it in a log line.
    #[must_use]
    pub fn tag_name(self) -> String {
        tag_name(self.tag)
    }
}

#[must_use]
pub fn tag_name(tag: u8) -> String {
    if tag.is_ascii_graphic() {
        format!("`{}`", tag as char)
    } else {
        format!("0x{tag:02x}")
    }
}

/// Splits at the first NUL: the string before it and what follows. `None` when there is no NUL.
#[must_use]
#[inline]
pub fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // CStr's search reads a word at a time, which counts for long statements.
    let text = CStr::from_bytes_until_nul(bytes).ok()?.to_bytes();
    Some((text, &bytes[text.len() + 1..]))
}

/// Appends one frame whose body is written by `body`.
///
/// A body never comes near 4 GiB: everything written here is bounded by the statement limit.
pub fn write_frame(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - length_at).unwrap_or(u32::MAX);
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a string and its NUL.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_frame_reads_back_with_its_length() {
        let mut out = vec![9, 9];
        write_frame(&mut out, b'Q', |body| write_string(body, b"SELECT 1"));
        let header = Header::read(&out[2..]).expect("five bytes");
        assert_eq!((header.tag, header.length), (b'Q', 13));
        assert_eq!(header.frame_bytes(), out.len() - 2);
    }

    #[test]
    fn a_string_without_its_nul_is_no_string() {
        assert_eq!(split_string(b"abc"), None);
        assert_eq!(split_string(b"ab\0c"), Some((&b"ab"[..], &b"c"[..])));
        assert_eq!(split_string(b"\0"), Some((&b""[..], &b""[..])));
    }

    #[test]
    fn four_bytes_are_no_header() {
        assert_eq!(Header::read(&[b'Z', 0, 0, 0]), None);
    }
}
