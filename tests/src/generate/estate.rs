//! Random statements over the tables of [`crate::estate`]: keys that change under what refers to them, values that a
//! column has no room for, times under other settings, columns that fill themselves, groups by a key, constraints that
//! wait, roles with some rights, and writers that wait for each other.
//!
//! What a statement does is determined, as in the grammar of the agents. What is right PostgreSQL says.

mod keys;
mod reads;
mod session;
mod values;
mod waits;
mod writes;

use std::collections::BTreeSet;

use super::{Case, Choices, Parameter, Protocol, Statement, plain};
use values::Kind;

/// Each of them occurs in a run that is long enough; whatever else the grammar writes is counted as well.
pub const CONSTRUCTS: &[&str] = &[
    "key change under CASCADE",
    "key change under SET NULL",
    "key change under SET DEFAULT",
    "key change under RESTRICT",
    "key change under NO ACTION",
    "key change under a deferred key",
    "key change under SET NULL, deferrable",
    "key change under its own table",
    "key change under a table that stays",
    "delete under CASCADE",
    "delete under SET NULL",
    "delete under SET DEFAULT",
    "delete under RESTRICT",
    "delete under NO ACTION",
    "delete under a deferred key",
    "delete under CASCADE, deferrable",
    "delete under its own table",
    "delete under a table that stays",
    "a row that refers",
    "a row that refers to nothing",
    "SET CONSTRAINTS DEFERRED",
    "SET CONSTRAINTS IMMEDIATE",
    "COMMIT behind deferred constraints",
    "no room: integer in bigint",
    "no room: smallint in integer",
    "no room: varchar in text",
    "no room: domain over its base",
    "no room: bounded numeric",
    "no room: date in text",
    "no room: interval",
    "no room: timestamp in timestamptz",
    "no room: timestamptz in timestamp",
    "SET TimeZone",
    "SET DateStyle",
    "SET IntervalStyle",
    "SET LOCAL",
    "times as text",
    "times compared",
    "times converted",
    "identity: DEFAULT",
    "identity: a value",
    "OVERRIDING SYSTEM VALUE",
    "OVERRIDING USER VALUE",
    "a value for a computed column",
    "DEFAULT for a computed column",
    "what a computed column is made of",
    "COPY FROM with columns",
    "COPY FROM without columns",
    "COPY TO with columns",
    "COPY TO without columns",
    "GROUP BY a key",
    "GROUP BY a key in a subquery",
    "GROUP BY a key of a join",
    "GROUP BY a key with HAVING",
    "GROUP BY a key with DISTINCT ON",
    "GROUP BY a key with a window",
    "GROUP BY what is no key",
    "SET ROLE",
    "a role that may read",
    "a role that may not delete",
    "a role that may delete",
    "a role that may truncate",
    "a role that has one table",
    "a role with less than it needs",
    "TRUNCATE",
    "a writer that waits for an UPDATE",
    "a writer that waits for a DELETE",
    "a writer that waits for a key change",
    "a writer that waits for an INSERT",
    "a writer that waits for a lock",
    "a writer that waits for a reference",
    "a writer that refers meanwhile",
];

/// The statement being written.
struct Grammar<'c> {
    choices: &'c mut Choices,
    constructs: BTreeSet<&'static str>,
    parameters: Vec<Parameter>,
    /// Goes by the extended protocol.
    parametrised: bool,
    /// Numbers the statement among those of its case: new keys and names.
    at: usize,
}

/// A statement's text, and what must be known to send it and to compare its answers.
struct Text {
    sql: String,
    ordered: bool,
    data: Option<String>,
}

impl From<String> for Text {
    fn from(sql: String) -> Text {
        Text {
            sql,
            ordered: false,
            data: None,
        }
    }
}

fn ordered(sql: String) -> Text {
    Text {
        ordered: true,
        ..Text::from(sql)
    }
}

/// One case of the grammar.
#[must_use]
pub fn case(choices: &mut Choices) -> Case {
    if choices.chance(22) {
        return waits::case(choices);
    }
    let mut statements = Vec::new();
    if choices.chance(40) {
        session::settings(choices, &mut statements);
    }
    if choices.chance(25) {
        statements.push(session::role(choices));
    }
    let writes = choices.chance(85);
    let count = 1 + choices.below(4);
    if choices.chance(45) {
        transaction(choices, count, &mut statements);
    } else {
        for at in 0..count {
            statements.push(statement(choices, at, writes));
        }
    }
    Case {
        statements,
        writes: true,
        waiting: None,
    }
}

fn transaction(choices: &mut Choices, count: usize, into: &mut Vec<Statement>) {
    let (begin, construct) = choices.pick(&[
        ("BEGIN", "READ COMMITTED"),
        ("BEGIN", "READ COMMITTED"),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "REPEATABLE READ"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "SERIALIZABLE"),
    ]);
    into.push(plain(begin, construct));
    let mut deferred = false;
    if choices.chance(45) {
        into.push(session::constraints(choices));
        deferred = true;
    }
    for at in 0..count {
        if choices.chance(20) {
            into.push(plain("SAVEPOINT s1", "SAVEPOINT"));
            into.push(statement(choices, at + 10, true));
            if choices.chance(50) {
                into.push(plain("ROLLBACK TO SAVEPOINT s1", "ROLLBACK TO"));
            }
        }
        if choices.chance(8) {
            session::settings(choices, into);
        }
        into.push(statement(choices, at, true));
    }
    if choices.chance(20) {
        into.push(session::constraints(choices));
    }
    let end = choices.pick(&["COMMIT", "COMMIT", "ROLLBACK"]);
    let mut end = plain(end, end);
    if deferred && end.sql == "COMMIT" {
        end.constructs.insert("COMMIT behind deferred constraints");
    }
    into.push(end);
}

/// A statement of the grammar.
fn statement(choices: &mut Choices, at: usize, writes: bool) -> Statement {
    made(choices, at, |grammar| match writes {
        true => grammar.any(),
        false => grammar.read(),
    })
}

/// A statement as it is sent.
fn made(choices: &mut Choices, at: usize, write: impl FnOnce(&mut Grammar) -> Text) -> Statement {
    let protocol = match choices.below(3) {
        0 | 1 => Protocol::Simple,
        _ => Protocol::Extended {
            binary_results: false,
        },
    };
    let mut grammar = Grammar {
        choices,
        constructs: BTreeSet::new(),
        parameters: Vec::new(),
        parametrised: protocol != Protocol::Simple,
        at,
    };
    let text = write(&mut grammar);
    let mut constructs = grammar.constructs;
    constructs.insert(match protocol {
        Protocol::Simple => "simple protocol",
        Protocol::Extended { .. } => "extended protocol",
    });
    Statement {
        sql: text.sql,
        parameters: grammar.parameters,
        protocol,
        ordered: text.ordered,
        data: text.data,
        later: Vec::new(),
        constructs,
    }
}

impl Grammar<'_> {
    fn saw(&mut self, construct: &'static str) {
        self.constructs.insert(construct);
    }

    fn any(&mut self) -> Text {
        match self.choices.below(24) {
            0 | 1 => self.read(),
            2..=5 => self.key_change(),
            6..=8 => self.remove(),
            9..=11 => self.refer(),
            12..=15 => self.house(),
            16..=19 => self.staff(),
            20 => self.copy_in(),
            21 => self.copy_out(),
            22 => self.merge(),
            _ => self.command(),
        }
    }

    /// A new number that no other statement of the case gives, mostly.
    fn new_id(&mut self) -> i64 {
        let at = i64::try_from(self.at).unwrap_or(0);
        let low = i64::try_from(self.choices.below(8)).unwrap_or(0);
        200 + at * 10 + low
    }

    /// A constant for a column, or a parameter for it.
    fn constant(&mut self, kind: Kind, literal: &str) -> String {
        let text = literal
            .strip_prefix('\'')
            .and_then(|t| t.strip_suffix('\''));
        let number = literal.parse::<f64>().is_ok().then_some(literal);
        let Some(text) = text.filter(|t| !t.contains('\'')).or(number) else {
            return literal.to_owned();
        };
        if !self.parametrised || !self.choices.chance(45) {
            return literal.to_owned();
        }
        self.parameters.push(Parameter {
            value: Some(text.as_bytes().to_vec()),
            binary: false,
        });
        let number = self.parameters.len();
        if self.choices.chance(25) {
            self.saw("parameters with a type");
            return format!("${number}::{}", kind.sql_type());
        }
        self.saw("bare parameters");
        format!("${number}")
    }
}
