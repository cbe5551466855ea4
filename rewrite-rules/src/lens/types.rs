//! What PostgreSQL's own types can hold of each other, and how one becomes the other.
//!
//! It knows types by the names that the server tells (`character varying(8)`), and nothing of tables.
//! A type that is not PostgreSQL's may be a domain, an enum or anything: of it nothing is known here.

use super::Over;

/// Where the value stands in SQL about one.
pub(super) const VALUE: &str = Over::HERE;

/// A type, as far as it matters for what becomes of its values in another. Numbers are modifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    /// Bits of it.
    Whole(u32),
    Numeric(Option<(i64, i64)>),
    Real,
    Double,
    /// `text` and `character varying`.
    Characters(Option<u32>),
    /// `character`, filled up with spaces.
    Padded(Option<u32>),
    Bits(u32),
    BitsVarying(Option<u32>),
    Date,
    Timestamp(Precision),
    TimestampTz(Precision),
    Time(Precision),
    TimeTz(Precision),
    /// With all that limits it.
    Interval(String),
    /// One whose text is the same in every session.
    Plain(String),
    /// One whose text depends on settings.
    Told(String),
    Array(Box<Type>),
    /// Not one of PostgreSQL's.
    Foreign,
}

/// Digits of a second; `None`: as many as there are.
type Precision = Option<u32>;

/// Types whose text no setting changes.
const PLAIN: [&str; 16] = [
    "boolean", "uuid", "json", "jsonb", "inet", "cidr", "macaddr", "macaddr8", "oid", "\"char\"",
    "name", "tsvector", "tsquery", "pg_lsn", "jsonpath", "xid8",
];

/// Types that are written by settings: digits, `bytea_output`, `xmloption`, `lc_monetary`,
/// `search_path`.
const TOLD: [&str; 31] = [
    "bytea",
    "money",
    "xml",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "regclass",
    "regtype",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regrole",
    "regnamespace",
    "regconfig",
    "regdictionary",
    "regcollation",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
    "tstzrange",
    "int4multirange",
    "int8multirange",
    "datemultirange",
    "tstzmultirange",
];

impl Held {
    /// The condition over a value that is no error for any; `None`: nothing is known to be left out.
    #[must_use]
    pub fn over(&self, value: &str) -> Option<String> {
        match self {
            Held::If(condition) => Some(condition.over(value)),
            Held::All | Held::Unknown => None,
        }
    }
}

impl Type {
    fn of(sql_type: &str) -> Type {
        if let Some(at) = sql_type.find('[').filter(|_| sql_type.ends_with(']')) {
            return Type::Array(Box::new(Type::of(&sql_type[..at])));
        }
        let (name, modifier) = match sql_type.split_once('(') {
            Some((name, rest)) => match rest.split_once(')') {
                Some((modifier, behind)) => (format!("{name}{behind}"), modifier),
                None => (sql_type.to_owned(), ""),
            },
            None => (sql_type.to_owned(), ""),
        };
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let number = modifier.trim().parse().ok();
        match name {
            "smallint" => Type::Whole(16),
            "integer" => Type::Whole(32),
            "bigint" => Type::Whole(64),
            "numeric" => Type::Numeric(digits(modifier)),
            "real" => Type::Real,
            "double precision" => Type::Double,
            "text" | "character varying" => Type::Characters(number),
            "character" | "bpchar" => Type::Padded(number),
            "bit" => Type::Bits(number.unwrap_or(1)),
            "bit varying" => Type::BitsVarying(number),
            "date" => Type::Date,
            "timestamp without time zone" => Type::Timestamp(number),
            "timestamp with time zone" => Type::TimestampTz(number),
            "time without time zone" => Type::Time(number),
            "time with time zone" => Type::TimeTz(number),
            "interval" => Type::Interval(modifier.to_owned()),
            _ if name.starts_with("interval ") => Type::Interval(sql_type.to_owned()),
            _ if PLAIN.contains(&name) => Type::Plain(name.to_owned()),
            _ if TOLD.contains(&name) => Type::Told(name.to_owned()),
            _ => Type::Foreign,
        }
    }

    /// Strings of any length or a limited one.
    fn is_text(&self) -> bool {
        let name = |name: &str| name == "name";
        matches!(self, Type::Characters(_) | Type::Padded(_))
            || matches!(self, Type::Plain(plain) if name(plain))
    }

    /// The settings that its text depends on.
    fn told_by(&self) -> Option<&'static str> {
        match self {
            Type::Real | Type::Double => Some("extra_float_digits"),
            Type::Date
            | Type::Timestamp(_)
            | Type::TimestampTz(_)
            | Type::Time(_)
            | Type::TimeTz(_) => Some("DateStyle and TimeZone"),
            Type::Interval(_) => Some("IntervalStyle"),
            Type::Told(name) => Some(match name.as_str() {
                "bytea" => "bytea_output",
                "money" => "lc_monetary",
                "xml" => "xmloption",
                name if name.starts_with("reg") => "search_path",
                name if name.ends_with("range") => "DateStyle and TimeZone",
                _ => "extra_float_digits",
            }),
            Type::Array(of) => of.told_by().or(Some("the settings of its elements")),
            Type::Whole(_)
            | Type::Numeric(_)
            | Type::Characters(_)
            | Type::Padded(_)
            | Type::Bits(_)
            | Type::BitsVarying(_)
            | Type::Plain(_)
            | Type::Foreign => None,
        }
    }

    fn is_money(&self) -> bool {
        matches!(self, Type::Told(name) if name == "money")
    }

    fn has_zone(&self) -> bool {
        matches!(self, Type::TimestampTz(_) | Type::TimeTz(_))
    }

    fn is_without_zone(&self) -> bool {
        matches!(self, Type::Date | Type::Timestamp(_) | Type::Time(_))
    }

    /// Whether its values are limited by a length that a cast would cut them to.
    fn is_cut(&self) -> bool {
        match self {
            Type::Characters(Some(_)) | Type::Padded(_) | Type::BitsVarying(Some(_)) => true,
            Type::Bits(_) => true,
            Type::Array(of) => of.is_cut(),
            _ => false,
        }
    }
}

fn digits(modifier: &str) -> Option<(i64, i64)> {
    let (precision, scale) = modifier.split_once(',').unwrap_or((modifier, "0"));
    Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

/// The settings that decide what a value of one type is as one of the other, either way; `None`: none
/// does, as far as types are PostgreSQL's own.
#[must_use]
pub fn depends_on(one: &str, other: &str) -> Option<&'static str> {
    depends(&Type::of(one), &Type::of(other))
}

fn depends(one: &Type, other: &Type) -> Option<&'static str> {
    let pair = |is: &dyn Fn(&Type) -> bool, other_is: &dyn Fn(&Type) -> bool| {
        (is(one) && other_is(other)) || (is(other) && other_is(one))
    };
    if let (Type::Array(one), Type::Array(other)) = (one, other) {
        return depends(one, other);
    }
    if pair(&Type::has_zone, &Type::is_without_zone) {
        return Some("TimeZone");
    }
    if one.is_money() != other.is_money() {
        return Some("lc_monetary");
    }
    match (one.is_text(), other.is_text()) {
        (true, false) => other.told_by(),
        (false, true) => one.told_by(),
        (true, true) | (false, false) => None,
    }
}

/// Between which of two types a time zone tells what a value is: whether the first has one.
pub(crate) fn zoned(legacy: &str, unified: &str) -> Option<bool> {
    match (Type::of(legacy), Type::of(unified)) {
        (Type::TimestampTz(_), Type::Timestamp(_) | Type::Date) => Some(true),
        (Type::Timestamp(_) | Type::Date, Type::TimestampTz(_)) => Some(false),
        _ => None,
    }
}

/// Whether a type has values that another cannot hold, of those between which a time zone tells.
pub(crate) fn loses(from: &str, to: &str) -> bool {
    let digits = |of: &Type| match of {
        Type::Timestamp(p) | Type::TimestampTz(p) => p.unwrap_or(6),
        _ => 0,
    };
    let (from, to) = (Type::of(from), Type::of(to));
    let is_date = |of: &Type| *of == Type::Date;
    !is_date(&from) && (is_date(&to) || digits(&from) > digits(&to))
}

/// Which values of the unified type the legacy type can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    All,
    /// A condition over a value that is no error for any.
    If(Over),
    /// Types do not tell.
    Unknown,
}

/// What a column of the legacy type can hold of the unified type's values, unchanged.
#[must_use]
pub fn held(legacy: &str, unified: &str) -> Held {
    if legacy == unified {
        return Held::All;
    }
    held_by(&Type::of(legacy), legacy, &Type::of(unified))
}

fn held_by(legacy: &Type, sql_type: &str, unified: &Type) -> Held {
    let when = |condition: String| Held::If(Over::of(&condition));
    match (legacy, unified) {
        (Type::Characters(None), _) => Held::All,
        (Type::Padded(None), Type::Characters(_) | Type::Padded(_)) => Held::All,
        (Type::Characters(Some(n)) | Type::Padded(Some(n)), _) => match unified {
            Type::Characters(Some(m)) | Type::Padded(Some(m)) if m <= n => Held::All,
            Type::Characters(_) | Type::Padded(_) => when(format!("char_length({VALUE}) <= {n}")),
            _ => when(format!("char_length(({VALUE})::text) <= {n}")),
        },
        (Type::Whole(_) | Type::Numeric(_) | Type::Real | Type::Double, _) => {
            number(legacy, unified)
        }
        (Type::Bits(n), Type::Bits(_) | Type::BitsVarying(_)) => {
            when(format!("length({VALUE}) = {n}"))
        }
        (Type::BitsVarying(limit), Type::Bits(_) | Type::BitsVarying(_)) => {
            match (limit, unified) {
                (None, _) => Held::All,
                (Some(n), Type::Bits(m) | Type::BitsVarying(Some(m))) if m <= n => Held::All,
                (Some(n), _) => when(format!("length({VALUE}) <= {n}")),
            }
        }
        (Type::Timestamp(p), Type::Timestamp(q))
        | (Type::TimestampTz(p), Type::TimestampTz(q))
        | (Type::Time(p), Type::Time(q))
        | (Type::TimeTz(p), Type::TimeTz(q)) => match (p, q) {
            (None, _) => Held::All,
            (Some(p), Some(q)) if q <= p => Held::All,
            (Some(_), _) => when(format!("{VALUE} = ({VALUE})::{sql_type}")),
        },
        (Type::Interval(limit), Type::Interval(_)) => match limit.as_str() {
            "" => Held::All,
            _ => when(format!("{VALUE} = ({VALUE})::{sql_type}")),
        },
        (Type::Timestamp(_), Type::Date) | (Type::Interval(_), Type::Time(_)) => Held::All,
        (Type::Date, Type::Timestamp(_)) => when(format!("{VALUE} = (({VALUE})::date)::timestamp")),
        (Type::Plain(one), Type::Plain(other)) => {
            match [("json", "jsonb"), ("inet", "cidr")].contains(&(one.as_str(), other.as_str())) {
                true => Held::All,
                false => Held::Unknown,
            }
        }
        (Type::Array(of), Type::Array(others)) => {
            match held_by(of, sql_type, others) {
                Held::All => Held::All,
                // Of an array each element would have to be looked at.
                Held::If(_) | Held::Unknown => Held::Unknown,
            }
        }
        _ => Held::Unknown,
    }
}

/// Numbers: those in range that the legacy type does not round. Of approximate ones only the range
/// matters, they are rounded as they come.
fn number(legacy: &Type, unified: &Type) -> Held {
    let real = "'3.4028234663852886e38'";
    let least = "'1.401298464324817e-45'";
    let condition = match (legacy, unified) {
        (Type::Whole(bits), Type::Whole(others)) if others <= bits => return Held::All,
        (Type::Whole(bits), Type::Whole(_)) => range(*bits),
        (Type::Whole(bits), Type::Numeric(_) | Type::Real | Type::Double) => {
            format!("{} AND {VALUE} = trunc({VALUE})", range(*bits))
        }
        (Type::Numeric(None), Type::Whole(_) | Type::Numeric(_) | Type::Real | Type::Double)
        | (Type::Real, Type::Whole(_))
        | (Type::Double, Type::Whole(_) | Type::Real) => return Held::All,
        (Type::Numeric(Some((p, s))), Type::Numeric(Some((q, t)))) if t <= s && q - t <= p - s => {
            return Held::All;
        }
        (Type::Numeric(Some((p, s))), Type::Whole(_)) if *s >= 0 => {
            format!("{VALUE} > -1e{k} AND {VALUE} < 1e{k}", k = p - s)
        }
        (Type::Numeric(Some((p, s))), Type::Whole(_) | Type::Numeric(_)) => format!(
            "({VALUE} > -1e{k} AND {VALUE} < 1e{k} AND {VALUE} = round({VALUE}, {s}) \
             OR {VALUE} = 'NaN'::numeric)",
            k = p - s
        ),
        (Type::Numeric(Some((p, s))), Type::Real | Type::Double) => format!(
            "CASE WHEN {VALUE} > -1e{k} AND {VALUE} < 1e{k} \
             THEN ({VALUE})::numeric = round(({VALUE})::numeric, {s}) ELSE {VALUE} = 'NaN' END",
            k = p - s
        ),
        (Type::Real, Type::Double) => format!(
            "({VALUE} = 0 OR abs({VALUE}) BETWEEN {least} AND {real} \
             OR {VALUE} IN ('Infinity', '-Infinity', 'NaN'))"
        ),
        (Type::Real, Type::Numeric(_)) => {
            format!("({VALUE} = 0 OR abs({VALUE}) BETWEEN {least} AND {real} OR {VALUE} = 'NaN')")
        }
        (Type::Double, Type::Numeric(_)) => {
            format!("({VALUE} = 0 OR abs({VALUE}) BETWEEN 1e-300 AND 1e308 OR {VALUE} = 'NaN')")
        }
        _ => return Held::Unknown,
    };
    Held::If(Over::of(&condition))
}

/// Compared with what is one more, since a floating-point number may not have the highest.
fn range(bits: u32) -> String {
    let least = -(1_i128 << (bits - 1));
    format!("{VALUE} >= {least} AND {VALUE} < {}", -least)
}

/// A value made one of a type as by assignment: what the type has no room for is the error that it is
/// there, where a cast would cut it in silence.
pub(crate) fn taken(sql_type: &str, value: &str) -> String {
    // What PostgreSQL adds to a length in a type's modifier.
    const HEADER: u32 = 4;
    let by = |function: &str, as_type: &str, modifier: u32| {
        format!("pg_catalog.{function}(({value})::{as_type}, {modifier}, false)")
    };
    // Input of a type takes no more than assignment does, whatever type it is.
    let read = |given: String| {
        format!(
            "(SELECT cf_r.cf_v FROM jsonb_to_record(jsonb_build_object('cf_v', {given})) \
             AS cf_r(cf_v {sql_type}))"
        )
    };
    match Type::of(sql_type) {
        Type::Characters(Some(n)) => by("\"varchar\"", "character varying", n + HEADER),
        Type::Padded(Some(n)) => by("bpchar", "bpchar", n + HEADER),
        Type::Bits(n) => by("\"bit\"", "bit varying", n),
        Type::BitsVarying(Some(n)) => by("varbit", "bit varying", n),
        Type::Foreign => read(format!("({value})::text")),
        array @ Type::Array(_) if array.is_cut() => read(format!("to_jsonb({value})")),
        _ => format!("({value})::{sql_type}"),
    }
}

/// Whether a type is none of PostgreSQL's own.
pub(crate) fn is_foreign(sql_type: &str) -> bool {
    Type::of(sql_type) == Type::Foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(legacy: &str, unified: &str) -> String {
        match held(legacy, unified) {
            Held::All => "all".to_owned(),
            Held::If(condition) => condition.over("v"),
            Held::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn a_wider_type_says_what_the_narrower_one_holds() {
        for (legacy, unified, expected) in [
            ("integer", "integer", "all"),
            ("integer", "bigint", "v >= -2147483648 AND v < 2147483648"),
            ("bigint", "integer", "all"),
            (
                "smallint",
                "numeric",
                "v >= -32768 AND v < 32768 AND v = trunc(v)",
            ),
            ("character varying(8)", "text", "char_length(v) <= 8"),
            (
                "character(8)",
                "character varying(9)",
                "char_length(v) <= 8",
            ),
            ("character varying(8)", "character varying(7)", "all"),
            (
                "character varying(8)",
                "uuid",
                "char_length((v)::text) <= 8",
            ),
            ("text", "character varying(10)", "all"),
            ("text", "public.citext", "all"),
            ("public.zip", "text", "unknown"),
            (
                "numeric(10,2)",
                "numeric",
                "(v > -1e8 AND v < 1e8 AND v = round(v, 2) OR v = 'NaN'::numeric)",
            ),
            ("numeric(10,2)", "numeric(9,1)", "all"),
            ("numeric(10,2)", "integer", "v > -1e8 AND v < 1e8"),
            (
                "timestamp(0) without time zone",
                "timestamp without time zone",
                "v = (v)::timestamp(0) without time zone",
            ),
            (
                "date",
                "timestamp without time zone",
                "v = ((v)::date)::timestamp",
            ),
            ("bit(3)", "bit varying(8)", "length(v) = 3"),
            ("text[]", "character varying(3)[]", "all"),
            ("character varying(3)[]", "text[]", "unknown"),
            ("json", "jsonb", "all"),
            ("integer", "text", "unknown"),
        ] {
            assert_eq!(condition(legacy, unified), expected, "{legacy} {unified}");
        }
    }

    #[test]
    fn settings_decide_between_some_types_either_way() {
        for (one, other, expected) in [
            (
                "timestamp without time zone",
                "timestamp with time zone",
                Some("TimeZone"),
            ),
            ("date", "timestamp(3) with time zone", Some("TimeZone")),
            (
                "timestamp without time zone[]",
                "timestamp with time zone[]",
                Some("TimeZone"),
            ),
            (
                "time without time zone",
                "time with time zone",
                Some("TimeZone"),
            ),
            ("date", "text", Some("DateStyle and TimeZone")),
            (
                "character varying(9)",
                "double precision",
                Some("extra_float_digits"),
            ),
            ("interval", "text", Some("IntervalStyle")),
            ("money", "numeric", Some("lc_monetary")),
            ("regclass", "text", Some("search_path")),
            ("bytea", "text", Some("bytea_output")),
            ("real[]", "text", Some("extra_float_digits")),
            ("date", "timestamp without time zone", None),
            ("real", "double precision", None),
            ("integer", "text", None),
            ("uuid", "character varying(36)", None),
            ("public.zip", "text", None),
            ("money", "money", None),
        ] {
            assert_eq!(depends_on(one, other), expected, "{one} {other}");
            assert_eq!(depends_on(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_value_is_taken_as_by_assignment() {
        for (sql_type, expected) in [
            ("integer", "(v)::integer"),
            (
                "character varying(8)",
                "pg_catalog.\"varchar\"((v)::character varying, 12, false)",
            ),
            ("character(1)", "pg_catalog.bpchar((v)::bpchar, 5, false)"),
            ("bit(3)", "pg_catalog.\"bit\"((v)::bit varying, 3, false)"),
            (
                "public.zip",
                "(SELECT cf_r.cf_v FROM jsonb_to_record(jsonb_build_object('cf_v', (v)::text)) \
                 AS cf_r(cf_v public.zip))",
            ),
            ("numeric(10,2)", "(v)::numeric(10,2)"),
        ] {
            assert_eq!(taken(sql_type, "v"), expected);
        }
    }
}
