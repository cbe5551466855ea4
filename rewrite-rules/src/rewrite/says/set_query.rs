//! `SET (a, b) = (SELECT …)` once unified leads.
//!
//! ```text
//! UPDATE iso_agents SET (full_name, role) = (SELECT c.name, 'admin' FROM … WHERE …)
//!
//! UPDATE users AS cf_u SET ("full_name", "role") = (SELECT cf_q.cf_c1, CASE cf_q.cf_c2 WHEN … END
//!   FROM (SELECT (cf_old.cf_row).*) AS "iso_agents"
//!   LEFT JOIN LATERAL (SELECT c.name, … FROM … WHERE …) AS cf_q(cf_c1, cf_c2) ON true)
//! ```
//!
//! The query runs once for each row, as the client's would, over relations of the client's names.
//! Without a row its values are NULL; with several the server says that a subquery gave more than one.
//!
//! Where the result is no assignment but a row image, as for a lens that the operator wrote, it stands in
//! FROM instead, with the same answers: a row that another transaction changes while the statement waits
//! for it would be found again with the values of before, and that lens sees it.

use super::place::Target;
use crate::lens::list;
use crate::rewrite::expression::{first_of_value, own_put};
use crate::text::clauses::{Assignment, begins_query};
use crate::text::splice::MappedAs;
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;

/// What a column is set to.
#[derive(Clone, Copy)]
pub(in crate::rewrite) enum Value<'a> {
    Expression(Tokens<'a>),
    /// A column of one of the statement's queries.
    OfQuery {
        query: usize,
        at: usize,
    },
}

pub(in crate::rewrite) struct SetQuery<'a> {
    /// The query without its parentheses.
    pub tokens: Tokens<'a>,
    /// What makes it a query, if it is a row of the client's.
    head: &'static str,
    /// Where its parenthesis opens.
    pub open: usize,
    pub columns: usize,
    /// Where its results stand, if they are counted.
    pub results: Vec<Option<usize>>,
}

impl<'a> SetQuery<'a> {
    /// The query of an assignment `(a, b) = (SELECT …)`, or `(a, b) = ROW(t.*)`: how many values that
    /// is only the server knows.
    pub fn of(assignment: &Assignment<'a>) -> Option<SetQuery<'a>> {
        let (_, tokens) = assignment.row()?;
        let query = begins_query(&tokens, 0);
        Some(SetQuery {
            tokens,
            head: if query { "" } else { "SELECT " },
            open: assignment.value_at(),
            columns: assignment.columns(),
            results: Vec::new(),
        })
    }

    /// Where the client wrote one of its values.
    pub fn place(&self, at: usize) -> usize {
        let result = self.results.get(at).copied().flatten();
        result.unwrap_or_else(|| first_of_value(&self.tokens))
    }

    /// One of its values where it is an [`SetQuery::item`].
    pub fn value(number: usize, at: usize) -> String {
        format!("cf_q{}.cf_c{}", number + 1, at + 1)
    }

    /// The query as an item of FROM, behind a comma: one row, and an error if there are more.
    pub fn item(&self, number: usize, output: &mut Output, source: &Source<'_>) {
        output.own(
            ", LATERAL (SELECT cf_q.* FROM (SELECT) AS cf_one LEFT JOIN LATERAL \
             (SELECT *, row_number() OVER () AS cf_n FROM (",
        );
        self.write_counted(output, source);
        output.own(&format!(
            ") AS cf_q({})) AS cf_q ON (SELECT true FROM generate_series(1, cf_q.cf_n))) AS cf_q{}",
            self.names(),
            number + 1
        ));
    }

    /// All of its columns set in an assignment of its own; `rows` are the relations that it may name,
    /// the columns are the first of `targets`.
    pub fn assign(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        targets: &[Target<'_>],
        rows: &str,
    ) {
        let columns = || targets.iter().take(self.columns);
        for (index, target) in columns().enumerate() {
            output.own(if index == 0 { "(" } else { ", " });
            output.append(target.text.clone());
        }
        output.own(") = ");
        output.own_for("(SELECT ", self.open);
        // As it is, where that will do and nobody has counted its columns: the server does.
        let as_it_is =
            self.results.is_empty() && columns().all(|target| target.put_value("").is_empty());
        if as_it_is {
            output.own("cf_q.*");
        }
        for (index, target) in columns().enumerate().filter(|_| !as_it_is) {
            output.own(if index == 0 { "" } else { ", " });
            let put = target.put_value(&format!("cf_q.cf_c{}", index + 1));
            own_put(output, &put, target.column, self.place(index));
        }
        output.own(&format!(" FROM {rows} LEFT JOIN LATERAL ("));
        if as_it_is {
            self.write(output, source);
            output.own(") AS cf_q ON true)");
        } else {
            self.write_counted(output, source);
            output.own(&format!(") AS cf_q({}) ON true)", self.names()));
        }
    }

    /// The query, and an error of the server's if it has more or fewer columns than it shall set: beside
    /// names for some of its columns the others would go unnoticed.
    fn write_counted(&self, output: &mut Output, source: &Source<'_>) {
        if !self.results.is_empty() {
            return self.write(output, source);
        }
        output.own("SELECT * FROM (");
        self.write(output, source);
        output.own(") AS cf_s UNION ALL SELECT ");
        let nulls = vec!["NULL"; self.columns];
        output.own_columns(&nulls.join(", "), self.open, MappedAs::SetColumns);
        output.own(" WHERE false");
    }

    fn write(&self, output: &mut Output, source: &Source<'_>) {
        output.own(self.head).client(source, self.tokens.extent());
    }

    fn names(&self) -> String {
        list((1..=self.columns).map(|at| format!("cf_c{at}")))
    }
}
