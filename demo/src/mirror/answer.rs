//! What a client was told, and whether another was told the same: columns, types, rows, counts, and
//! errors as an application tells them apart. Of values that two servers cannot have alike it knows
//! which are which.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use serde_json::Value;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Row, SimpleQueryMessage, Statement};

/// The answer to one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Names, with types where the protocol tells them in words that two databases share.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Vec<Value>>,
    pub count: u64,
    /// SQLSTATE, message, table, constraint.
    pub error: Option<[String; 4]>,
}

impl Answer {
    #[must_use]
    pub fn of_messages(messages: &[SimpleQueryMessage]) -> Self {
        let mut answer = Answer::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    answer.columns = columns
                        .iter()
                        .map(|column| (column.name().to_owned(), String::new()))
                        .collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|at| row.get(at).map_or(Value::Null, text));
                    answer.rows.push(values.collect());
                }
                SimpleQueryMessage::CommandComplete(count) => answer.count = *count,
                // The library may learn of messages that nobody here has asked for.
                _ => {}
            }
        }
        answer
    }

    pub fn of_rows(
        statement: &Statement,
        rows: &[Row],
        count: u64,
    ) -> Result<Self, tokio_postgres::Error> {
        let columns = statement.columns().iter();
        let columns = columns.map(|column| (column.name().to_owned(), column.type_().to_string()));
        let mut answer = Answer {
            columns: columns.collect(),
            count,
            ..Answer::default()
        };
        for row in rows {
            let values: Result<Vec<Value>, _> = (0..row.len())
                .map(|at| row.try_get::<_, Told>(at).map(|told| told.0))
                .collect();
            answer.rows.push(values?);
        }
        Ok(answer)
    }

    /// An error of the server's; none for one of the connection's.
    #[must_use]
    pub fn of_error(error: &tokio_postgres::Error) -> Option<Self> {
        let said = error.as_db_error()?;
        Some(Answer {
            error: Some([
                said.code().code().to_owned(),
                said.message().to_owned(),
                said.table().unwrap_or_default().to_owned(),
                said.constraint().unwrap_or_default().to_owned(),
            ]),
            ..Answer::default()
        })
    }

    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        self.error.as_ref().map(|said| said[0].as_str())
    }

    /// Whether the error's message begins with this.
    #[must_use]
    pub fn says(&self, begins: &str) -> bool {
        self.error
            .as_ref()
            .is_some_and(|said| said[1].starts_with(begins))
    }

    /// A value of the first row: a column's, or one within its JSON.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<String> {
        let row = self.rows.first()?;
        let column = self.columns.iter().position(|(column, _)| column == name);
        let value = match column {
            Some(at) => row.get(at),
            None => row.iter().find_map(|value| within(value, name)),
        };
        match value? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The answer as one text, in which rows are sorted unless the statement has sorted them.
    #[must_use]
    pub fn shown(&self, apart: &Apart, is_sorted: bool) -> String {
        if let Some([sqlstate, message, table, constraint]) = &self.error {
            return format!("{sqlstate} {message} [{table} {constraint}]");
        }
        let mut rows: Vec<String> = self.rows.iter().map(|row| self.row(row, apart)).collect();
        if !is_sorted {
            rows.sort();
        }
        let mut shown = String::new();
        for (name, type_) in &self.columns {
            let _ = write!(shown, "{name} {type_}, ");
        }
        format!("{shown}\n{}\ndone {}", rows.join("\n"), self.count)
    }

    fn row(&self, row: &[Value], apart: &Apart) -> String {
        let named = self.columns.iter().zip(row);
        let values = named.map(|((column, _), value)| apart.plain(column, value).to_string());
        values.collect::<Vec<String>>().join("|")
    }
}

/// The first value under a key, however deep.
fn within<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields
            .get(name)
            .or_else(|| fields.values().find_map(|value| within(value, name))),
        Value::Array(values) => values.iter().find_map(|value| within(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What two servers have apart, though nothing is wrong.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    clocks: BTreeSet<String>,
    ids: BTreeSet<String>,
    /// An id that one server has made, as the other one has made it.
    same: HashMap<String, String>,
}

impl Apart {
    #[must_use]
    pub fn new(clocks: &[String], ids: &[String]) -> Self {
        Apart {
            clocks: clocks.iter().cloned().collect(),
            ids: ids.iter().cloned().collect(),
            same: HashMap::new(),
        }
    }

    /// That an id of this server is called otherwise on the other.
    pub fn learn(&mut self, id: String, other: String) {
        self.same.insert(id, other);
    }

    /// The same for times and ids as they are on one's own.
    #[must_use]
    pub fn without_ids(&self) -> Self {
        Apart {
            same: HashMap::new(),
            ..self.clone()
        }
    }

    fn plain(&self, name: &str, value: &Value) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::Object(fields) => {
                let fields = fields.iter();
                fields
                    .map(|(name, value)| (name.clone(), self.plain(name, value)))
                    .collect()
            }
            Value::Array(values) => values.iter().map(|value| self.plain(name, value)).collect(),
            _ if self.clocks.contains(name) => Value::String("a time".to_owned()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) if self.ids.contains(name) => {
                let id = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                Value::String(self.same.get(&id).cloned().unwrap_or(id))
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
}

/// A value of whatever type, as something that can be compared and shown.
struct Told(Value);

impl<'a> FromSql<'a> for Told {
    fn from_sql(
        type_: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let value = match *type_ {
            Type::BOOL => Value::from(bool::from_sql(type_, raw)?),
            Type::INT2 => Value::from(i16::from_sql(type_, raw)?),
            Type::INT4 => Value::from(i32::from_sql(type_, raw)?),
            Type::INT8 => Value::from(i64::from_sql(type_, raw)?),
            Type::FLOAT8 => Value::from(f64::from_sql(type_, raw)?),
            Type::JSON => text(std::str::from_utf8(raw)?),
            Type::JSONB => text(std::str::from_utf8(raw.get(1..).unwrap_or_default())?),
            Type::UUID => Value::from(uuid(raw)),
            // Names of enums as well. What is no text is shown by its bytes.
            _ => std::str::from_utf8(raw)
                .ok()
                .filter(|text| !text.contains('\0'))
                .map_or_else(|| Value::from(format!("{raw:02x?}")), text),
        };
        Ok(Told(value))
    }

    fn from_sql_null(_type: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Told(Value::Null))
    }

    fn accepts(_type: &Type) -> bool {
        true
    }
}

/// A text, or what it says where it is an object or array of JSON.
fn text(text: &str) -> Value {
    let is_json = text.starts_with(['{', '[']);
    let value = is_json.then(|| serde_json::from_str(text).ok()).flatten();
    value.unwrap_or_else(|| Value::from(text))
}

fn uuid(raw: &[u8]) -> String {
    let mut shown = String::with_capacity(36);
    for (at, byte) in raw.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            shown.push('-');
        }
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[(&str, &str)]) -> Answer {
        Answer {
            columns: vec![
                ("id".to_owned(), String::new()),
                ("body".to_owned(), String::new()),
            ],
            rows: rows
                .iter()
                .map(|(id, body)| vec![text(id), text(body)])
                .collect(),
            count: 1,
            error: None,
        }
    }

    #[test]
    fn times_and_ids_are_compared_by_what_is_known_of_them() {
        let mut apart = Apart::new(&["at".to_owned()], &["id".to_owned()]);
        apart.learn("7".to_owned(), "9".to_owned());
        let straight = answer(&[("7", r#"[{"id": "7", "at": "now", "who": "x"}]"#)]);
        let through = answer(&[("9", r#"[{"id": "9", "at": "later", "who": "x"}]"#)]);
        let other = apart.without_ids();
        assert_eq!(straight.shown(&apart, false), through.shown(&other, false));
        for wrong in [
            answer(&[("7", r#"[{"id": "9", "at": "later", "who": "x"}]"#)]),
            answer(&[("9", r#"[{"id": "9", "at": null, "who": "x"}]"#)]),
            answer(&[("9", r#"[{"id": "9", "at": "later", "who": "y"}]"#)]),
            answer(&[]),
        ] {
            assert_ne!(straight.shown(&apart, false), wrong.shown(&other, false));
        }
    }

    #[test]
    fn rows_are_sorted_unless_the_statement_has_sorted_them() {
        let (one, other) = (
            answer(&[("1", "a"), ("2", "b")]),
            answer(&[("2", "b"), ("1", "a")]),
        );
        let apart = Apart::default();
        assert_eq!(one.shown(&apart, false), other.shown(&apart, false));
        assert_ne!(one.shown(&apart, true), other.shown(&apart, true));
    }

    #[test]
    fn a_value_is_found_in_a_column_or_in_the_json_of_one() {
        let told = answer(&[("1", r#"[{"key": 5}]"#)]);
        assert_eq!(told.first("id").as_deref(), Some("1"));
        assert_eq!(told.first("key").as_deref(), Some("5"));
        assert_eq!(told.first("nothing"), None);
    }
}
