//! What a column is sure to take: values that its type, on either side, reads without an error and without a look at a
//! setting, written so that there is no doubt.
//!
//! ```text
//! uuid             '0b9b9b9b-0000-4000-8000-000000000001', and not '{0B9B…}'
//! varchar(20)      a string of 20 characters or fewer
//! integer          7, '7', '-7', and not ' 7' or 70000000000
//! numeric(10,2)    7, 7.25, '7.25': fewer digits before the point than it has room for
//! timestamptz      '2026-01-31 10:20:30.5+00:00', and not 'now', 'infinity' or '31.1.2026'
//! ```

use crate::lens::LegacyColumn;
use crate::text::tokens::ConstantKind;
use crate::text::tree::Tree;

/// Of a number with a fraction; a longer one is left in the text.
const DIGITS_MAX: usize = 30;

/// The types that PostgreSQL gives to numbers, by the way they are written.
const INT8: u32 = 20;
const INT4: u32 = 23;
const NUMERIC: u32 = 1700;
/// To be decided by the place, as that of a string is.
const UNDECIDED: u32 = 0;

/// What both sides of a column take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Takes(Type, Type);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Uuid,
    Text { chars_max: Option<usize> },
    Integer { bytes: u32 },
    Numeric { whole_digits_max: Option<usize> },
    Timestamp { zone: bool },
    Date,
}

impl Takes {
    /// `None` for types whose values are not judged here, and for columns whose values are mapped.
    pub fn of(column: &LegacyColumn) -> Option<Takes> {
        if !column.is_plain() {
            return None;
        }
        let types = [&column.sql_type, &column.unified_type].map(|sql| Type::of(sql));
        let [Some(legacy), Some(unified)] = types else {
            return None;
        };
        Some(Takes(legacy, unified))
    }

    /// Whether a cast says the type that the column has.
    pub fn is_cast_to(self, type_name: &Tree) -> bool {
        let plain = ["typmods", "array_bounds"]
            .iter()
            .all(|field| type_name.list(field).is_empty());
        let name = type_name
            .list("names")
            .last()
            .map_or("", |name| name.text("sval"));
        let legacy = match self.0 {
            Type::Uuid => ["uuid", "uuid"],
            // A cast to `varchar` without a length is none to a value that has one.
            Type::Text { .. } => ["text", "varchar"],
            Type::Integer { bytes: 2 } => ["int2", "int2"],
            Type::Integer { bytes: 4 } => ["int4", "int4"],
            Type::Integer { .. } => ["int8", "int8"],
            Type::Numeric { .. } => ["numeric", "numeric"],
            Type::Timestamp { zone: true } => ["timestamptz", "timestamptz"],
            Type::Timestamp { zone: false } => ["timestamp", "timestamp"],
            Type::Date => ["date", "date"],
        };
        plain && legacy.contains(&name)
    }

    /// The parameter that a constant is, if the column is sure to take it: its type's number, and its value.
    pub fn parameter(self, kind: ConstantKind, said: &str) -> Option<(u32, String)> {
        let (oid, value) = match kind {
            ConstantKind::String => {
                let inside = said.strip_prefix('\'')?.strip_suffix('\'')?;
                (UNDECIDED, inside.replace("''", "'"))
            }
            ConstantKind::Int4 => (INT4, said.to_owned()),
            ConstantKind::Int8 => (INT8, said.to_owned()),
            ConstantKind::Numeric => (NUMERIC, said.to_owned()),
        };
        let is_taken = |by: Type| by.takes(kind, &value);
        (is_taken(self.0) && is_taken(self.1)).then_some((oid, value))
    }
}

impl Type {
    fn of(sql: &str) -> Option<Type> {
        let sql = sql.trim().to_ascii_lowercase();
        let (name, modifier) = match sql.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')')?)),
            None => (sql.as_str(), None),
        };
        Some(match (name, modifier) {
            ("uuid", None) => Type::Uuid,
            ("text" | "character varying" | "varchar", None) => Type::Text { chars_max: None },
            ("character varying" | "varchar", Some(chars)) => Type::Text {
                chars_max: Some(chars.trim().parse().ok()?),
            },
            ("smallint" | "int2", None) => Type::Integer { bytes: 2 },
            ("integer" | "int" | "int4", None) => Type::Integer { bytes: 4 },
            ("bigint" | "int8", None) => Type::Integer { bytes: 8 },
            ("numeric" | "decimal", None) => Type::Numeric {
                whole_digits_max: None,
            },
            ("numeric" | "decimal", Some(modifier)) => {
                let (precision, scale) = modifier.split_once(',').unwrap_or((modifier, "0"));
                let digits = |part: &str| part.trim().parse::<usize>().ok();
                Type::Numeric {
                    whole_digits_max: Some(digits(precision)?.checked_sub(digits(scale)?)?),
                }
            }
            ("timestamp with time zone" | "timestamptz", None) => Type::Timestamp { zone: true },
            ("timestamp without time zone" | "timestamp", None) => Type::Timestamp { zone: false },
            ("date", None) => Type::Date,
            _ => return None,
        })
    }

    fn takes(self, kind: ConstantKind, value: &str) -> bool {
        let is_string = kind == ConstantKind::String;
        match self {
            Type::Uuid => is_string && is_uuid(value),
            Type::Text { chars_max } => {
                is_string && chars_max.is_none_or(|most| value.chars().count() <= most)
            }
            Type::Integer { bytes } => kind != ConstantKind::Numeric && is_integer(value, bytes),
            Type::Numeric { whole_digits_max } => is_decimal(value, whole_digits_max),
            Type::Timestamp { zone } => is_string && is_timestamp(value, zone),
            Type::Date => is_string && is_date(value),
        }
    }
}

fn is_uuid(value: &str) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let mut bytes = value.bytes().enumerate();
    value.len() == 36
        && bytes.all(|(at, byte)| match DASHES.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
}

fn is_integer(value: &str, bytes: u32) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let written = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = value.parse::<i64>().ok().filter(|_| written);
    value.is_some_and(|value| match bytes {
        2 => i16::try_from(value).is_ok(),
        4 => i32::try_from(value).is_ok(),
        _ => true,
    })
}

fn is_decimal(value: &str, whole_digits_max: Option<usize>) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // Rounding may carry a digit over.
    let fits = whole_digits_max.is_none_or(|most| whole.len() < most);
    are_digits(whole) && are_digits(fraction) && fits && digits.len() <= DIGITS_MAX
}

/// `2026-01-31`, of which every calendar says the same.
fn is_date(value: &str) -> bool {
    let bytes = value.as_bytes();
    let shape = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return false;
    }
    let number = |part: std::ops::Range<usize>| value[part].parse::<u32>().unwrap_or(0);
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    // Years that every offset leaves within four digits.
    (1000..9999).contains(&year) && (1..=days).contains(&day)
}

/// `2026-01-31 10:20:30.5+00:00`, or with a `T`; an offset only where it counts.
fn is_timestamp(value: &str, zone: bool) -> bool {
    let Some((date, time)) = value.split_at_checked(10) else {
        return false;
    };
    let Some(time) = time.strip_prefix([' ', 'T']) else {
        return false;
    };
    let (time, offset) = match time.find(['+', '-']) {
        Some(at) if zone => time.split_at(at),
        Some(_) => return false,
        None => (time, ""),
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let fraction_is =
        (1..=6).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    is_date(date) && fraction_is && is_clock(clock, &[23, 59, 59]) && is_offset(offset)
}

fn is_offset(offset: &str) -> bool {
    let hours = offset.strip_prefix(['+', '-']);
    hours.is_none_or(|hours| is_clock(hours, &[12, 59]) || is_clock(hours, &[12]))
        && (hours.is_some() || offset.is_empty())
}

/// Two digits for each part, none above its limit.
fn is_clock(value: &str, most: &[u32]) -> bool {
    let parts: Vec<&str> = value.split(':').collect();
    parts.len() == most.len()
        && parts.iter().zip(most).all(|(part, most)| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits && part.parse::<u32>().is_ok_and(|part| part <= *most)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql_type: &str, kind: ConstantKind, taken: &[&str], left: &[&str]) {
        let of = Type::of(sql_type).expect("a type that is judged");
        let takes = Takes(of, of);
        for said in taken {
            assert!(takes.parameter(kind, said).is_some(), "{sql_type} {said}");
        }
        for said in left {
            assert!(takes.parameter(kind, said).is_none(), "{sql_type} {said}");
        }
    }

    #[test]
    fn a_value_is_taken_only_where_there_is_no_doubt() {
        use ConstantKind::{Int4, Int8, Numeric, String};
        let uuid = "'0b9b9b9b-0000-4000-8000-00000000000a'";
        check(
            "uuid",
            String,
            &[uuid],
            &[
                "''",
                "'x'",
                "'{0b9b9b9b-0000-4000-8000-00000000000a}'",
                "'0b9b9b9b000040008000000000000001'",
            ],
        );
        check("uuid", Int4, &[], &["1"]);
        check("text", String, &["''", "'it''s'", "'é'"], &[]);
        check("text", Int4, &[], &["1"]);
        check(
            "varchar(2)",
            String,
            &["'éé'", "''''''"],
            &["'abc'", "'   '"],
        );
        check(
            "integer",
            String,
            &["'7'", "'-7'", "'2147483647'"],
            &["' 7'", "'+7'", "''", "'-'", "'2147483648'", "'0x1'"],
        );
        check("integer", Int4, &["7"], &[]);
        check("integer", Int8, &[], &["12345678901"]);
        check("integer", Numeric, &[], &["7.0"]);
        check("bigint", Int8, &["12345678901"], &[]);
        check("smallint", Int4, &["32767"], &["32768"]);
        check("numeric(10,2)", Int4, &["1000", "1234567"], &["12345678"]);
        check(
            "numeric(10,2)",
            Numeric,
            &["1.5", "1234567.999"],
            &["99999999.999"],
        );
        check(
            "numeric(10,2)",
            String,
            &["'-1.5'"],
            &["'NaN'", "'1e3'", "'1.'", "'.5'"],
        );
        check(
            "numeric",
            Numeric,
            &["123456789012345.5"],
            &["1234567890123456789012345678901.5"],
        );
        check(
            "date",
            String,
            &["'2024-02-29'"],
            &[
                "'2023-02-29'",
                "'today'",
                "'1.2.2024'",
                "'2024-2-1'",
                "'9999-01-01'",
            ],
        );
        check(
            "timestamptz",
            String,
            &[
                "'2024-02-29 10:20:30'",
                "'2024-02-29T10:20:30.123456+02:30'",
                "'2024-02-29T10:20:30-05'",
            ],
            &[
                "'2024-02-29'",
                "'now'",
                "'2024-02-29 10:20:60'",
                "'2024-02-29 24:00:00'",
                "'2024-02-29 10:20:30 UTC'",
                "'2024-02-29 10:20:30+'",
                "'2024-02-29 10:20:30Z'",
            ],
        );
        check(
            "timestamp",
            String,
            &["'2024-02-29 10:20:30'"],
            &["'2024-02-29 10:20:30+00'"],
        );
    }

    #[test]
    fn types_that_are_not_judged_are_none() {
        for sql_type in [
            "jsonb",
            "public.user_role",
            "text[]",
            "character(3)",
            "timestamp(3)",
            "timestamp(3) with time zone",
            "numeric(2,5)",
            "boolean",
            "citext",
        ] {
            assert_eq!(Type::of(sql_type), None, "{sql_type}");
        }
    }

    #[test]
    fn a_string_is_given_without_its_quotes_and_of_no_type_yet() {
        let text = Takes(
            Type::Text { chars_max: None },
            Type::Text { chars_max: None },
        );
        let found = text.parameter(ConstantKind::String, "'it''s'");
        assert_eq!(found, Some((UNDECIDED, "it's".to_owned())));
    }
}
