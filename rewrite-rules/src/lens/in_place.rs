//! A table that stays where it is while columns of it move to others.
//!
//! ```text
//! client_profiles.iso_agent_id → client_profiles.user_id
//! ```
//!
//! Both columns exist while the migration goes on. A trigger sets both on every write, whoever
//! writes and by whatever way; so there is nothing to mirror, and a write past the proxy is no loss.
//! What statements name as the legacy table is the same table seen with the legacy columns alone:
//! filled from the legacy column until the reads turn (`unified_read`), from the unified one then.

use std::sync::Arc;

use super::model::{InPlace, Kind};
use super::{Callers, Function, LegacyColumn, Lens, quote_ident, quote_literal};
use crate::lens::list;
use crate::phase::Phase;

/// What says that an UPDATE is a backfill's: the proof of Crossfade's own role. Anybody may set it, and only that
/// role can read what it must be.
const BACKFILL: &str = "crossfade.in_place";

impl Lens {
    /// Whether a table that stays has the column beside another of the same values.
    #[must_use]
    pub fn is_moved(&self, column: &str) -> bool {
        let mut moved = self.moved().iter();
        moved.any(|(legacy, unified)| legacy == column || unified == column)
    }

    pub(crate) fn made_in_place(mut self) -> Lens {
        let columns = self.columns.iter();
        let moved: Vec<(String, String)> = columns
            .filter(|column| column.name != column.unified)
            .map(|column| (column.name.clone(), column.unified.clone()))
            .collect();
        let mut before = self.clone();
        for column in Arc::make_mut(&mut before.columns) {
            column.unified = column.name.clone();
            column.unified_type = column.sql_type.clone();
            column.values.clear();
            column.cast = None;
            column.holds = None;
            column.unified_generated = None;
        }
        before.kind = Kind::InPlace(InPlace {
            moved: moved.clone(),
            before: None,
        });
        self.kind = Kind::InPlace(InPlace {
            moved,
            before: Some(Box::new(before)),
        });
        self
    }

    /// The lens as clients' statements need it in a phase.
    pub(crate) fn in_phase(&self, phase: Phase) -> &Lens {
        let before = match &self.kind {
            Kind::InPlace(in_place) => in_place.before.as_deref(),
            Kind::Columns(_) | Kind::Steps(_) => None,
        };
        match phase {
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
                before.unwrap_or(self)
            }
            Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => self,
        }
    }

    /// Sets the unified columns of the rows whose images are in a relation; with `different`, of
    /// those alone that say something else.
    pub(super) fn move_columns(&self, relation: &str, different: bool) -> String {
        let values: Vec<(String, String)> = self
            .moving()
            .map(|column| {
                let image = format!("{}.{}", Self::IMAGE, quote_ident(&column.name));
                (quote_ident(&column.unified), column.put_value(&image))
            })
            .collect();
        self.update(relation, &values, different)
    }

    /// The same from unified to legacy: images come from `read`.
    pub(super) fn move_columns_back(&self, relation: &str) -> String {
        let values: Vec<(String, String)> = self
            .moving()
            .map(|column| {
                let name = quote_ident(&column.name);
                (name.clone(), format!("{}.{name}", Self::IMAGE))
            })
            .collect();
        self.update(relation, &values, true)
    }

    fn moving(&self) -> impl Iterator<Item = &LegacyColumn> {
        self.columns
            .iter()
            .filter(|column| column.name != column.unified)
    }

    fn update(&self, relation: &str, values: &[(String, String)], different: bool) -> String {
        let sets = list(
            values
                .iter()
                .map(|(name, value)| format!("{name} = {value}")),
        );
        let mut conditions = vec![self.same_key("cf_t", Self::IMAGE)];
        if different {
            let all: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("cf_t.{name} IS DISTINCT FROM {value}"))
                .collect();
            conditions.push(format!("({})", all.join(" OR ")));
        }
        // The condition is met of each row before its triggers run.
        conditions.push(format!(
            "set_config('{BACKFILL}', (SELECT p.proof FROM crossfade.proof AS p), true) <> ''"
        ));
        format!(
            "UPDATE {} AS cf_t SET {} FROM {relation} AS {} WHERE {}",
            self.legacy,
            sets,
            Self::IMAGE,
            conditions.join(" AND ")
        )
    }

    /// The trigger that sets both columns.
    pub(super) fn in_place_trigger(&self) -> Function {
        let name = self.named("in_place");
        let table = self.legacy.sql();
        let unified_names = self.moving().map(|column| quote_literal(&column.unified));
        let said =
            format!("{table} lacks a column that another one of it is to move to; add it first");
        let template = Trigger {
            name: &name,
            literal: quote_literal(&table),
            table: &table,
            unified_names: unified_names.collect::<Vec<_>>().join(", "),
            absent: quote_literal(&said),
            moving: self.moving().map(Moving::of).collect(),
        };
        Function {
            ddl: template.to_string(),
            name,
            callers: Callers::Nobody,
        }
    }

    /// What the operator runs when the legacy columns are no longer needed.
    #[must_use]
    pub fn drop_moved_columns(&self) -> Option<String> {
        if !self.is_one_table() {
            return None;
        }
        let columns = list(
            self.moved()
                .iter()
                .map(|(legacy, _)| format!("DROP COLUMN {}", quote_ident(legacy))),
        );
        Some(format!(
            "DROP TRIGGER {TRIGGER} ON {table}; ALTER TABLE {table} {};",
            columns,
            table = self.legacy,
        ))
    }
}

#[derive(askama::Template)]
#[template(path = "in_place.sql", escape = "none")]
struct Trigger<'a> {
    name: &'a str,
    table: &'a str,
    /// The table's name, and those of the columns that it must have, as literals.
    literal: String,
    unified_names: String,
    absent: String,
    moving: Vec<Moving>,
}

/// A column that moves: both names, and what each is set to by a write of the other.
struct Moving {
    legacy: String,
    unified: String,
    to_unified: String,
    to_legacy: String,
}

impl Moving {
    fn of(column: &LegacyColumn) -> Moving {
        let (legacy, unified) = (quote_ident(&column.name), quote_ident(&column.unified));
        let value = format!("NEW.{unified}");
        // An assignment complains of what the legacy column has no room for.
        let to_legacy = match (&column.cast, column.values.is_empty()) {
            (None, true) => value,
            (Some(_), _) => column.as_legacy(&value),
            (None, false) => column.read_value(&value),
        };
        Moving {
            to_unified: column.put_value(&format!("NEW.{legacy}")),
            to_legacy,
            legacy,
            unified,
        }
    }
}

/// What sets both columns.
pub const TRIGGER: &str = "zz_crossfade_in_place";
