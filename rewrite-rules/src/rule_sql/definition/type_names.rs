//! Types under the names by which PostgreSQL tells them (`format_type`): `varchar(10)` is
//! `character varying(10)`. Which type is meant decides how values are compared and cut.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// A type as it is told. What has one name only is given back as written, spaces and comments apart.
pub(super) fn told(written: &str) -> Result<String, String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, written)
        .tokenize()
        .map_err(|error| error.to_string())?;
    let tokens: Vec<Token> = tokens
        .into_iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .collect();
    let parts = TypeNameParts::of(&tokens);
    let name = parts.name.join(" ");
    if ["smallserial", "serial", "bigserial"].contains(&name.as_str()) {
        return Err(format!(
            "found `{name}`; expected the column's type and its DEFAULT nextval('…'), as the table \
             has them"
        ));
    }
    let modifier = parts.modifier.as_str();
    let behind = parts.behind.join(" ");
    let (name, modifier, behind) = match (name.as_str(), behind.as_str()) {
        ("int" | "int4", "") => ("integer", modifier, ""),
        ("int2", "") => ("smallint", modifier, ""),
        ("int8", "") => ("bigint", modifier, ""),
        ("bool", "") => ("boolean", modifier, ""),
        ("float4", "") => ("real", modifier, ""),
        ("float8", "") => ("double precision", modifier, ""),
        ("float", "") => match bits(modifier) {
            Some(1..=24) => ("real", "", ""),
            Some(_) | None => ("double precision", "", ""),
        },
        ("decimal" | "dec" | "numeric", "") if is_number(modifier) => {
            return Ok(format!(
                "numeric({},0){}",
                bits(modifier).unwrap_or(0),
                parts.array
            ));
        }
        ("decimal" | "dec", "") => ("numeric", modifier, ""),
        ("varchar" | "char varying", "") => ("character varying", modifier, ""),
        ("char" | "character", "") if modifier.is_empty() => ("character", "(1)", ""),
        ("char", "") => ("character", modifier, ""),
        ("bpchar", "") if !modifier.is_empty() => ("character", modifier, ""),
        ("bit", "") if modifier.is_empty() => ("bit", "(1)", ""),
        ("varbit", "") => ("bit varying", modifier, ""),
        ("timestamptz", "") => ("timestamp", modifier, " with time zone"),
        ("timetz", "") => ("time", modifier, " with time zone"),
        ("timestamp", "" | "without time zone") => ("timestamp", modifier, " without time zone"),
        ("time", "" | "without time zone") => ("time", modifier, " without time zone"),
        ("timestamp with time zone", "") => ("timestamp", "", " with time zone"),
        ("time with time zone", "") => ("time", "", " with time zone"),
        (name, "") => (name, modifier, ""),
        (name, behind) => {
            return Ok(format!("{name}{modifier} {behind}{}", parts.array));
        }
    };
    Ok(format!("{name}{modifier}{behind}{}", parts.array))
}

/// `timestamp (3) with time zone []` taken apart.
#[derive(Default)]
struct TypeNameParts {
    name: Vec<String>,
    /// With its parentheses; empty when there is none.
    modifier: String,
    /// Words behind the modifier.
    behind: Vec<String>,
    array: String,
}

impl TypeNameParts {
    fn of(tokens: &[Token]) -> TypeNameParts {
        let mut parts = TypeNameParts::default();
        let mut joined = false;
        for token in tokens {
            let text = match token {
                Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
                other => other.to_string(),
            };
            let inside = parts.modifier.starts_with('(') && !parts.modifier.ends_with(')');
            match token {
                _ if inside => parts.modifier += &text,
                Token::LParen if parts.modifier.is_empty() => parts.modifier += "(",
                Token::LBracket | Token::RBracket => parts.array += &text,
                _ if !parts.array.is_empty() => parts.array += &text,
                Token::Period => {
                    joined = true;
                    if let Some(last) = parts.name.last_mut() {
                        last.push('.');
                    }
                }
                _ if joined => {
                    joined = false;
                    if let Some(last) = parts.name.last_mut() {
                        *last += &text;
                    }
                }
                _ if parts.modifier.is_empty() => parts.name.push(text),
                _ => parts.behind.push(text),
            }
        }
        // `timestamp without time zone` is `timestamp`.
        let words: Vec<&str> = parts.name.iter().map(String::as_str).collect();
        if let [_, "without", "time", "zone"] = words.as_slice() {
            parts.behind = parts.name.split_off(1);
        }
        parts
    }
}

fn bits(modifier: &str) -> Option<u32> {
    let number = modifier.strip_prefix('(')?.strip_suffix(')')?;
    number.parse().ok()
}

fn is_number(modifier: &str) -> bool {
    bits(modifier).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_the_names_that_the_server_tells() {
        for (written, expected) in [
            ("int", "integer"),
            ("INT8", "bigint"),
            ("int2[]", "smallint[]"),
            ("bool", "boolean"),
            ("varchar", "character varying"),
            ("VarChar (150)", "character varying(150)"),
            ("varchar(20)[][3]", "character varying(20)[][3]"),
            ("character varying(5)", "character varying(5)"),
            ("char", "character(1)"),
            ("char(3)", "character(3)"),
            ("bpchar", "bpchar"),
            ("\"char\"", "\"char\""),
            ("bit", "bit(1)"),
            ("varbit(9)", "bit varying(9)"),
            ("float", "double precision"),
            ("float(24)", "real"),
            ("float(25)", "double precision"),
            ("float8", "double precision"),
            ("double  precision", "double precision"),
            ("decimal", "numeric"),
            ("numeric(10)", "numeric(10,0)"),
            ("decimal(10, 2)", "numeric(10,2)"),
            ("timestamp", "timestamp without time zone"),
            ("timestamp(3)", "timestamp(3) without time zone"),
            ("timestamp without time zone", "timestamp without time zone"),
            (
                "timestamp (3) with time zone",
                "timestamp(3) with time zone",
            ),
            ("timestamptz", "timestamp with time zone"),
            ("timestamptz(0)[]", "timestamp(0) with time zone[]"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("timetz", "time with time zone"),
            ("time", "time without time zone"),
            ("uuid", "uuid"),
            ("public.user_role", "public.user_role"),
            ("\"My\".\"Type\"[]", "\"My\".\"Type\"[]"),
            ("jsonb -- what else", "jsonb"),
        ] {
            assert_eq!(told(written).as_deref(), Ok(expected), "{written}");
        }
    }
}
