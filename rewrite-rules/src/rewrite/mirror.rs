//! Writes of a new version of the application to the unified name, brought back to legacy.
//!
//! ```text
//! UPDATE users SET email = $1 WHERE id = $2
//!
//! WITH cf_lock AS MATERIALIZED (SELECT 1 FROM iso_agents … FOR UPDATE),
//!      cf_new AS (UPDATE users SET email = $1 WHERE (id = $2)
//!                 AND (SELECT count(*) FROM cf_lock) >= 0 RETURNING "users".*),
//!      cf_img AS (SELECT … FROM cf_new AS cf_u WHERE visible),
//!      cf_put AS (UPDATE iso_agents … SET "email" = cf_n."email" … FROM cf_img AS cf_n …)
//! SELECT FROM cf_new AS "users"
//! ```
//!
//! Before `unified_read` another proxy may still run a phase in which unified is stale, so only
//! the columns that the statement set are carried over: a full image would undo a legacy write.
//! In `unified_read` it is legacy that may be stale, and the image is complete.

use super::clauses::Write;
use super::{ManagedRef, Plan, Scope};
use crate::lens::{Lens, Work};
use crate::phase::Phase;
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};
use crate::tree::Tree;

pub(super) fn plan<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    let write = Write::of(scope, target)?;
    let lens = target.managed.lens;
    let table = target.table_name();
    let refuse = |what: &str, hint: &str| Err(refuse::unsupported(what, &table, hint));
    if write.with_writes() {
        return refuse(
            "a WITH that writes, in front of a write,",
            "Send the writes as statements of their own.",
        );
    }
    if sets(scope.statement).any(|name| lens.key_columns().any(|key| key.unified == name))
        && !scope.statement.is("InsertStmt")
    {
        return refuse(
            "an UPDATE of the key under its new name",
            "Keep keys as they are until the migration ends.",
        );
    }
    let mirror = Mirror {
        scope: *scope,
        write: &write,
        lens,
        full: target.managed.migration.phase == Phase::UnifiedRead,
    };
    if scope.statement.is("UpdateStmt") && !mirror.full && mirror.changed().is_empty() {
        return Ok(Plan::Unchanged);
    }
    // Columns of the unified table are not declared: a bare name may be the table's own.
    write.check_returning(target, source, &|_| true)?;
    match scope.statement.kind() {
        "InsertStmt" => Ok(mirror.insert(source)),
        "UpdateStmt" => Ok(mirror.update(source)),
        _ => Ok(mirror.delete(source)),
    }
}

/// Names of the unified columns that an UPDATE or an ON CONFLICT DO UPDATE sets.
fn sets(statement: &Tree) -> impl Iterator<Item = &str> {
    let conflict = statement.get("on_conflict_clause").list("target_list");
    statement
        .list("target_list")
        .iter()
        .chain(conflict)
        .map(|target| target.text("name"))
}

struct Mirror<'w, 'a> {
    scope: Scope<'a>,
    write: &'w Write<'a>,
    lens: &'w Lens,
    /// Whether legacy gets complete images, not only the columns that the statement set.
    full: bool,
}

impl Mirror<'_, '_> {
    /// The legacy columns that the statement changes in rows that are there.
    fn changed(&self) -> Vec<&str> {
        let set: Vec<&str> = sets(self.scope.statement).collect();
        self.lens
            .columns
            .iter()
            .filter(|column| !self.lens.is_key(column))
            .filter(|column| column.set_by_trigger || set.contains(&column.unified.as_str()))
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Whether the statement can make a row visible or hide it from legacy readers.
    fn moves_rows(&self) -> bool {
        sets(self.scope.statement).any(|name| {
            self.lens
                .visible
                .iter()
                .any(|visible| visible.reads.iter().any(|read| read == name))
                || self
                    .lens
                    .column_by_unified(name)
                    .is_some_and(|c| !c.values.is_empty())
        })
    }

    fn insert(&self, source: &Source<'_>) -> Plan {
        let conflict = self.scope.statement.get("on_conflict_clause");
        let updates = !conflict.list("target_list").is_empty();
        let put = if self.full {
            self.lens.put_legacy_from("cf_img", None)
        } else if updates {
            self.lens.put_legacy_from("cf_img", Some(&self.changed()))
        } else {
            self.lens.insert_legacy_from("cf_img")
        };
        let mut output = Output::default();
        output
            .own("WITH cf_new AS (")
            .client(source, self.write.whole());
        output.own(&format!(" RETURNING {}.*)", self.write.alias));
        self.finish(
            output,
            source,
            Some(put),
            updates && self.moves_rows(),
            TagVerb::Insert,
        )
    }

    fn update(&self, source: &Source<'_>) -> Plan {
        let moves = self.moves_rows();
        let changed = self.changed();
        let put = if self.full {
            self.lens.put_legacy_from("cf_img", None)
        } else if moves {
            self.lens.put_legacy_from("cf_img", Some(&changed))
        } else {
            self.lens.update_legacy_from("cf_img", &changed)
        };
        let output = self.locked(source);
        self.finish(output, source, Some(put), moves, TagVerb::Update)
    }

    fn delete(&self, source: &Source<'_>) -> Plan {
        let output = self.locked(source);
        self.finish(output, source, None, false, TagVerb::Delete)
    }

    /// The client's UPDATE or DELETE as `cf_new`, with the legacy rows locked before it.
    fn locked(&self, source: &Source<'_>) -> Output {
        let write = self.write;
        let mut output = Output::default();
        // A WITH of the client's could be what its WHERE speaks of, and the lock stands outside.
        let lockable = write.with.is_none() && !write.is_current_of();
        let guard = "(SELECT count(*) FROM cf_lock) >= 0";
        output.own("WITH ");
        if lockable {
            let mut keys = Output::default();
            keys.own(&format!(
                "SELECT {} FROM ",
                self.lens.legacy_key_of(&write.alias)
            ));
            keys.own(&format!("{} AS {}", self.lens.unified, write.alias));
            if let Some(joined) = write.joined() {
                keys.own(", ").client(source, joined);
            }
            if let Some(condition) = write.condition() {
                keys.own(" WHERE ").client(source, condition);
            }
            output.own(&format!(
                "cf_lock AS MATERIALIZED ({}), ",
                self.lens.lock_legacy(&keys.sql)
            ));
        }
        output.own("cf_new AS (");
        match write.condition() {
            _ if !lockable => output.client(source, write.whole()),
            Some(condition) => output
                .client(source, write.body.start..condition.start)
                .own("(")
                .client(source, condition)
                .own(&format!(") AND {guard}")),
            None => output
                .client(source, write.body.clone())
                .own(&format!(" WHERE {guard}")),
        };
        output.own(&format!(" RETURNING {}.*)", write.alias));
        output
    }

    fn finish(
        &self,
        mut output: Output,
        source: &Source<'_>,
        put: Option<String>,
        hides: bool,
        verb: TagVerb,
    ) -> Plan {
        output.own(&format!(", cf_img AS ({})", self.lens.read_from("cf_new")));
        let remove = |relation: &str| {
            format!(
                " WHERE (SELECT {}(array_agg({}), false) FROM {relation} AS {})",
                self.lens.function_name(Work::RemoveLegacy),
                self.lens.image_row(Lens::IMAGE),
                Lens::IMAGE
            )
        };
        let condition = match &put {
            None => remove("cf_img"),
            Some(_) if hides => remove(&format!("({})", self.lens.hidden_from("cf_new"))),
            Some(_) => String::new(),
        };
        if let Some(put) = put {
            output.own(&format!(", cf_put AS ({put})"));
        }
        let returning = self.write.returning.clone();
        let hide_rows = returning.is_none();
        output.own(" SELECT ");
        if let Some(list) = returning {
            output.client(source, list);
        }
        output.own(&format!(" FROM cf_new AS {}{condition}", self.write.alias));
        Plan::Composed {
            output,
            answer: Answer {
                tag: Some(verb),
                hide_rows,
            },
        }
    }
}
