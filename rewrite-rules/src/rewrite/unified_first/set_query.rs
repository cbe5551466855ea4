//! `SET (a, b) = (SELECT …)` once unified leads.
//!
//! ```text
//! UPDATE iso_agents SET (full_name, role) = (SELECT c.name, 'admin' FROM … WHERE …)
//!
//! SELECT …, (SELECT cf_e FROM unnest(cf_q1.cf_a1) AS cf_e) AS cf_v1, …
//! FROM (…) AS iso_agents, LATERAL (SELECT array_agg(cf_c1) AS cf_a1, array_agg(cf_c2) AS cf_a2
//!                                  FROM (SELECT c.name, …) AS cf_q(cf_c1, cf_c2)) AS cf_q1
//! ```
//!
//! The query runs once for each row, as the client's would. Without a row its values are NULL; with
//! several the server says that a subquery gave more than one, in the words that it has for it.

use crate::splice::{Output, Source};
use crate::tokens::Tokens;

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
    /// Where its parenthesis opens.
    pub open: usize,
    pub columns: usize,
}

impl<'a> SetQuery<'a> {
    /// The query of an assignment `(a, b) = (SELECT …)`.
    pub fn of(item: &Tokens<'a>) -> Option<SetQuery<'a>> {
        let (columns, close) = item.parenthesised(0)?;
        let equals = item.tokens.get(close + 1)?;
        let (tokens, end) = item.parenthesised(close + 2)?;
        let whole = item.is_symbol(equals, "=") && end + 1 == item.tokens.len();
        whole.then(|| SetQuery {
            tokens,
            open: item.tokens[close + 2].start,
            columns: columns.split().len(),
        })
    }

    /// One of its values, for the row that it was run for.
    pub fn value(number: usize, at: usize) -> String {
        format!(
            "(SELECT cf_e FROM unnest(cf_q{}.cf_a{}) AS cf_e)",
            number + 1,
            at + 1
        )
    }

    /// The query as an item of FROM, behind a comma.
    pub fn write(&self, number: usize, output: &mut Output, source: &Source<'_>) {
        let each = |make: &dyn Fn(usize) -> String| {
            let all: Vec<String> = (1..=self.columns).map(make).collect();
            all.join(", ")
        };
        output.own(&format!(
            ", LATERAL (SELECT {} FROM (",
            each(&|at| format!("array_agg(cf_c{at}) AS cf_a{at}"))
        ));
        output.client(source, self.tokens.extent());
        output.own(&format!(
            ") AS cf_q({})) AS cf_q{}",
            each(&|at| format!("cf_c{at}")),
            number + 1
        ));
    }
}
