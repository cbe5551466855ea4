//! What an assignment names: a column, or an element of an array or a field in one.
//!
//! ```text
//! SET tags[n + 1] = 'x', address.street = lower(address.street)
//!
//! "tags"[cf_old.cf_s1_1] = 'x', "address".street = cf_old.cf_v2
//! ```
//!
//! The rest of the column stays as it is in the row that is written, so the assignment stays one to a
//! part of unified's column. A subscript is computed where the client's names mean what they meant. A
//! value without a type gets that of the part, which only the server knows: it stays where it is
//! assigned, or stands beside a NULL of that type.

use super::Says;
use crate::lens::{LegacyColumn, quote_ident};
use crate::refuse;
use crate::rewrite::expression::is_bare;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tokens::{ConstantKind, Tokens};
use crate::text::tree::Tree;

/// Where in its column a value goes; without a step it is the column.
#[derive(Default)]
pub(in crate::rewrite) struct Place<'a> {
    steps: Vec<PlaceStep<'a>>,
}

enum PlaceStep<'a> {
    Field(Tokens<'a>),
    /// One subscript, or both ends of a slice, which may be left out.
    Subscripts(Vec<Option<Tokens<'a>>>),
}

/// What is assigned to, as it is written in unified's statement.
pub(in crate::rewrite) struct Target<'s> {
    pub column: &'s LegacyColumn,
    pub text: Output,
    whole: bool,
}

impl Target<'_> {
    /// The value for it, as SQL over the legacy value.
    pub fn put_value(&self, legacy_value: &str) -> String {
        if self.whole {
            self.column.put_value(legacy_value)
        } else {
            legacy_value.to_owned()
        }
    }
}

impl<'a> Place<'a> {
    fn of(tokens: Tokens<'a>, target: &Tree) -> Option<Place<'a>> {
        let mut place = Place::default();
        let mut at = tokens.at(target.location()?)? + 1;
        for step in target.list("indirection") {
            let token = tokens.tokens.get(at)?;
            if step.is("AIndices") {
                let (inner, close) = tokens.bracketed(at)?;
                let ends = inner.split_at(":");
                let ends = ends.map(|end| Some(end).filter(|end| !end.tokens.is_empty()));
                place.steps.push(PlaceStep::Subscripts(ends.collect()));
                at = close + 1;
            } else if tokens.is_symbol(token, ".") {
                let field = (at + 1 < tokens.tokens.len()).then(|| tokens.slice(at + 1..at + 2))?;
                place.steps.push(PlaceStep::Field(field));
                at += 2;
            } else {
                return None;
            }
        }
        Some(place)
    }

    pub fn is_whole(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a value is assigned as the client wrote it: the part gives it its type.
    pub fn takes_as_it_is(&self, value: &Tokens<'_>) -> bool {
        !self.is_whole() && is_bare(value)
    }

    /// The subscripts that are more than a constant, numbered.
    pub fn computed(&self) -> impl Iterator<Item = (usize, Tokens<'a>)> {
        let all = self.steps.iter().flat_map(|step| match step {
            PlaceStep::Field(_) => [].as_slice(),
            PlaceStep::Subscripts(subscripts) => subscripts.as_slice(),
        });
        let all = all.copied().flatten();
        all.filter(|subscript| !is_constant(subscript))
            .enumerate()
            .map(|(at, subscript)| (at + 1, subscript))
    }

    /// What it is called in unified; `computed` stands for the subscripts that are no constants.
    pub fn target<'s>(
        &self,
        source: &Source<'_>,
        column: &'s LegacyColumn,
        mut computed: impl FnMut(&mut Output, usize, Tokens<'a>),
    ) -> Target<'s> {
        let mut text = Output::default();
        text.own(&quote_ident(&column.unified));
        let mut numbers = 1..;
        for step in &self.steps {
            match step {
                PlaceStep::Field(name) => _ = text.own(".").client(source, name.extent()),
                PlaceStep::Subscripts(subscripts) => {
                    for (at, subscript) in subscripts.iter().enumerate() {
                        text.own(if at == 0 { "[" } else { ":" });
                        match subscript {
                            None => {}
                            Some(constant) if is_constant(constant) => {
                                text.client(source, constant.extent());
                            }
                            Some(subscript) => {
                                let number = numbers.next().unwrap_or_default();
                                computed(&mut text, number, *subscript);
                            }
                        }
                    }
                    text.own("]");
                }
            }
        }
        Target {
            column,
            text,
            whole: self.is_whole(),
        }
    }

    /// A NULL of the part's type, as SQL.
    fn null(&self, column: &LegacyColumn) -> String {
        let mut sql = format!("(NULL::{})", column.sql_type);
        for step in &self.steps {
            sql += &match step {
                PlaceStep::Field(name) => format!(".{}", &name.text[name.extent()]),
                PlaceStep::Subscripts(subscripts) if subscripts.len() > 1 => "[1:1]".to_owned(),
                PlaceStep::Subscripts(_) => "[1]".to_owned(),
            };
        }
        sql
    }

    /// What stands around a bare value to give it the part's type.
    pub fn typing(&self, column: &LegacyColumn) -> (String, &'static str) {
        let before = format!("(CASE WHEN false THEN {} ELSE ", self.null(column));
        (before, " END)")
    }
}

fn is_constant(subscript: &Tokens<'_>) -> bool {
    let is_number = |token| match subscript.constant(token) {
        Some(ConstantKind::Int4 | ConstantKind::Int8) => true,
        Some(ConstantKind::String | ConstantKind::Numeric) => false,
        None => subscript
            .str(token)
            .bytes()
            .all(|byte| byte.is_ascii_digit()),
    };
    is_bare(subscript)
        || matches!(subscript.tokens, [only] if is_number(only))
        || matches!(subscript.tokens, [sign, only]
            if subscript.is_symbol(sign, "-") && is_number(only))
}

impl<'a> Says<'_, 'a> {
    /// Where in their columns the values of an INSERT's or SET's list go.
    pub(in crate::rewrite) fn places(&self, targets: &[Tree]) -> Result<Vec<Place<'a>>, Refusal> {
        let places = targets.iter().map(|target| self.place(target));
        places.collect()
    }

    fn place(&self, target: &Tree) -> Result<Place<'a>, Refusal> {
        if target.list("indirection").is_empty() {
            return Ok(Place::default());
        }
        let column = self.legacy_column(target)?;
        let refuse = |what: &str, hint: &str| {
            Err(refuse::unsupported(what, &self.target.table_name(), hint))
        };
        if !self.lens.is_row_for_row() {
            return refuse(
                "a write to an array's element or a field, once reads are unified,",
                "Write the whole column.",
            );
        }
        if !column.is_plain() {
            return refuse(
                &format!(
                    "a write to a part of column {}, whose values differ in unified, once reads are unified,",
                    column.name
                ),
                "Write the whole column.",
            );
        }
        Place::of(self.scope.tokens, target).map_or_else(
            || refuse("this spelling of the statement", "Write it plainly."),
            Ok,
        )
    }

    /// A row takes its type from the column that it is assigned to, and from nothing else.
    pub(in crate::rewrite) fn no_row(&self, value: &Tree) -> Result<(), Refusal> {
        if !value.is("RowExpr") {
            return Ok(());
        }
        Err(Refusal {
            position: value.location().and_then(|at| self.scope.position(at)),
            ..refuse::unsupported(
                "ROW(…) as the value of a column, once reads are unified,",
                &self.target.table_name(),
                "Give it its type: ROW(…)::type, or set each field.",
            )
        })
    }

    /// What PostgreSQL says of DEFAULT for a part of a column.
    pub(in crate::rewrite) fn no_default(&self, target: &Tree) -> Refusal {
        let element = target.list("indirection").first();
        let what = if element.is_some_and(|step| step.is("AIndices")) {
            "an array element"
        } else {
            "a subfield"
        };
        let message = format!("cannot set {what} to DEFAULT");
        self.scope.mistake("0A000", message, target.location())
    }
}
