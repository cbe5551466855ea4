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

use super::{Callers, Function, InPlace, Lens, quote_ident, quote_literal};
use crate::phase::Phase;

/// What says that an UPDATE is a backfill's: the proof of Crossfade's own role. Anybody may set it, and only that
/// role can read what it must be.
const BACKFILL: &str = "crossfade.in_place";

impl Lens {
    /// Whether a table that stays has the column beside another of the same values.
    #[must_use]
    pub fn is_moved(&self, column: &str) -> bool {
        let mut moved = self.in_place.iter().flat_map(|in_place| &in_place.moved);
        moved.any(|(legacy, unified)| legacy == column || unified == column)
    }

    pub(crate) fn made_in_place(mut self) -> Lens {
        let columns = self.columns.iter();
        let moved: Vec<(String, String)> = columns
            .filter(|column| column.name != column.unified)
            .map(|column| (column.name.clone(), column.unified.clone()))
            .collect();
        let mut before = self.clone();
        for column in &mut before.columns {
            column.unified = column.name.clone();
            column.unified_type = column.sql_type.clone();
            column.values.clear();
            column.cast = None;
            column.holds = None;
            column.unified_generated = None;
        }
        before.in_place = Some(InPlace {
            moved: moved.clone(),
            before: None,
        });
        self.in_place = Some(InPlace {
            moved,
            before: Some(Box::new(before)),
        });
        self
    }

    /// The lens as clients' statements need it in a phase.
    pub(crate) fn in_phase(&self, phase: Phase) -> &Lens {
        let before = self.in_place.as_ref().and_then(|it| it.before.as_deref());
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

    fn moving(&self) -> impl Iterator<Item = &super::LegacyColumn> {
        self.columns
            .iter()
            .filter(|column| column.name != column.unified)
    }

    fn update(&self, relation: &str, values: &[(String, String)], different: bool) -> String {
        let sets: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
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
            sets.join(", "),
            Self::IMAGE,
            conditions.join(" AND ")
        )
    }

    /// The trigger that sets both columns, also for what replication writes (ALWAYS). Its name comes late in the alphabet, in the order of
    /// which triggers run: it sees what the others have made of the row.
    ///
    /// A backfill changes nothing but the columns that move: what other triggers do on its UPDATE
    /// (`updated_at = now()`) clients would see.
    pub(super) fn in_place_trigger(&self) -> Function {
        let name = self.named("in_place");
        let (mut insert, mut update, mut keep, mut absent) =
            (String::new(), String::new(), String::new(), Vec::new());
        for column in self.moving() {
            let (legacy, unified) = (quote_ident(&column.name), quote_ident(&column.unified));
            let to_unified = format!(
                "NEW.{unified} := {};",
                column.put_value(&format!("NEW.{legacy}"))
            );
            let unified_value = format!("NEW.{unified}");
            // An assignment complains of what the legacy column has no room for.
            let value = match (&column.cast, column.values.is_empty()) {
                (None, true) => unified_value,
                (Some(_), _) => column.as_legacy(&unified_value),
                (None, false) => column.read_value(&unified_value),
            };
            let to_legacy = format!("NEW.{legacy} := {value};");
            insert += &format!(
                "    IF NEW.{unified} IS NULL THEN {to_unified} ELSE {to_legacy} END IF;\n"
            );
            update += &format!(
                "    IF NEW.{legacy} IS DISTINCT FROM OLD.{legacy} THEN {to_unified}\n\
                 \x20   ELSIF NEW.{unified} IS DISTINCT FROM OLD.{unified} THEN {to_legacy}\n\
                 \x20   ELSIF NEW.{unified} IS NULL THEN {to_unified} END IF;\n"
            );
            keep += &format!(
                "    cf_old.{legacy} := NEW.{legacy}; cf_old.{unified} := NEW.{unified};\n"
            );
            absent.push(quote_literal(&column.unified));
        }
        let table = self.legacy.sql();
        let ddl = format!(
            "DO $crossfade$ BEGIN\n\
             \x20 IF EXISTS (SELECT FROM unnest(ARRAY[{absent}]) AS c (name) WHERE NOT EXISTS (SELECT FROM pg_attribute \
             WHERE attrelid = {literal}::regclass AND attname = c.name AND NOT attisdropped)) THEN\n\
             \x20   RAISE EXCEPTION USING MESSAGE = {said};\n  END IF;\nEND $crossfade$;\n\
             CREATE OR REPLACE FUNCTION {name}() RETURNS trigger\n\
             LANGUAGE plpgsql AS $crossfade$\nDECLARE\n  cf_old {table};\nBEGIN\n\
             \x20 IF TG_OP = 'INSERT' THEN\n{insert}    RETURN NEW;\n  END IF;\n\
             \x20 IF coalesce(current_setting('{BACKFILL}', true), '') <> '' THEN\n\
             \x20   IF has_table_privilege('crossfade.proof', 'SELECT') THEN\n\
             \x20     PERFORM 1 FROM crossfade.proof AS p WHERE p.proof = current_setting('{BACKFILL}', true);\n\
             \x20     IF FOUND THEN\n        cf_old := OLD;\n{keep}        RETURN cf_old;\n      END IF;\n\
             \x20   END IF;\n  END IF;\n\
             {update}  RETURN NEW;\nEND\n$crossfade$;\n\
             DROP TRIGGER IF EXISTS {TRIGGER} ON {table};\n\
             CREATE TRIGGER {TRIGGER} BEFORE INSERT OR UPDATE ON {table}\n\
             \x20 FOR EACH ROW EXECUTE FUNCTION {name}();\n\
             DO $crossfade$ BEGIN\n\
             \x20 ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER};\n\
             EXCEPTION WHEN insufficient_privilege THEN NULL; -- its owner may: `check` says so\n\
             END $crossfade$",
            absent = absent.join(", "),
            literal = quote_literal(&table),
            said = quote_literal(&format!(
                "{table} lacks a column that another one of it is to move to; add it first"
            )),
        );
        Function {
            name,
            ddl,
            callers: Callers::Nobody,
        }
    }

    /// What the operator runs when the legacy columns are no longer needed.
    #[must_use]
    pub fn drop_moved_columns(&self) -> Option<String> {
        let moved = &self.in_place.as_ref()?.moved;
        let columns: Vec<String> = moved
            .iter()
            .map(|(legacy, _)| format!("DROP COLUMN {}", quote_ident(legacy)))
            .collect();
        Some(format!(
            "DROP TRIGGER {TRIGGER} ON {table}; ALTER TABLE {table} {};",
            columns.join(", "),
            table = self.legacy,
        ))
    }
}

/// What sets both columns.
pub const TRIGGER: &str = "zz_crossfade_in_place";
