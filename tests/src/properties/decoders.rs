//! Each decoder on any bytes: no panic, nothing read beyond the end, and what was read writes back
//! as the same bytes.

use crossfade::wire::backend;
use crossfade::wire::frame::{HEADER_BYTES, Header, split_string};
use crossfade::wire::frontend::{self, BindNames, DescribeTarget, Execute, MessageLimits, Parse};
use crossfade::wire::startup::{self, Startup};

pub fn check(data: &[u8]) {
    frontend_messages(data);
    backend_messages(data);
    if let Ok(Startup::Session(parameters)) = Startup::read(data) {
        assert!(parameters.user.len() + parameters.database.len() < data.len());
    }
    if let Some(length) = data.first_chunk() {
        let bytes = startup::packet_bytes(*length, 10_000);
        assert!(bytes.is_err() || bytes.is_ok_and(|bytes| (8..=10_000).contains(&bytes)));
    }
    if let Some(header) = Header::read(data)
        && frontend::check_header(header, &MessageLimits::DEFAULT, true).is_ok()
    {
        assert!((4..=0x3fff_ffff).contains(&header.length));
        assert!(header.frame_bytes() >= HEADER_BYTES);
    }
}

fn frontend_messages(data: &[u8]) {
    if let Ok(text) = frontend::query_text(data) {
        let mut out = Vec::new();
        frontend::write_query(&mut out, text);
        assert_eq!(&out[HEADER_BYTES..], data);
    }
    if let Ok(parse) = Parse::read(data) {
        assert_eq!(parse.type_oids().count() * 4 + 2, parse.types.len());
        let mut out = Vec::new();
        frontend::write_parse(&mut out, parse);
        assert_eq!(&out[HEADER_BYTES..], data);
    }
    if let Ok((names, rest)) = BindNames::read(data) {
        let extent = BindNames::extent(data).expect("both names are there");
        assert_eq!(extent, names.portal.len() + names.statement.len() + 2);
        assert_eq!(&data[extent..], rest);
        // Up to there it is incomplete, and says so.
        assert_eq!(BindNames::extent(&data[..extent - 1]), None);
        if let Some(values) = frontend::bind_parameters(rest) {
            let bytes: usize = values
                .iter()
                .filter_map(|(_, v)| v.as_ref())
                .map(Vec::len)
                .sum();
            assert!(bytes + 4 * values.len() <= rest.len());
        }
    }
    if let Ok(target) = DescribeTarget::read("Describe", data) {
        let (DescribeTarget::Statement(name) | DescribeTarget::Portal(name)) = target;
        assert_eq!(name.len() + 2, data.len());
    }
    if let Ok(execute) = Execute::read(data) {
        let mut out = Vec::new();
        frontend::write_execute(&mut out, execute);
        assert_eq!(&out[HEADER_BYTES..], data);
    }
}

fn backend_messages(data: &[u8]) {
    let fields = backend::Fields::new(data);
    let read: usize = fields.iter().map(|(_, value)| value.len() + 2).sum();
    assert!(read <= data.len());
    if let Some(first) = fields.iter().next() {
        assert_eq!(fields.value(first.0), Some(first.1));
    }
    let _either = fields.is_fatal();
    if let Some(tag) = backend::command_tag(data) {
        assert_eq!(split_string(data).map(|(tag, _)| tag), Some(tag));
        if let Some(count) = backend::tag_count(tag) {
            assert!(count.bytes().all(|digit| digit.is_ascii_digit()));
        }
    }
    if let Some((name, value)) = backend::parameter_status(data) {
        assert!(name.len() + value.len() + 2 <= data.len());
    }
}
