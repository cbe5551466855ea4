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
    for message in messages {
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
            b'E' => format!(
                "E {} {}",
                message.field(b'S').unwrap_or_default(),
                message.field(b'C').unwrap_or_default()
            ),
            tag => format!("{} {:?}", tag as char, message.body),
        });
    }
    said
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
