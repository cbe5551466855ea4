//! An answer as rows: columns with their types, and what stands in them, in either of the protocol's formats.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{BufMut, BytesMut};
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo};
use pgwire::error::PgWireResult;
use pgwire::messages::data::DataRow;
use pgwire::types::ToSqlText;
use pgwire::types::format::FormatOptions;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
    Interval,
}

impl Kind {
    fn of_server(self) -> (Type, i16) {
        match self {
            Kind::Text => (Type::TEXT, -1),
            Kind::Int => (Type::INT8, 8),
            Kind::Float => (Type::FLOAT8, 8),
            Kind::Bool => (Type::BOOL, 1),
            Kind::Time => (Type::TIMESTAMPTZ, 8),
            Kind::Interval => (Type::INTERVAL, 16),
        }
    }
}

pub(super) type Column = (&'static str, Kind);

/// What stands in one place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(SystemTime),
    /// Seconds.
    Interval(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Value {
        Value::Int(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::from(number as u64)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}

impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Value {
        Value::Time(time)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub columns: &'static [Column],
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    pub fn of(columns: &'static [Column]) -> Table {
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "{:?}", self.columns);
        self.rows.push(row);
    }

    /// The rows as messages.
    pub fn encode(&self, formats: &Formats) -> PgWireResult<Vec<DataRow>> {
        let fields = Arc::new(fields(self.columns, formats));
        let mut encoder = DataRowEncoder::new(fields);
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            for value in row {
                match value {
                    Value::Null => encoder.encode_field(&None::<i64>)?,
                    // Text ends at a NUL for whoever reads it in C.
                    Value::Text(text) => encoder.encode_field(&text.replace('\0', " "))?,
                    Value::Int(number) => encoder.encode_field(number)?,
                    Value::Float(number) => encoder.encode_field(number)?,
                    Value::Bool(truth) => encoder.encode_field(truth)?,
                    Value::Time(time) => encoder.encode_field(time)?,
                    Value::Interval(seconds) => encoder.encode_field(&Interval::of(*seconds))?,
                }
            }
            rows.push(encoder.take_row());
        }
        Ok(rows)
    }
}

/// In which format a client wants each column: as in a Bind, none means text for all, and one is for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Formats(pub Vec<i16>);

impl Formats {
    fn of_column(&self, index: usize) -> FieldFormat {
        let code = match self.0.as_slice() {
            [] => 0,
            [one] => *one,
            each => each.get(index).copied().unwrap_or(0),
        };
        FieldFormat::from(code)
    }
}

/// What describes the columns.
pub(super) fn fields(columns: &[Column], formats: &Formats) -> Vec<FieldInfo> {
    let field = |(index, (name, kind)): (usize, &Column)| {
        let (datatype, size) = kind.of_server();
        let format = formats.of_column(index);
        FieldInfo::new((*name).to_owned(), None, None, datatype, format).with_type_size(size)
    };
    columns.iter().enumerate().map(field).collect()
}

/// A span of time as the server has it: without months and days, whose lengths vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    micros: i64,
}

impl Interval {
    /// What is out of range becomes the nearest that is in it.
    fn of(seconds: f64) -> Interval {
        Interval {
            micros: (seconds * MICROS_PER_SECOND as f64).round() as i64,
        }
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let micros = self.micros.unsigned_abs();
        let seconds = micros / MICROS_PER_SECOND.unsigned_abs();
        let fraction = micros % MICROS_PER_SECOND.unsigned_abs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60)?;
        if fraction == 0 {
            return Ok(());
        }
        let digits = format!("{fraction:06}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.micros);
        out.put_i32(0);
        out.put_i32(0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::INTERVAL
    }

    to_sql_checked!();
}

impl ToSqlText for Interval {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut BytesMut,
        _: &FormatOptions,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        write!(out, "{self}")?;
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_interval_reads_as_postgresql_writes_it() {
        for (seconds, text) in [
            (0.0, "00:00:00"),
            (1.5, "00:00:01.5"),
            (0.000_001, "00:00:00.000001"),
            (3_725.25, "01:02:05.25"),
            (360_000.0, "100:00:00"),
            (-61.0, "-00:01:01"),
        ] {
            assert_eq!(Interval::of(seconds).to_string(), text);
        }
    }

    const COLUMNS: &[Column] = &[
        ("t", Kind::Text),
        ("i", Kind::Int),
        ("f", Kind::Float),
        ("b", Kind::Bool),
        ("at", Kind::Time),
        ("age", Kind::Interval),
        ("none", Kind::Int),
    ];

    fn table() -> Table {
        let mut table = Table::of(COLUMNS);
        table.row(vec![
            "a\0b".into(),
            7_i64.into(),
            0.5.into(),
            true.into(),
            (SystemTime::UNIX_EPOCH + Duration::from_millis(946_684_800_500)).into(),
            Value::Interval(2.0),
            Value::Null,
        ]);
        table
    }

    /// The values of the first row.
    fn values(row: &DataRow) -> Vec<Option<Vec<u8>>> {
        let mut rest = row.data.as_ref();
        let mut values = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            match usize::try_from(i32::from_be_bytes(*length)) {
                Ok(length) => {
                    values.push(Some(after[..length].to_vec()));
                    rest = &after[length..];
                }
                Err(_) => {
                    values.push(None);
                    rest = after;
                }
            }
        }
        values
    }

    #[test]
    fn each_kind_is_written_as_the_server_would_in_both_formats() {
        let text = table().encode(&Formats::default()).expect("text");
        let text: Vec<_> = values(&text[0])
            .into_iter()
            .map(|value| value.map(|value| String::from_utf8(value).expect("UTF-8")))
            .collect();
        let text: Vec<_> = text.iter().map(Option::as_deref).collect();
        assert_eq!(text[0..4], [Some("a b"), Some("7"), Some("0.5"), Some("t")]);
        let time = text[4].expect("a time");
        assert!(time.starts_with("2000-01-01 00:00:00.5"), "{time}");
        assert!(time.contains("+00"), "{time}");
        assert_eq!(text[5..], [Some("00:00:02"), None]);

        let binary = table().encode(&Formats(vec![1])).expect("binary");
        let binary = values(&binary[0]);
        assert_eq!(binary[1], Some(7_i64.to_be_bytes().to_vec()));
        // Microseconds since the year 2000.
        assert_eq!(binary[4], Some(500_000_i64.to_be_bytes().to_vec()));
        let interval = [&2_000_000_i64.to_be_bytes()[..], &[0; 8]].concat();
        assert_eq!(binary[5], Some(interval));
        assert_eq!(binary[6], None);
    }
}
