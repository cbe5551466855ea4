//! An UPDATE that finds one row by its key, and nothing else, and sets what does not depend on the row.
//!
//! ```text
//! UPDATE iso_agents SET full_name = $1 WHERE id = $2
//!
//! WITH cf_lock AS MATERIALIZED (SELECT 1 FROM "public"."iso_agents" AS cf_t WHERE cf_t."id" = $2 FOR NO KEY UPDATE),
//!      cf_new AS (UPDATE "public"."users" AS cf_u SET "full_name" = $1
//!                 WHERE cf_u."id" = $2 AND ‹legacy readers see it› AND (SELECT count(*) FROM cf_lock) >= 0 RETURNING …)
//! ```
//!
//! Nothing is looked up twice. What is set stands where its column gives it a type, as in the client's text; so must both
//! columns be of one type.

use super::OneTable;
use crate::by_key::Conditions;
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens, all_of, quote_ident};
use crate::rewrite::compose::Composer;
use crate::rewrite::invert;
use crate::rewrite::says::assignments::Set;
use crate::rewrite::says::set_query::Value;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

impl<'a> OneTable<'_, '_, 'a> {
    /// What the condition says of the target's columns.
    fn conditions(&self) -> Option<Conditions<'_>> {
        let item = self.target.item?;
        let alone = self.write.clauses.joined().is_none() && !self.target.table.renames_columns();
        let filter = self.scope.statement.get("where_clause");
        alone.then(|| Conditions::of(filter, self.scope.bound, item, self.lens))
    }

    /// Whether it finds one row at most.
    pub(super) fn finds_one(&self) -> bool {
        let conditions = self.conditions();
        conditions.is_some_and(|conditions| conditions.key_of(self.lens).is_some())
    }

    /// The UPDATE of unified, behind the lock on legacy's row; `None` where it takes more.
    pub(super) fn update_one(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        sets: &[Set<'_, 'a>],
    ) -> Option<Output> {
        let conditions = self.conditions()?;
        let of_key_alone = conditions.are_of_key_alone(self.lens);
        let is_only = !self.target.table.node.flag("inh");
        let is_plain = !is_only && !self.target.is_in_place() && self.carried.is_empty();
        if !of_key_alone || !is_plain || self.updates_key() {
            return None;
        }
        let targets = self.scope.statement.list("target_list");
        let reads_nothing = targets.iter().all(|set| {
            let whole = set.list("indirection").is_empty();
            whole
                && ["ColumnRef", "SubLink", "SetToDefault"]
                    .iter()
                    .all(|kind| set.get("val").find(kind).is_none())
        });
        let is_same = sets.iter().all(|(column, value)| {
            let given = matches!(value, Value::Expression(_));
            given && column.is_same() && !column.is_computed() && !column.is_computed_in_unified()
        });
        let brings =
            |column: &LegacyColumn| sets.iter().any(|(set, _)| column.is_computed_from(set));
        if !reads_nothing || !is_same || self.lens.brought().any(brings) {
            return None;
        }
        let key = conditions.key_of(self.lens)?;
        let legacy = self.key_is(&key, |column| format!("cf_t.{}", quote_ident(&column.name)))?;
        let unified = self.key_is(&key, |column| {
            format!("{}.{}", Lens::ROW, quote_ident(&column.unified))
        })?;
        let mut own: Vec<String> = self.lens.visible_condition(Lens::ROW).into_iter().collect();
        if self.mirrors() {
            let mut locked =
                Output::from(format!("SELECT 1 FROM {} AS cf_t WHERE ", self.lens.legacy));
            locked.append(legacy).own(" FOR NO KEY UPDATE");
            composer.once(query::LOCK, locked);
            own.push(composer.behind(query::LOCK));
        }
        let mut update = Output::default();
        update.own(&format!(
            "UPDATE {} AS {} SET ",
            self.lens.unified,
            Lens::ROW
        ));
        for (index, (column, value)) in sets.iter().enumerate() {
            let Value::Expression(tokens) = value else {
                return None;
            };
            update.own(if index == 0 { "" } else { ", " });
            update.own(&format!("{} = ", quote_ident(&column.unified)));
            update.client(source, tokens.extent());
        }
        update.own(" WHERE ").append(unified);
        if !own.is_empty() {
            update.own(&format!(" AND {}", all_of(own)));
        }
        Some(update)
    }

    /// The condition that a row has the key that the client gives.
    fn key_is(
        &self,
        key: &[(&LegacyColumn, &Tree)],
        name: impl Fn(&LegacyColumn) -> String,
    ) -> Option<Output> {
        let mut condition = Output::default();
        for (index, (column, value)) in key.iter().enumerate() {
            condition.own(if index == 0 { "" } else { " AND " });
            condition.own(&format!("{} = ", name(column)));
            condition.append(self.value(value).filter(|_| column.is_same())?);
        }
        Some(condition)
    }

    /// A number as it stands, anything else as the client has it.
    fn value(&self, value: &Tree) -> Option<Output> {
        let number = || {
            let at = self.scope.tokens.at(value.location()?)?;
            let token = self.scope.tokens.slice(at..at + 1);
            let is_number = value.is("AConst") && token.first(&token.tokens[0]).is_ascii_digit();
            let mut number = Output::default();
            number.client(&Source::new(token.text), token.extent());
            is_number.then_some(number)
        };
        number().or_else(|| invert::constant(value, self.scope.tokens))
    }
}
