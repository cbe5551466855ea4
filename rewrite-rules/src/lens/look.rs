//! What deferred constraints say of work that may be recorded: looked at with it, since at COMMIT nobody could record
//! it any more.
//!
//! ```text
//! look_now(before, patience), look_legacy(…)   of the tables of unified, and of legacy
//! ```
//!
//! What statements before have deferred is looked at beforehand (`before`). If it does not hold yet, it is theirs to settle, and no
//! failure of this work: the client is told at the end as it would be anyhow, and so of this work.
//!
//! Nobody can ask the server whether a constraint is deferred now. What is looked at beforehand, in a savepoint that is rolled
//! back, stays as it was. Behind the work one that is deferred from the beginning is deferred again, so that nothing is
//! looked at with every write that comes; any other the client may have set so, and is looked at in such a savepoint.

use super::{Callers, Function, Lens, TableName, quote_literal};

/// By which the savepoint is rolled back.
const LOOKED: &str = "CF001";

impl Lens {
    pub(super) fn look_functions(&self) -> [Function; 2] {
        [
            self.look("look_now", &self.unified_side()),
            self.look("look_legacy", &[&self.legacy]),
        ]
    }

    /// A call of the one of unified.
    pub(super) fn look_now(&self, arguments: &str) -> String {
        format!("{}({arguments})", self.named("look_now"))
    }

    /// A call of the one of legacy.
    pub(super) fn look_legacy(&self, arguments: &str) -> String {
        format!("{}({arguments})", self.named("look_legacy"))
    }

    /// Whether there is anything to look at behind the work, or true when that has been done. Triggers are found by
    /// their tables, those of foreign keys by both of theirs.
    fn look(&self, word: &str, tables: &[&TableName]) -> Function {
        let tables: Vec<String> = tables
            .iter()
            .map(|table| format!("pg_catalog.to_regclass({})", quote_literal(&table.sql())))
            .collect();
        let name = self.named(word);
        let now = format!(
            "    IF cf_deferred IS NOT NULL THEN\n\
             \x20     EXECUTE 'SET CONSTRAINTS ' || cf_deferred || ' IMMEDIATE';\n\
             \x20     EXECUTE 'SET CONSTRAINTS ' || cf_deferred || ' DEFERRED';\n    END IF;\n\
             \x20   IF cf_others IS NOT NULL THEN\n\
             \x20     BEGIN\n        EXECUTE 'SET CONSTRAINTS ' || cf_others || ' IMMEDIATE';\n\
             \x20       RAISE SQLSTATE '{LOOKED}';\n\
             \x20     EXCEPTION WHEN SQLSTATE '{LOOKED}' THEN NULL;\n      END;\n    END IF;\n"
        );
        let ddl = format!(
            "CREATE OR REPLACE FUNCTION {name}(cf_before boolean, cf_patience double precision) RETURNS boolean\n\
             LANGUAGE plpgsql VOLATILE AS $crossfade$\n\
             DECLARE\n  cf_of pg_catalog.oid[] := ARRAY[{tables}];\n  cf_deferred text;\n  cf_others text;\nBEGIN\n\
             \x20 SELECT pg_catalog.string_agg(n.name, ', ') FILTER (WHERE n.deferred), pg_catalog.string_agg(n.name, ', ') FILTER (WHERE NOT n.deferred)\n\
             \x20   INTO cf_deferred, cf_others FROM (SELECT DISTINCT pg_catalog.format('%I.%I', s.nspname, c.conname) AS name,\n\
             \x20     c.condeferred AS deferred FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint\n\
             \x20     JOIN pg_catalog.pg_namespace AS s ON s.oid = c.connamespace\n\
             \x20     WHERE t.tgrelid = ANY (cf_of) AND t.tgdeferrable AND c.contype IN ('f', 'p', 'u', 'x')) AS n;\n\
             \x20 IF cf_deferred IS NULL AND cf_others IS NULL THEN RETURN false; END IF;\n\
             \x20 IF NOT cf_before THEN\n{now}    RETURN true;\n  END IF;\n\
             \x20 BEGIN\n\
             \x20   IF cf_patience IS NOT NULL THEN PERFORM pg_catalog.set_config('lock_timeout', pg_catalog.ceil(cf_patience)::text, true); END IF;\n\
             \x20   EXECUTE 'SET CONSTRAINTS ' || pg_catalog.concat_ws(', ', cf_deferred, cf_others) || ' IMMEDIATE';\n\
             \x20   RAISE SQLSTATE '{LOOKED}';\n\
             \x20 EXCEPTION WHEN SQLSTATE '{LOOKED}' THEN\n    RETURN true;\n\
             \x20 WHEN integrity_constraint_violation OR lock_not_available OR deadlock_detected THEN\n    RETURN false;\n  END;\n\
             END\n$crossfade$",
            tables = tables.join(", "),
        );
        Function {
            name,
            ddl,
            callers: Callers::Writers,
        }
    }
}
