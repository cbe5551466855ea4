//! Answers made comparable: what a client can see, without what must differ from run to run.

use crate::raw::Message;

/// One server's answer to one request, reduced to what an application can tell apart.
///
/// Rows keep their order. Timestamps set by `now()` and ids drawn by `gen_random_uuid()` cannot be
/// equal in two runs: they are masked by the columns' names and by the ids' look (fixed test ids
/// begin with eight zeros).
#[must_use]
pub fn comparable(messages: &[Message]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let mut said = Vec::new();
    let mut copied: Vec<String> = Vec::new();
    for message in messages {
        // A table's COPY has no order of its own.
        if message.tag == b'd' {
            copied.push(format!("d {}", String::from_utf8_lossy(&message.body)));
            continue;
        }
        copied.sort();
        said.append(&mut copied);
        said.push(match message.tag {
            b'T' => {
                columns = message
                    .columns()
                    .into_iter()
                    .map(|column| column.0)
                    .collect();
                format!("T {:?}", message.columns())
            }
            b'D' => {
                let values = message.values();
                let shown: Vec<String> = values
                    .into_iter()
                    .enumerate()
                    .map(|(at, value)| masked(columns.get(at).map_or("", String::as_str), value))
                    .collect();
                format!("D {shown:?}")
            }
            b'C' => format!("C {}", message.tag_text()),
            b'E' => error(message),
            tag => format!("{} {:?}", tag as char, message.body),
        });
    }
    said
}

/// Severity, SQLSTATE, message, position and the names of what was violated. Detail, hint and the
/// server's source lines are left out: they speak of rows and places inside it.
fn error(message: &Message) -> String {
    let fields: Vec<String> = [b'S', b'C', b'M', b'P', b's', b't', b'c', b'n']
        .into_iter()
        .filter_map(|code| message.field(code))
        // Which of the schemas for temporary tables a session has is its own affair.
        .map(|field| match field.strip_prefix("pg_temp_") {
            Some(number) if number.parse::<u32>().is_ok() => "pg_temp".to_owned(),
            Some(_) | None => field,
        })
        .collect();
    format!("E {}", fields.join(" | "))
}

fn masked(column: &str, value: Option<String>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(_) if column.ends_with("_at") => "<time>".to_owned(),
        Some(value) if is_random_id(&value) => "<id>".to_owned(),
        Some(value) => value,
    }
}

fn is_random_id(value: &str) -> bool {
    value.len() == 36
        && value.bytes().filter(|byte| *byte == b'-').count() == 4
        && !value.starts_with("00000000")
}
