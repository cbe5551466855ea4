//! Writes to a legacy name once unified leads (`unified_read`, `unified_only`, `retired`).
//!
//! ```text
//! UPDATE iso_agents SET margin_value = margin_value + 1 WHERE role = 'admin'
//!
//! WITH cf_old AS MATERIALIZED (
//!        SELECT "iso_agents"."id" AS cf_k1, margin_value + 1 AS cf_v1
//!        FROM (SELECT … FROM "public"."users" AS cf_u …) AS "iso_agents"
//!        WHERE (role = 'admin') FOR UPDATE OF "iso_agents")
//! UPDATE "public"."users" AS cf_u SET "margin_value" = cf_old.cf_v1
//! FROM cf_old WHERE cf_u."id" = cf_old.cf_k1
//! ```
//!
//! The client's expressions stay over a relation that looks like the legacy table, so they mean
//! what they meant. FOR UPDATE locks the unified rows and re-reads them if they changed while it
//! waited; without it two concurrent increments would lose one. In `unified_read` the legacy rows
//! are locked first and written last, by row image.

mod conflict;
mod insert;

use super::clauses::Write;
use super::expression::{assigned, value_of_assignment};
use super::{ManagedRef, Plan, Scope, invert};
use crate::lens::{LegacyColumn, Lens, Work, quote_ident};
use crate::phase::Phase;
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};
use crate::tokens::Tokens;

pub(super) fn plan<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    let write = Write::of(scope, target)?;
    let lens = target.managed.lens;
    let table = target.table_name();
    if write.with_writes() {
        return Err(refuse::unsupported(
            "a WITH that writes, in front of a write,",
            &table,
            "Send the writes as statements of their own.",
        ));
    }
    if write.is_current_of() {
        return Err(refuse::unsupported(
            "WHERE CURRENT OF once reads are unified",
            &table,
            "Name the row by its key.",
        ));
    }
    if let Some(column) = super::read::system_column(scope.statement, write.refname) {
        return Err(refuse::unsupported(
            &format!("the system column {column}"),
            &table,
            "Use the table's key: its rows live elsewhere now.",
        ));
    }
    write.check_returning(target, source, &|name| lens.column(name).is_some())?;
    let unified = Unified {
        scope: *scope,
        target,
        write: &write,
        lens,
        mirrors: target.managed.migration.phase == Phase::UnifiedRead,
    };
    match scope.statement.kind() {
        "InsertStmt" => unified.insert(source),
        "UpdateStmt" => unified.update(source),
        _ => Ok(unified.delete(source)),
    }
}

struct Unified<'w, 'a> {
    scope: Scope<'a>,
    target: &'w ManagedRef<'a>,
    write: &'w Write<'a>,
    lens: &'w Lens,
    /// Whether legacy still follows by row image.
    mirrors: bool,
}

impl<'a> Unified<'_, 'a> {
    fn update(&self, source: &Source<'_>) -> Result<Plan, Refusal> {
        let sets = self.assignments()?;
        let mut output = Output::default();
        self.open(&mut output, source);
        self.old_rows(&mut output, source, |output| {
            for (index, (column, value)) in sets.iter().enumerate() {
                output.own(", ");
                assigned(output, source, Some(*value), column);
                output.own(&format!(" AS cf_v{}", index + 1));
            }
        });
        let assignments: Vec<String> = sets
            .iter()
            .enumerate()
            .map(|(index, (column, _))| {
                let value = column.put_value(&format!("cf_old.cf_v{}", index + 1));
                format!("{} = {value}", quote_ident(&column.unified))
            })
            .collect();
        let update = format!(
            "UPDATE {} AS {row} SET {} FROM cf_old WHERE {}",
            self.lens.unified,
            assignments.join(", "),
            self.key_of_old(),
            row = Lens::ROW,
        );
        Ok(self.finish(output, source, &update, TagVerb::Update))
    }

    fn delete(&self, source: &Source<'_>) -> Plan {
        let mut output = Output::default();
        self.open(&mut output, source);
        self.old_rows(&mut output, source, |_| {});
        let delete = format!(
            "DELETE FROM {} AS {row} USING cf_old WHERE {}",
            self.lens.unified,
            self.key_of_old(),
            row = Lens::ROW,
        );
        self.finish(output, source, &delete, TagVerb::Delete)
    }

    /// `WITH` and, before ours, the client's own WITH queries.
    fn open(&self, output: &mut Output, source: &Source<'_>) {
        match &self.write.with {
            Some(with) => output.client(source, with.clone()).own(", "),
            None => output.own("WITH "),
        };
    }

    /// The queries that find and lock the rows to write: `cf_old`, and `cf_lock` before it.
    fn old_rows(&self, output: &mut Output, source: &Source<'_>, values: impl Fn(&mut Output)) {
        let alias = &self.write.alias;
        let conditions = invert::conditions(&self.target.table, self.lens);
        let read = self.lens.read_where(&conditions);
        let from = |output: &mut Output| {
            output.own(&format!(" FROM ({read}) AS {alias}"));
            if let Some(joined) = self.write.joined() {
                output.own(", ").client(source, joined);
            }
            if let Some(condition) = self.write.condition() {
                output.own(" WHERE (").client(source, condition).own(")");
            }
        };
        let keys: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{alias}.{key}"))
            .collect();
        if self.mirrors {
            output.own(&format!("cf_keys AS (SELECT {}", keys.join(", ")));
            from(output);
            let locked = self.lens.lock_legacy("SELECT * FROM cf_keys");
            output.own(&format!("), cf_lock AS MATERIALIZED ({locked}), "));
        }
        let named: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| format!("{key} AS cf_k{}", i + 1))
            .collect();
        output.own(&format!(
            "cf_old AS MATERIALIZED (SELECT {}",
            named.join(", ")
        ));
        values(output);
        from(output);
        if self.mirrors {
            // Makes the locks on legacy come first.
            let word = if self.write.condition().is_some() {
                "AND"
            } else {
                "WHERE"
            };
            output.own(&format!(" {word} (SELECT count(*) FROM cf_lock) >= 0"));
        }
        output.own(&format!(" FOR UPDATE OF {alias})"));
    }

    fn key_of_old(&self) -> String {
        let keys: Vec<String> = self
            .lens
            .key_columns()
            .enumerate()
            .map(|(index, column)| {
                let old = column.put_value(&format!("cf_old.cf_k{}", index + 1));
                format!("{}.{} = {old}", Lens::ROW, quote_ident(&column.unified))
            })
            .collect();
        keys.join(" AND ")
    }

    /// Puts the unified statement behind the WITH queries so far, then the legacy half and the
    /// client's RETURNING list.
    fn finish(
        &self,
        mut output: Output,
        source: &Source<'_>,
        unified: &str,
        verb: TagVerb,
    ) -> Plan {
        let returning = self.write.returning.clone();
        if !self.mirrors && returning.is_none() {
            output.own(" ").own(unified);
            return Plan::Composed {
                output,
                answer: Answer::default(),
            };
        }
        let images = self.lens.read_from("cf_new");
        output.own(&format!(
            ", cf_new AS ({unified} RETURNING {}.*), cf_img AS ({images})",
            Lens::ROW
        ));
        let mut condition = String::new();
        if self.mirrors {
            if verb == TagVerb::Delete {
                condition = format!(" WHERE {}", self.remove_legacy("cf_img"));
            } else if self.keys_may_move(verb) {
                let moved = self.remove_legacy("(SELECT cf_o.* FROM cf_moved AS cf_o)");
                let old = self.old_images();
                output.own(&format!(", cf_moved AS ({old})"));
                condition = format!(" WHERE {moved}");
                output.own(&format!(
                    ", cf_put AS ({})",
                    self.lens.put_legacy_from("cf_img", None)
                ));
            } else {
                output.own(&format!(
                    ", cf_put AS ({})",
                    self.lens.put_legacy_from("cf_img", None)
                ));
            }
        }
        let hide_rows = returning.is_none();
        output.own(" SELECT ");
        if let Some(list) = returning {
            output.client(source, list);
        }
        output.own(&format!(" FROM cf_img AS {}{condition}", self.write.alias));
        Plan::Composed {
            output,
            answer: Answer {
                tag: Some(verb),
                hide_rows,
            },
        }
    }

    fn keys_may_move(&self, verb: TagVerb) -> bool {
        verb == TagVerb::Update
            && self.scope.statement.list("target_list").iter().any(|set| {
                self.lens
                    .key_columns()
                    .any(|key| key.name == set.text("name"))
            })
    }

    /// Images that carry only the old keys of the written rows, for those that changed theirs.
    fn old_images(&self) -> String {
        let columns: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| {
                let key = self
                    .lens
                    .key_columns()
                    .position(|key| key.name == column.name);
                let value = match key {
                    Some(index) => format!("cf_old.cf_k{}", index + 1),
                    None => format!("NULL::{}", column.sql_type),
                };
                format!("{value} AS {}", quote_ident(&column.name))
            })
            .collect();
        let gone: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .enumerate()
            .map(|(index, key)| format!("cf_img.{key} = cf_old.cf_k{}", index + 1))
            .collect();
        format!(
            "SELECT {} FROM cf_old WHERE NOT EXISTS (SELECT 1 FROM cf_img WHERE {})",
            columns.join(", "),
            gone.join(" AND ")
        )
    }

    fn remove_legacy(&self, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg({}), false) FROM {relation} AS {})",
            self.lens.function_name(Work::RemoveLegacy),
            self.lens.image_row(Lens::IMAGE),
            Lens::IMAGE
        )
    }

    /// The columns that an UPDATE sets, each with the client's expression.
    fn assignments(&self) -> Result<Vec<(&LegacyColumn, Tokens<'a>)>, Refusal> {
        let table = self.target.table_name();
        let refuse = |what: &str| {
            Err(refuse::unsupported(
                what,
                &table,
                "Set each column by `column = expression`.",
            ))
        };
        let targets = self.scope.statement.list("target_list");
        let items = self
            .write
            .assignments()
            .map(|tokens| tokens.split())
            .unwrap_or_default();
        if targets
            .iter()
            .any(|target| target.get("val").is("MultiAssignRef"))
        {
            return refuse("a multi-column SET once reads are unified");
        }
        if targets
            .iter()
            .any(|target| !target.list("indirection").is_empty())
        {
            return refuse("SET of an array element or a field once reads are unified");
        }
        let mut sets = Vec::new();
        for (target, item) in targets.iter().zip(&items) {
            let column = self.legacy_column(target.text("name"))?;
            match value_of_assignment(item) {
                Some(value) => sets.push((column, value)),
                None => return refuse("this assignment"),
            }
        }
        if sets.len() != targets.len() || items.len() != targets.len() {
            return refuse("this list of assignments");
        }
        Ok(sets)
    }

    fn legacy_column(&self, name: &str) -> Result<&LegacyColumn, Refusal> {
        self.lens.column(name).ok_or_else(|| Refusal {
            sqlstate: "42703",
            message: format!(
                "column \"{name}\" of relation \"{}\" does not exist",
                self.lens.legacy.name
            ),
            hint: "The rule file declares the table's columns.".to_owned(),
            position: None,
        })
    }
}
