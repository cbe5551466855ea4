//! What a SET list assigns to which legacy column.

use super::Says;
use super::set_query::{SetQuery, Value};
use crate::lens::LegacyColumn;
use crate::refuse;
use crate::rewrite::expression::{first_of_value, is_default};
use crate::statement::Refusal;
use crate::text::clauses::Assignment;
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// A column, and what it is set to.
pub(in crate::rewrite) type Set<'s, 'a> = (&'s LegacyColumn, Value<'a>);

/// The columns that are set, and the queries that some of their values come from.
pub(in crate::rewrite) type Assignments<'s, 'a> = (Vec<Set<'s, 'a>>, Vec<SetQuery<'a>>);

/// What ON CONFLICT DO UPDATE sets, and of which rows.
pub(in crate::rewrite) struct OnConflict<'s, 'a> {
    pub assigned: Assignments<'s, 'a>,
    pub condition: Option<Tokens<'a>>,
}

impl<'a> Says<'_, 'a> {
    /// What an UPDATE sets.
    pub(in crate::rewrite) fn assignments(&self) -> Result<Assignments<'_, 'a>, Refusal> {
        let targets = self.scope.statement.list("target_list");
        self.assignments_to(targets, &self.write.clauses.assignments)
    }

    /// The same of ON CONFLICT DO UPDATE, and its condition.
    pub(in crate::rewrite) fn assignments_on_conflict(
        &self,
    ) -> Result<OnConflict<'_, 'a>, Refusal> {
        let tree = self.scope.statement.get("on_conflict_clause");
        let Some(conflict) = &self.write.clauses.insert.conflict else {
            return Err(refuse::unsupported(
                "this ON CONFLICT",
                &self.target.table_name(),
                "Write it plainly.",
            ));
        };
        let targets = tree.list("target_list");
        Ok(OnConflict {
            assigned: self.assignments_to(targets, &conflict.assignments)?,
            condition: conflict.condition,
        })
    }

    /// What the items of a SET list assign to the columns that it names.
    pub(in crate::rewrite) fn assignments_to(
        &self,
        targets: &[Tree],
        items: &[Assignment<'a>],
    ) -> Result<Assignments<'_, 'a>, Refusal> {
        let refuse = |what: &str| {
            Err(refuse::unsupported(
                what,
                &self.target.table_name(),
                "Set each column by `column = expression`.",
            ))
        };
        self.places(targets)?;
        let mut values = Vec::new();
        let mut queries: Vec<SetQuery<'a>> = Vec::new();
        for item in items {
            if let Some(value) = item.unrowed() {
                let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
                let at = first_of_value(&value);
                return Err(self.scope.mistake("0A000", message.to_owned(), Some(at)));
            }
            match (item.values(), SetQuery::of(item)) {
                (Some(found), _) => values.extend(found.into_iter().map(Value::Expression)),
                (None, Some(found)) => {
                    let query = queries.len();
                    values.extend((0..found.columns).map(|at| Value::OfQuery { query, at }));
                    queries.push(found);
                }
                (None, None) => return refuse("this list of assignments"),
            }
        }
        if values.len() != targets.len() {
            return refuse("this list of assignments");
        }
        let mut sets = Vec::new();
        for (target, value) in targets.iter().zip(values) {
            let column = self.legacy_column(target)?;
            self.sets_default(
                column,
                match &value {
                    Value::Expression(value) => Some(value),
                    Value::OfQuery { .. } => None,
                },
            )?;
            if let Value::Expression(value) = value
                && is_default(&value)
                && !target.list("indirection").is_empty()
            {
                return Err(self.no_default(target));
            }
            if let Value::OfQuery { query, at } = value {
                let given = target.get("val").get("source").get("subselect");
                let given = given.list("target_list");
                // A set operation has its columns elsewhere.
                let counted =
                    !given.is_empty() && !given.iter().any(|item| item.find("AStar").is_some());
                if at == 0 && counted && given.len() != queries[query].columns {
                    let message = "number of columns does not match number of values".to_owned();
                    let open = queries[query].open;
                    return Err(self.scope.mistake("42601", message, Some(open)));
                }
                if counted {
                    queries[query].results = given.iter().map(Tree::location).collect();
                }
            }
            // Of the columns of a lens that is written nobody but this knows what is set.
            let again = !self.lens.is_row_for_row()
                && sets
                    .iter()
                    .any(|(set, _): &(&LegacyColumn, _)| set.name == column.name);
            if again {
                let message = format!("multiple assignments to same column \"{}\"", column.name);
                return Err(refuse::mistake("42601", message, None));
            }
            sets.push((column, value));
        }
        Ok((sets, queries))
    }

    /// The legacy column that an INSERT or a SET names.
    pub(in crate::rewrite) fn legacy_column(
        &self,
        target: &Tree,
    ) -> Result<&LegacyColumn, Refusal> {
        let name = target.text("name");
        self.lens.column(name).ok_or_else(|| {
            let table = &self.lens.legacy.name;
            let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
            self.scope.mistake("42703", message, target.location())
        })
    }
}
