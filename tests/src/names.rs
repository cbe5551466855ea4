//! Random ways to say a table's name and to change what it means, by seed.
//!
//! It knows how PostgreSQL's lexer reads names and strings, and what may change their meaning. What a
//! name means in the end it does not know, but where nothing changes it: that the server says.

mod change;
mod spelling;
mod statement;

use std::fmt;

pub use change::{FUNCTIONS, PREPARED};

use crate::generate::Choices;

/// A table as a statement names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub schema: Option<&'static str>,
    pub table: &'static str,
}

const fn named(schema: Option<&'static str>, table: &'static str) -> Named {
    Named { schema, table }
}

/// The managed table comes by both of its names, and what is called like it.
const TABLES: &[Named] = &[
    named(None, "iso_agents"),
    named(None, "iso_agents"),
    named(None, "iso_agents"),
    named(Some("public"), "iso_agents"),
    named(Some("public"), "iso_agents"),
    named(Some("other"), "iso_agents"),
    named(Some("pg_temp"), "iso_agents"),
    named(None, "ISO_AGENTS"),
    named(Some("public"), "ISO_AGENTS"),
    named(None, "iso agents"),
];

/// The unified table, which a database that was left alone does not have.
const UNIFIED: &[Named] = &[named(None, "users"), named(Some("public"), "users")];

impl Named {
    #[must_use]
    pub fn is_unified(self) -> bool {
        self.table == "users"
    }

    /// Whether it means the managed table, where the path finds that one or does not; `None`: nobody knows
    /// the path.
    #[must_use]
    pub fn is_managed(self, found_by_path: Option<bool>) -> Option<bool> {
        match (self.schema, self.table) {
            (None, "iso_agents" | "users") => found_by_path,
            (Some("public"), "iso_agents" | "users") => Some(true),
            (_, _) => Some(false),
        }
    }
}

/// What a statement does with the table that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    Read,
    Write,
    /// DDL, and what else must not reach a managed table as it is.
    Command,
    /// In the body of DO or of a function.
    Body,
    /// In a text that a function reads by.
    ReadsText,
    /// Nothing but the catalog is asked.
    Catalog,
}

/// A statement that names a table.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub concern: Concern,
}

/// A text about one table, read as it stands.
#[derive(Clone, Debug)]
pub struct Text {
    pub sql: String,
    pub named: Named,
    pub concern: Concern,
    /// Something before the statement in the same text may change what names mean.
    pub changed: bool,
}

#[must_use]
pub fn text(choices: &mut Choices) -> Text {
    let named = match choices.below(8) {
        7 => choices.pick(UNIFIED),
        _ => choices.pick(TABLES),
    };
    let statement = statement::statement(choices, named, true);
    let changed = choices.chance(25);
    let sql = if changed {
        let change = change::change(choices, false);
        format!("{change}; {}", statement.sql)
    } else {
        statement.sql
    };
    Text {
        sql,
        named,
        concern: statement.concern,
        changed,
    }
}

/// A text that may change what names mean.
#[must_use]
pub fn change(choices: &mut Choices) -> String {
    change::change(choices, true)
}

/// How a text goes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Query,
    /// Parse, Bind, Execute of an unnamed statement.
    Unnamed,
    /// Parse of a statement that is run later, under its number.
    Prepare(usize),
    /// Bind and Execute of it, without a text.
    Run(usize),
    /// Bind and Execute of whatever the unnamed statement is.
    RunUnnamed,
}

/// What a session sends.
#[derive(Clone, Debug)]
pub struct Step {
    pub sql: String,
    pub way: Way,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.way, self.sql)
    }
}

/// What one new session sends, one after the other.
#[must_use]
pub fn script(choices: &mut Choices) -> Vec<Step> {
    let mut script = Script {
        choices,
        steps: Vec::new(),
        prepared: 0,
        in_block: false,
    };
    script.write();
    script.steps
}

struct Script<'c> {
    choices: &'c mut Choices,
    steps: Vec<Step>,
    prepared: usize,
    in_block: bool,
}

impl Script<'_> {
    fn write(&mut self) {
        if self.choices.chance(30) {
            self.name_it();
        }
        self.in_block = self.choices.chance(35);
        if self.in_block {
            self.send("BEGIN");
        }
        let saved = self.in_block && self.choices.chance(40);
        if saved {
            self.send("SAVEPOINT a");
        }
        for _ in 0..self.choices.below(3) {
            let change = change::change(self.choices, self.in_block);
            self.send(&change);
        }
        if self.choices.chance(25) {
            self.together();
        } else {
            self.name_it();
        }
        if saved {
            self.send("ROLLBACK TO a");
            self.name_it();
        }
        if self.in_block {
            // What every session would see must not stay.
            self.send("ROLLBACK");
            self.in_block = false;
            self.name_it();
        }
        self.run_again();
    }

    /// Several statements in one text.
    fn together(&mut self) {
        let named = self.choices.pick(TABLES);
        let change = change::change(self.choices, self.in_block);
        let statement = statement::statement(self.choices, named, false);
        let between = self.choices.pick(&["; ", ";", ";\n-- next\n", "; ; "]);
        let sql = format!("{change}{between}{}", statement.sql);
        self.steps.push(Step {
            sql,
            way: Way::Query,
        });
    }

    fn name_it(&mut self) {
        let named = self.choices.pick(TABLES);
        let Statement { sql, concern } = statement::statement(self.choices, named, false);
        let prepares = matches!(concern, Concern::Read | Concern::Write | Concern::ReadsText)
            && !sql.starts_with("COPY");
        if prepares && self.choices.chance(20) {
            self.prepared += 1;
            let number = self.prepared;
            self.steps.push(Step {
                sql,
                way: Way::Prepare(number),
            });
            self.run(Way::Run(number));
        } else if prepares && self.choices.chance(15) {
            self.prepared += 1;
            let name = format!("s{}", self.prepared);
            self.send(&format!("PREPARE {name} AS {sql}"));
            self.run(Way::Run(self.prepared));
            self.send(&format!("EXECUTE {name}"));
        } else if sql.starts_with("COPY") {
            self.steps.push(Step {
                sql,
                way: Way::Query,
            });
        } else {
            self.send(&sql);
        }
        if concern == Concern::Body
            && self
                .steps
                .last()
                .is_some_and(|s| s.sql.contains("pg_temp.f"))
        {
            self.send("SELECT pg_temp.f()");
        }
    }

    /// What was prepared before something changed.
    fn run_again(&mut self) {
        if self.prepared > 0 {
            let number = 1 + self.choices.below(self.prepared);
            self.run(Way::Run(number));
        }
        if self.choices.chance(10) {
            self.run(Way::RunUnnamed);
        }
    }

    fn run(&mut self, way: Way) {
        self.steps.push(Step {
            sql: String::new(),
            way,
        });
    }

    fn send(&mut self, sql: &str) {
        let way = self.choices.pick(&[Way::Query, Way::Query, Way::Unnamed]);
        self.steps.push(Step {
            sql: sql.to_owned(),
            way,
        });
    }
}
