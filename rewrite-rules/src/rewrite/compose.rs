//! How a write is put together: WITH queries of our own, then the statement that answers.
//!
//! ```text
//! WITH ‹the client's queries›, cf_new AS (…), cf_put AS (…) SELECT … FROM cf_new AS t
//! ```
//!
//! A write that itself stands in the client's WITH gives its queries to the top level, where
//! alone PostgreSQL lets queries write, and leaves its answer in its place:
//!
//! ```text
//! WITH x AS (UPDATE t … RETURNING a) SELECT * FROM x
//! WITH cf_new_1 AS (UPDATE t … RETURNING t.*), cf_put_1 AS (…), x AS (SELECT a FROM cf_new_1 AS t)
//! SELECT * FROM x
//! ```

use std::ops::Range;

use super::Plan;
use super::says::returning::Carried;
use super::says::write::Write;
use crate::failure::Failure;
use crate::legend::query;
use crate::lens::TableName;
use crate::statement::Answer;
use crate::text::clauses::with_query;
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// A write being put together.
pub(super) struct Composer {
    /// Tells the names of several writes in one statement apart.
    suffix: String,
    with: Output,
    /// Conditions whose evaluation does part of the work.
    calls: Vec<String>,
}

/// A write, put together but for the place it will stand in.
pub(super) struct Composed {
    with: Output,
    calls: Vec<String>,
    last: Output,
    answer: Answer,
}

impl Composer {
    /// `number` is 0 for the statement's own write, else that of the WITH query it stands in.
    pub fn new(number: usize) -> Composer {
        let suffix = if number == 0 {
            String::new()
        } else {
            format!("_{number}")
        };
        Composer {
            suffix,
            with: Output::default(),
            calls: Vec::new(),
        }
    }

    /// The name of one of our WITH queries.
    pub fn name(&self, word: &str) -> String {
        format!("cf_{word}{}", self.suffix)
    }

    /// Adds a WITH query.
    pub fn query(&mut self, word: &str, sql: impl Into<Output>) {
        self.add(&format!("{} AS (", self.name(word)), sql.into());
    }

    /// Adds a WITH query that is computed once, whoever reads it.
    pub fn once(&mut self, word: &str, sql: impl Into<Output>) {
        self.add(
            &format!("{} AS MATERIALIZED (", self.name(word)),
            sql.into(),
        );
    }

    fn add(&mut self, head: &str, sql: Output) {
        if !self.with.sql.is_empty() {
            self.with.own(", ");
        }
        self.with.own(head).append(sql).own(")");
    }

    /// Adds a call that must happen, as a condition that is true.
    pub fn call(&mut self, condition: String) {
        self.calls.push(condition);
    }

    /// A condition that is true once one of our queries has run.
    pub fn behind(&self, word: &str) -> String {
        guard(&self.name(word))
    }

    /// Fails the statement where these of our queries do not find the same rows, of keys that changed meanwhile.
    pub fn same_number(&mut self, found: &str, written: &str) {
        let count = |query: &str| format!("(SELECT count(*) FROM {})", self.name(query));
        let (found, written) = (count(found), count(written));
        let changed = Failure::KeyChanged.unless_true(&written);
        self.call(format!(
            "CASE WHEN {found} = {written} THEN true ELSE {changed} END"
        ));
    }

    /// Ends with a statement of its own.
    pub fn end(self, last: impl Into<Output>, answer: Answer) -> Composed {
        Composed {
            with: self.with,
            calls: self.calls,
            last: last.into(),
            answer,
        }
    }

    /// Ends with the client's RETURNING list over row images, or with rows only to be counted.
    pub fn select(self, write: &Write<'_>, source: &Source<'_>, images: &str) -> Composed {
        let mut last = selected(write, source);
        last.own(&format!(" FROM {images} AS {}", write.alias));
        let hide_rows = write.clauses.returning.is_none();
        self.end(
            last,
            Answer {
                tag: Some(write.verb()),
                hide_rows,
                ..Answer::default()
            },
        )
    }
}

impl Composer {
    /// `cf_new`: a write of the client's that returns [`returned`].
    pub fn written(
        &mut self,
        mut statement: Output,
        (write, carried): (&Write<'_>, &Carried),
        table: &TableName,
    ) {
        statement.append(returned(write, carried, table));
        self.query(query::NEW, statement);
    }

    /// `cf_ups` and `cf_new`: a write that tells more of each of its rows (`cf_row`), and the rows.
    pub fn telling(
        &mut self,
        mut statement: Output,
        (write, carried): (&Write<'_>, &Carried),
        table: &TableName,
        more: &str,
    ) {
        statement.own(&format!(
            " RETURNING ROW({}.*)::{table} AS cf_row, {more}",
            write.alias
        ));
        statement.append(carried.values.clone());
        self.query(query::UPS, statement);
        let all = self.name(query::UPS);
        self.query(
            query::NEW,
            if carried.is_empty() {
                format!("SELECT (cf_row).* FROM {all}")
            } else {
                format!("SELECT cf_row, {} FROM {all}", carried.names.join(", "))
            },
        );
    }

    /// The answer over the rows of a statement that returned [`returned`].
    pub fn select_rows(
        self,
        write: &Write<'_>,
        source: &Source<'_>,
        rows: &str,
        carried: &Carried,
    ) -> Composed {
        if carried.is_empty() {
            return self.select(write, source, rows);
        }
        let mut last = selected(write, source);
        let from = carried.from(rows, "(cf_all.cf_row).*", &write.alias);
        last.own(&format!(" FROM {from}"));
        let answer = Answer {
            tag: Some(write.verb()),
            ..Answer::default()
        };
        self.end(last, answer)
    }
}

/// A condition that is true once a query has run.
pub(super) fn guard(query: &str) -> String {
    format!("(SELECT count(*) FROM {query}) >= 0")
}

/// Two conditions whose evaluation does part of the work, in this order.
pub(super) fn one_then(first: &str, then: &str) -> String {
    format!("CASE WHEN {first} THEN {then} END")
}

/// The client's RETURNING list as a result of its own.
fn selected(write: &Write<'_>, source: &Source<'_>) -> Output {
    let mut select = Output::default();
    select.own("SELECT ");
    if let Some(list) = write.clauses.returning.clone() {
        select.client(source, list);
    }
    select
}

/// What the client's statement returns: its rows, and beside them what its own list takes of
/// joined tables.
fn returned(write: &Write<'_>, carried: &Carried, table: &TableName) -> Output {
    let alias = &write.alias;
    let mut returned = Output::default();
    returned.own(&format!(" RETURNING {alias}.*"));
    if !carried.is_empty() {
        // The bare name may be a column's.
        returned.own(&format!(", ROW({alias}.*)::{table} AS cf_row"));
        returned.append(carried.values.clone());
    }
    returned
}

impl Composed {
    /// As the statement itself, behind the client's own WITH.
    pub fn at_top(self, with: Option<Range<usize>>, source: &Source<'_>) -> Plan {
        let mut output = Output::default();
        match with {
            Some(with) => {
                output.client(source, with);
                if !self.with.sql.is_empty() {
                    output.own(", ");
                }
            }
            None if !self.with.sql.is_empty() => {
                output.own("WITH ");
            }
            None => {}
        }
        output.append(self.with);
        if !output.sql.is_empty() {
            output.own(" ");
        }
        output.append(self.last);
        if !self.calls.is_empty() {
            output.own(&format!(" WHERE {}", self.calls.join(" AND ")));
        }
        Plan::Composed {
            output,
            answers: vec![self.answer],
        }
    }

    /// In the place of a WITH query: our queries before it, the answer as its body.
    pub fn in_with(
        mut self,
        query: &Tree,
        tokens: Tokens<'_>,
        number: usize,
        source: &mut Source<'_>,
    ) -> Option<()> {
        let start = query.location()?;
        let body = with_query(query, tokens)?.extent();
        if !self.calls.is_empty() {
            // A WITH query that only reads runs when it is read; one that writes always runs.
            self.with.own(&format!(
                ", cf_do_{number} AS (INSERT INTO crossfade.never SELECT true WHERE NOT ({}))",
                self.calls.join(" AND ")
            ));
        }
        if !self.with.sql.is_empty() {
            self.with.own(", ");
            source.edit(start..start, self.with);
        }
        // They are in the answer already.
        source.clear(&body);
        source.edit(body, self.last);
        Some(())
    }
}
