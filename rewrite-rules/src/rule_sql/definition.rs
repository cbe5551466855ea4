//! Columns as CREATE TABLE has them: what stands behind one's name, or all of a table's.

mod references;
mod type_names;

pub(crate) use references::References;

use sqlparser::ast::{
    CheckConstraint, ColumnOption, Expr, ForeignKeyConstraint, GeneratedAs, Ident,
    NullsDistinctOption, TableConstraint, UniqueConstraint,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token};

use super::{SqlError, ended, folded, parser, qualify};
use crate::lens::{Generated, Over};

/// What stands behind a column's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Definition {
    pub sql_type: String,
    pub not_null: bool,
    pub default: Option<String>,
    pub generated: Option<Generated>,
}

/// Something with a name, and where it stands: line and column, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub name: String,
    pub at: (u64, u64),
    pub is: T,
}

/// The columns of a table, and what it says of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableDefinition {
    pub columns: Vec<Placed<Definition>>,
    pub constraints: Constraints,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    /// CHECKs with their conditions.
    pub checks: Vec<Placed<String>>,
    /// UNIQUE constraints with their columns.
    pub uniques: Vec<Placed<Vec<String>>>,
    pub references: Vec<Placed<References>>,
}

/// Words with which an element of CREATE TABLE begins that is no column.
const NO_COLUMN: [Keyword; 6] = [
    Keyword::CONSTRAINT,
    Keyword::CHECK,
    Keyword::PRIMARY,
    Keyword::UNIQUE,
    Keyword::FOREIGN,
    Keyword::LIKE,
];

/// Reads `type [NOT NULL] [DEFAULT expression]`.
pub(crate) fn definition(text: &str) -> Result<Definition, String> {
    let mut parser = parser(text)?;
    let mut constraints = Constraints::default();
    let found = behind_the_name(&mut parser, (text, ""), &mut constraints)
        .map_err(|error| error.message)?;
    let checks = constraints
        .checks
        .iter()
        .map(|check| ("CHECK", &check.name));
    let uniques = constraints.uniques.iter().map(|u| ("UNIQUE", &u.name));
    let references = constraints.references.iter();
    let references = references.map(|r| ("FOREIGN KEY", &r.name));
    if let Some((what, name)) = checks.chain(uniques).chain(references).next() {
        return Err(format!(
            "found the {what} `{name}`; expected nothing but NOT NULL and DEFAULT behind the type"
        ));
    }
    ended(&mut parser)?;
    Ok(found)
}

/// Reads what stands between the parentheses of CREATE TABLE.
pub(crate) fn table(text: &str) -> Result<TableDefinition, SqlError> {
    // What has no place is missing at the end.
    let line = text.matches('\n').count() as u64 + 1;
    let column = text.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
    elements(text).map_err(|error| SqlError {
        at: error.at.or(Some((line, column))),
        ..error
    })
}

fn elements(text: &str) -> Result<TableDefinition, SqlError> {
    let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text);
    let mut parser = parser.map_err(of_parser)?;
    let mut table = TableDefinition::default();
    loop {
        let at = parser.peek_token();
        if at.token == Token::EOF {
            return Err(SqlError::new(
                "found no column; expected its name and type",
                at.span.start,
            ));
        }
        let constrains = matches!(&at.token, Token::Word(word)
            if word.quote_style.is_none() && NO_COLUMN.contains(&word.keyword));
        if constrains {
            let found = parser
                .parse_optional_table_constraint()
                .map_err(of_parser)?;
            let start = at.span.start;
            match found {
                Some(TableConstraint::Check(check)) => {
                    table.constraints.checks.push(named(check, start)?);
                }
                Some(TableConstraint::Unique(unique)) => {
                    table.constraints.uniques.push(columns_of(unique, start)?);
                }
                Some(TableConstraint::ForeignKey(key)) => {
                    table
                        .constraints
                        .references
                        .push(references::of(key, start)?);
                }
                Some(other) => return Err(unexpected(&other, start)),
                None => return Err(unexpected(&at.token, start)),
            }
        } else {
            let name = folded(&parser.parse_identifier().map_err(of_parser)?);
            let is = behind_the_name(&mut parser, (text, &name), &mut table.constraints)?;
            table.columns.push(Placed {
                name,
                at: (at.span.start.line, at.span.start.column),
                is,
            });
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let next = parser.peek_token();
    if next.token == Token::EOF {
        Ok(table)
    } else {
        let said = format!("expected a comma or the end of the columns, found `{next}`");
        Err(SqlError::new(said, next.span.start))
    }
}

fn behind_the_name(
    parser: &mut Parser<'_>,
    (text, column): (&str, &str),
    constraints: &mut Constraints,
) -> Result<Definition, SqlError> {
    let mut found = Definition {
        sql_type: type_name(parser, text)?,
        ..Definition::default()
    };
    loop {
        let at = parser.peek_token().span.start;
        let name = if parser.parse_keyword(Keyword::CONSTRAINT) {
            Some(parser.parse_identifier().map_err(of_parser)?)
        } else {
            None
        };
        let Some(option) = parser.parse_optional_column_option().map_err(of_parser)? else {
            return match name {
                Some(name) => Err(unexpected(&format!("CONSTRAINT {name}"), at)),
                None => Ok(found),
            };
        };
        match option {
            ColumnOption::NotNull => found.not_null = true,
            ColumnOption::Null => {}
            ColumnOption::Default(value) => {
                let (sql, _) = qualify(&value.to_string(), "", Some(&[]))
                    .map_err(|error| SqlError::new(error, at))?;
                if found.default.replace(sql).is_some() {
                    return Err(SqlError::new(
                        "the column has two defaults; expected one",
                        at,
                    ));
                }
            }
            ColumnOption::Generated {
                generated_as,
                generation_expr,
                sequence_options: _,
                generation_expr_mode: _,
                generated_keyword: _,
            } => {
                let is = match (generation_expr, generated_as) {
                    (Some(sql), _) => Generated::Expression(Over::of(&sql.to_string())),
                    (None, as_identity) => Generated::Identity {
                        always: as_identity == GeneratedAs::Always,
                    },
                };
                if found.generated.replace(is).is_some() {
                    return Err(SqlError::new("the column is generated twice", at));
                }
            }
            ColumnOption::Check(check) => {
                let name = name.or(check.name);
                let check = named(CheckConstraint { name, ..check }, at)?;
                constraints.checks.push(check);
            }
            // One that stands alone has no table around it.
            ColumnOption::Unique(unique) if !column.is_empty() => {
                let name = name.or(unique.name.clone());
                let mut unique = columns_of(UniqueConstraint { name, ..unique }, at)?;
                unique.is = vec![column.to_owned()];
                constraints.uniques.push(unique);
            }
            ColumnOption::ForeignKey(key) if !column.is_empty() => {
                let name = name.or(key.name.clone());
                let columns = vec![Ident::with_quote('"', column)];
                let key = ForeignKeyConstraint {
                    name,
                    columns,
                    ..key
                };
                constraints.references.push(references::of(key, at)?);
            }
            other => return Err(unexpected(&other, at)),
        }
    }
}

/// The type that comes next, as PostgreSQL tells it.
fn type_name(parser: &mut Parser<'_>, text: &str) -> Result<String, SqlError> {
    let start = parser.peek_token().span.start;
    parser.parse_data_type().map_err(of_parser)?;
    let behind = parser.peek_token();
    let end = match behind.token {
        Token::EOF => text.len(),
        _ => byte_of(text, behind.span.start),
    };
    let written = text.get(byte_of(text, start)..end).unwrap_or_default();
    type_names::told(written).map_err(|message| SqlError::new(message, start))
}

fn named(check: CheckConstraint, at: Location) -> Result<Placed<String>, SqlError> {
    Ok(Placed {
        name: its_name(check.name.as_ref(), &check, at)?,
        at: (at.line, at.column),
        is: check.expr.to_string(),
    })
}

/// A UNIQUE constraint as ON CONFLICT can go by it.
fn columns_of(unique: UniqueConstraint, at: Location) -> Result<Placed<Vec<String>>, SqlError> {
    let name = its_name(unique.name.as_ref(), &unique, at)?;
    let plain = unique.index_name.is_none()
        && unique.index_type.is_none()
        && unique.index_options.is_empty()
        && unique.characteristics.is_none()
        && unique.nulls_distinct != NullsDistinctOption::NotDistinct;
    let columns: Option<Vec<String>> = unique
        .columns
        .iter()
        .map(|column| match &column.column.expr {
            Expr::Identifier(name) if column.operator_class.is_none() => Some(folded(name)),
            _ => None,
        })
        .collect();
    match columns.filter(|_| plain) {
        Some(is) => Ok(Placed {
            name,
            at: (at.line, at.column),
            is,
        }),
        None => Err(SqlError::new(
            format!("found `{unique}`; expected `CONSTRAINT name UNIQUE (column, …)`"),
            at,
        )),
    }
}

/// A constraint goes by its name: errors tell it.
fn its_name(
    name: Option<&Ident>,
    constraint: &impl std::fmt::Display,
    at: Location,
) -> Result<String, SqlError> {
    name.map(folded).ok_or_else(|| {
        let said = format!(
            "found `{constraint}` without a name; expected `CONSTRAINT name {constraint}`, by the \
             name that the legacy table has for it"
        );
        SqlError::new(said, at)
    })
}

fn unexpected(found: &impl std::fmt::Display, at: Location) -> SqlError {
    SqlError::new(
        format!(
            "found `{found}`; expected nothing but NOT NULL, DEFAULT, GENERATED, UNIQUE, REFERENCES and CHECK: \
             `key` says the key"
        ),
        at,
    )
}

fn of_parser(error: sqlparser::parser::ParserError) -> SqlError {
    SqlError::of_parser(&error)
}

/// The byte at which the parser's line and column stand.
fn byte_of(text: &str, at: Location) -> usize {
    let line = usize::try_from(at.line).unwrap_or(1).saturating_sub(1);
    let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    let inside: usize = rest.chars().take(column).map(char::len_utf8).sum();
    before + inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Vec<(String, Definition)> {
        let table = table(text).expect("it is right");
        table.columns.into_iter().map(|c| (c.name, c.is)).collect()
    }

    fn is(sql_type: &str, not_null: bool, default: Option<&str>) -> Definition {
        Definition {
            sql_type: sql_type.to_owned(),
            not_null,
            default: default.map(str::to_owned),
            generated: None,
        }
    }

    #[test]
    fn a_table_reads_as_create_table_has_it() {
        let found = columns(
            "id bigint NOT NULL DEFAULT nextval('public.t_id_seq'), -- whose\n  Name varchar ( 150 ) /* long */ NOT NULL,\
             \"Odd, name\" timestamptz DEFAULT now(), tags text[], at timestamp(3) DEFAULT NULL NULL",
        );
        let expected = [
            ("id", is("bigint", true, Some("nextval('public.t_id_seq')"))),
            ("name", is("character varying(150)", true, None)),
            (
                "Odd, name",
                is("timestamp with time zone", false, Some("now()")),
            ),
            ("tags", is("text[]", false, None)),
            (
                "at",
                is("timestamp(3) without time zone", false, Some("NULL")),
            ),
        ];
        assert_eq!(found, expected.map(|(name, is)| (name.to_owned(), is)));
    }

    #[test]
    fn checks_go_by_their_names_wherever_they_stand() {
        let table = table(
            "n integer CONSTRAINT n_is_small CHECK (n < 10) NOT NULL,\n\
             CONSTRAINT \"N odd\" CHECK (n % 2 = 1), m int",
        )
        .expect("it is right");
        let checks: Vec<_> = table
            .constraints
            .checks
            .iter()
            .map(|check| (check.name.as_str(), check.is.as_str(), check.at))
            .collect();
        assert_eq!(
            checks,
            [
                ("n_is_small", "n < 10", (1, 11)),
                ("N odd", "n % 2 = 1", (2, 1))
            ]
        );
        assert_eq!(table.columns[0].is, is("integer", true, None));
        assert_eq!(table.columns[1].at, (2, 39));
    }

    #[test]
    fn unique_constraints_stand_among_the_columns() {
        let table = table(
            "n integer CONSTRAINT n_key UNIQUE NOT NULL, CONSTRAINT both UNIQUE (m, \"N\"), m int",
        )
        .expect("it is right");
        let uniques = table.constraints.uniques.iter();
        let uniques: Vec<_> = uniques.map(|u| (u.name.as_str(), u.is.join(" "))).collect();
        assert_eq!(
            uniques,
            [("n_key", "n".to_owned()), ("both", "m N".to_owned())]
        );
    }

    #[test]
    fn a_column_that_fills_itself_says_how() {
        let found = columns(
            "a int GENERATED ALWAYS AS IDENTITY, b bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY (START WITH 7), \
             c text GENERATED ALWAYS AS (lower(d)) STORED NOT NULL, d text",
        );
        let found: Vec<Option<Generated>> = found.into_iter().map(|(_, is)| is.generated).collect();
        let identity = |always| Some(Generated::Identity { always });
        let expected = [
            identity(true),
            identity(false),
            Some(Generated::Expression(Over::of("lower(d)"))),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_column_is_told_with_its_place() {
        for (text, says, at) in [
            ("a int,\n  b", "Expected: a data type", (2, 4)),
            (
                "a int,\n  b text DEFAULT 'x",
                "Unterminated string",
                (2, 18),
            ),
            ("a int,", "found no column", (1, 7)),
            ("", "found no column", (1, 1)),
            ("a int b text", "expected a comma", (1, 7)),
            ("a int,\nPRIMARY KEY (a)", "`key` says the key", (2, 1)),
            ("a int PRIMARY KEY", "`key` says the key", (1, 7)),
            ("a int REFERENCES b (c)", "without a name", (1, 7)),
            ("a int UNIQUE", "without a name", (1, 7)),
            ("a int, UNIQUE (a)", "without a name", (1, 8)),
            (
                "a int, CONSTRAINT b UNIQUE (lower(a))",
                "expected `CONSTRAINT name UNIQUE (column, …)`",
                (1, 8),
            ),
            (
                "a int, CONSTRAINT b UNIQUE (a) DEFERRABLE",
                "expected `CONSTRAINT name UNIQUE (column, …)`",
                (1, 8),
            ),
            ("a int CHECK (a > 0)", "without a name", (1, 7)),
            ("a int, CHECK (a > 0)", "without a name", (1, 8)),
            ("a int CONSTRAINT b", "found `CONSTRAINT b`", (1, 7)),
            ("a int DEFAULT 1 DEFAULT 2", "two defaults", (1, 17)),
            ("a int DEFAULT b", "unknown column `b`", (1, 7)),
            ("a bigserial", "found `bigserial`", (1, 3)),
            ("LIKE b", "found `LIKE`", (1, 1)),
        ] {
            let error = table(text).expect_err(text);
            assert!(error.message.contains(says), "{text}: {}", error.message);
            assert_eq!(error.at, Some(at), "{text}: {}", error.message);
        }
    }

    #[test]
    fn one_definition_has_no_check() {
        assert_eq!(definition("int2 NOT NULL"), Ok(is("smallint", true, None)));
        let error = definition("int CONSTRAINT x CHECK (a > 0)").expect_err("a CHECK");
        assert!(error.contains("found the CHECK `x`"), "{error}");
    }
}
