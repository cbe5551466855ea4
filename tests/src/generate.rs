//! Random statements over the managed schema, from a grammar.
//!
//! Everything is drawn from a list of choices. The same choices give the same case, and smaller
//! ones a simpler case: alternative 0 of every rule is its plainest. So a failing case is shrunk
//! by removing and lowering choices, without knowing what they mean.
//!
//! It knows the tables and what may be written in SQL. It does not know what is right: that
//! PostgreSQL says. Statements whose result is not determined are not written: every LIMIT stands
//! behind an ORDER BY of all columns, ordered aggregates order by what is unique.

mod choices;
pub mod estate;
mod expression;
mod merge;
mod names;
mod read;
mod write;

use std::collections::BTreeSet;

pub use choices::Choices;
use expression::Type;

/// One parameter of a statement: its text, or its bytes for a binary one.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub value: Option<Vec<u8>>,
    pub binary: bool,
}

/// How a statement goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Simple,
    Extended { binary_results: bool },
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub parameters: Vec<Parameter>,
    pub protocol: Protocol,
    /// Rows come in a determined order.
    pub ordered: bool,
    /// What follows COPY … FROM STDIN.
    pub data: Option<String>,
    /// Where those that stand behind a first one begin, in characters.
    pub later: Vec<usize>,
    /// What the grammar put into it.
    pub constructs: BTreeSet<&'static str>,
}

/// Statements that one session runs one after the other from the same state.
#[derive(Clone, Debug)]
pub struct Case {
    pub statements: Vec<Statement>,
    pub writes: bool,
    /// What a second session runs before the last of the statements, for which it has to wait.
    pub waiting: Option<Vec<Statement>>,
}

impl Case {
    /// The statements of both sessions.
    pub fn all(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().chain(self.waiting.iter().flatten())
    }
}

/// The statement being written.
pub struct Grammar<'c> {
    pub choices: &'c mut Choices,
    constructs: BTreeSet<&'static str>,
    parameters: Vec<Parameter>,
    /// Parameters are allowed: the statement goes by the extended protocol.
    parametrised: bool,
    binary_results: bool,
    /// Numbers the aliases.
    aliases: u32,
    /// WITH queries in scope.
    with: Vec<(String, Vec<(String, Type)>)>,
    /// The case writes: what depends on `now()` and random ids must not be read into values.
    writes: bool,
}

/// One case of the grammar.
pub fn case(choices: &mut Choices) -> Case {
    let writes = choices.chance(55);
    let shape = choices.below(if writes { 4 } else { 3 });
    let mut statements = Vec::new();
    let count = if writes { 1 + choices.below(4) } else { 1 };
    match shape {
        0 => (0..count).for_each(|_| statements.push(statement(choices, writes))),
        1 | 3 => transaction(choices, writes, count, &mut statements),
        _ => statements.push(together(choices, writes, count)),
    }
    Case {
        statements,
        writes,
        waiting: None,
    }
}

fn transaction(choices: &mut Choices, writes: bool, count: usize, into: &mut Vec<Statement>) {
    let (begin, construct) = choices.pick(&[
        ("BEGIN", "READ COMMITTED"),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "REPEATABLE READ"),
        (
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SERIALIZABLE",
        ),
    ]);
    into.push(plain(begin, construct));
    for _ in 0..count {
        if choices.chance(25) {
            into.push(plain("SAVEPOINT s1", "SAVEPOINT"));
            into.push(statement(choices, writes));
            if choices.chance(50) {
                into.push(plain("ROLLBACK TO SAVEPOINT s1", "ROLLBACK TO"));
            }
        }
        into.push(statement(choices, writes));
    }
    let end = choices.pick(&["COMMIT", "ROLLBACK"]);
    into.push(plain(end, end));
}

/// Several statements in one Query message.
fn together(choices: &mut Choices, writes: bool, count: usize) -> Statement {
    let mut all = statement_in(choices, writes, Some(Protocol::Simple));
    if all.data.is_some() {
        return all;
    }
    for _ in 0..count {
        let next = statement_in(choices, writes, Some(Protocol::Simple));
        if next.data.is_some() {
            continue;
        }
        all.later.push(all.sql.chars().count() + 2);
        all.sql = format!("{}; {}", all.sql, next.sql);
        all.constructs.extend(next.constructs);
        all.constructs.insert("several statements");
        all.ordered &= next.ordered;
    }
    all
}

fn plain(sql: &str, construct: &'static str) -> Statement {
    Statement {
        sql: sql.to_owned(),
        parameters: Vec::new(),
        protocol: Protocol::Simple,
        ordered: true,
        data: None,
        later: Vec::new(),
        constructs: [construct].into(),
    }
}

fn statement(choices: &mut Choices, writes: bool) -> Statement {
    statement_in(choices, writes, None)
}

fn statement_in(choices: &mut Choices, writes: bool, protocol: Option<Protocol>) -> Statement {
    let protocol = protocol.unwrap_or_else(|| match choices.below(4) {
        0 | 1 => Protocol::Simple,
        2 => Protocol::Extended {
            binary_results: false,
        },
        _ => Protocol::Extended {
            binary_results: !writes,
        },
    });
    let mut grammar = Grammar {
        choices,
        constructs: BTreeSet::new(),
        parameters: Vec::new(),
        parametrised: protocol != Protocol::Simple,
        binary_results: protocol
            == Protocol::Extended {
                binary_results: true,
            },
        aliases: 0,
        with: Vec::new(),
        writes,
    };
    let mut written = if writes && grammar.choices.chance(75) {
        grammar.write()
    } else {
        grammar.read()
    };
    if protocol == Protocol::Simple && written.data.is_none() && grammar.choices.chance(8) {
        written.sql = format!("EXPLAIN (COSTS off) {}", written.sql);
        written.explained = true;
    }
    let sql = grammar.noisy(&written.sql);
    let mut constructs = grammar.constructs;
    constructs.insert(match protocol {
        Protocol::Simple => "simple protocol",
        Protocol::Extended {
            binary_results: false,
        } => "extended protocol",
        Protocol::Extended {
            binary_results: true,
        } => "binary results",
    });
    if written.explained {
        constructs.insert("EXPLAIN");
    }
    Statement {
        sql,
        parameters: grammar.parameters,
        protocol,
        ordered: written.ordered,
        data: written.data,
        later: Vec::new(),
        constructs,
    }
}

/// SQL, and what must be known to compare its answers.
pub(crate) struct Written {
    pub sql: String,
    pub ordered: bool,
    pub data: Option<String>,
    pub explained: bool,
}

impl Written {
    fn of(sql: String) -> Written {
        Written {
            sql,
            ordered: false,
            data: None,
            explained: false,
        }
    }
}

impl Grammar<'_> {
    pub(crate) fn saw(&mut self, construct: &'static str) {
        self.constructs.insert(construct);
    }

    pub(crate) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// The same tokens with comments and odd white space between them.
    fn noisy(&mut self, sql: &str) -> String {
        if !self.choices.chance(30) {
            return sql.to_owned();
        }
        self.saw("comments and white space");
        let mut noisy = String::new();
        let mut quote = None;
        for letter in sql.chars() {
            match quote {
                Some(end) if letter == end => quote = None,
                None if letter == '\'' || letter == '"' => quote = Some(letter),
                Some(_) | None => {}
            }
            if letter == ' ' && quote.is_none() && self.choices.chance(25) {
                noisy.push_str(self.choices.pick(&[
                    "  ",
                    "\n",
                    "\t\r\n ",
                    " /* FROM iso_agents; ( */ ",
                    "/*é /* nested ' */ */",
                    " -- RETURNING iso_agents '\n",
                ]));
            } else {
                noisy.push(letter);
            }
        }
        noisy
    }
}
