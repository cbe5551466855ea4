//! Writes to a legacy name while legacy leads (`dual_write`, `shadow_read`, `dual_read`).
//!
//! ```text
//! UPDATE iso_agents SET full_name = 'x' WHERE id = $1 RETURNING role
//!
//! WITH cf_new AS (UPDATE iso_agents SET full_name = 'x' WHERE id = $1 RETURNING "iso_agents".*),
//!      cf_put AS (INSERT INTO "public"."users" … SELECT … FROM cf_new AS cf_n ON CONFLICT …)
//! SELECT role FROM cf_new AS "iso_agents"
//! ```
//!
//! The client's own statement runs once; its row images feed the unified half. Defaults,
//! sequences, `now()` and BEFORE triggers are in the image, never evaluated a second time.
//! Under `record`, and for deletes and key changes, the lens's functions in the database do the
//! unified half from within the same statement (see `lens::functions`).

use super::clauses::Write;
use super::compose::{Composed, Composer, returned};
use super::returning::Carried;
use super::{ManagedRef, Scope, upsert};
use crate::lens::{Lens, Work, quote_ident};
use crate::refuse;
use crate::rule_set::OnUnifiedError;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};

pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Composed, Refusal> {
    let lens = target.managed.lens;
    let table = target.table_name();
    if write.is_current_of() && target.reads_unified() {
        return Err(refuse::unsupported(
            "WHERE CURRENT OF once reads are unified",
            &table,
            "Name the row by its key.",
        ));
    }
    let carried = write.check_returning(scope, target, source)?;
    let record = target.managed.migration.on_unified_error() == OnUnifiedError::Record;
    let shape = Shape {
        write,
        lens,
        record,
        carried,
    };
    match scope.statement.kind() {
        "InsertStmt" => {
            keeps_keys(scope, target)?;
            Ok(shape.put(composer, source, TagVerb::Insert))
        }
        "UpdateStmt" if sets_key(scope, lens) => {
            if lens.written.as_ref().is_some_and(|w| !w.can_rekey()) {
                return Err(refuse::key_change(&table));
            }
            shape.rekey(composer, source, &table)
        }
        "UpdateStmt" => Ok(shape.put(composer, source, TagVerb::Update)),
        _ => Ok(shape.remove(composer, source)),
    }
}

/// An INSERT under the legacy name gives no row that is there another key.
pub(super) fn keeps_keys(scope: &Scope<'_>, target: &ManagedRef<'_>) -> Result<(), Refusal> {
    let lens = target.managed.lens;
    let keys: Vec<&str> = lens.key_columns().map(|key| key.name.as_str()).collect();
    upsert::check_keeps(scope.statement, target, &keys, Some(&lens.key_constraint()))
}

pub(super) fn sets_key(scope: &Scope<'_>, lens: &Lens) -> bool {
    let targets = scope.statement.list("target_list");
    targets
        .iter()
        .any(|set| lens.key_columns().any(|key| key.name == set.text("name")))
}

struct Shape<'w, 'a> {
    write: &'w Write<'a>,
    lens: &'w Lens,
    record: bool,
    carried: Carried,
}

impl Shape<'_, '_> {
    /// The client's statement, returning its row images, as `cf_new`.
    fn image(&self, composer: &mut Composer, source: &Source<'_>) -> String {
        let mut statement = Output::default();
        statement.client(source, self.write.body.clone());
        statement.append(returned(self.write, &self.carried, &self.lens.legacy));
        composer.query("new", statement);
        composer.name("new")
    }

    fn put(&self, mut composer: Composer, source: &Source<'_>, verb: TagVerb) -> Composed {
        let new = self.image(&mut composer, source);
        if self.record || self.lens.written.is_some() || self.lens.row_security {
            composer.call(self.function(Work::Put, &new));
            return composer.select_rows(self.write, source, &new, &self.carried, verb);
        }
        let put = self.lens.put_from(&new);
        if self.write.returning.is_some() {
            composer.query("put", put);
            return composer.select_rows(self.write, source, &new, &self.carried, verb);
        }
        // An upsert from n images counts n rows: its tag needs only another verb.
        composer.end(
            put,
            Answer {
                tag: Some(verb),
                ..Answer::default()
            },
        )
    }

    fn remove(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let new = self.image(&mut composer, source);
        composer.call(self.function(Work::Remove, &new));
        composer.select_rows(self.write, source, &new, &self.carried, TagVerb::Delete)
    }

    /// An UPDATE that sets the key: the unified row keeps its other columns and moves along.
    ///
    /// The old images are read under the lock that the UPDATE would take, so that each new image
    /// has its old one. If a concurrent change of the same keys still pairs them differently the
    /// statement fails instead of guessing.
    fn rekey(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        table: &str,
    ) -> Result<Composed, Refusal> {
        let write = self.write;
        let Some(assignments) = write.assignments().map(|tokens| tokens.extent()) else {
            return Err(refuse::unsupported(
                "this UPDATE",
                table,
                "Write it plainly.",
            ));
        };
        if write.joined().is_some() || write.is_current_of() {
            return Err(refuse::unsupported(
                "an UPDATE of the key with FROM or CURRENT OF",
                table,
                "Update the key in a statement with a plain WHERE.",
            ));
        }
        let (alias, legacy) = (&write.alias, self.lens.legacy.sql());
        let (old, new) = (composer.name("old"), composer.name("new"));

        let mut locked = Output::default();
        let row = if self.lens.written.is_some() {
            self.lens.image_row(alias)
        } else {
            format!("ROW({alias}.*)::{legacy}")
        };
        locked.own(&format!("SELECT {row} AS cf_row FROM {legacy} AS {alias}"));
        if let Some(condition) = write.condition() {
            locked.own(" WHERE ").client(source, condition);
        }
        locked.own(" FOR UPDATE");
        composer.once("old", locked);

        let mut statement = Output::default();
        statement.client(source, write.body.start..assignments.end);
        let join: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{alias}.{key} = ({old}.cf_row).{key}"))
            .collect();
        statement.own(&format!(" FROM {old} WHERE {}", join.join(" AND ")));
        if let Some(condition) = write.condition() {
            statement.own(" AND (").client(source, condition).own(")");
        }
        statement.own(&format!(" RETURNING {alias}.*, {old}.cf_row"));
        composer.query("new", statement);

        composer.call(format!(
            "(SELECT {}(array_agg({image}.cf_row), array_agg({}), {}) FROM {new} AS {image})",
            self.lens.function_name(Work::Rekey),
            self.lens.image_row(Lens::IMAGE),
            self.record,
            image = Lens::IMAGE,
        ));
        composer.call(format!(
            "CASE WHEN (SELECT count(*) FROM {old}) = (SELECT count(*) FROM {new}) THEN true \
             ELSE ('a key changed while this statement waited for its row; retry' || \
             (SELECT count(*) FROM {new}))::boolean END"
        ));
        let columns: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| quote_ident(&column.name))
            .collect();
        let images = format!("(SELECT {} FROM {new})", columns.join(", "));
        Ok(composer.select(write, source, &images, TagVerb::Update))
    }

    /// A call of one of the lens's functions over the images in a relation.
    fn function(&self, work: Work, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg({row}), {}) FROM {relation} AS {image})",
            self.lens.function_name(work),
            self.record,
            image = Lens::IMAGE,
            row = if self.lens.written.is_some() || !self.carried.is_empty() {
                self.lens.image_row(Lens::IMAGE)
            } else {
                format!("ROW({}.*)::{}", Lens::IMAGE, self.lens.legacy)
            },
        )
    }
}
