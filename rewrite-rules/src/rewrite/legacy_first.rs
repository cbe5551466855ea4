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
use super::{ManagedRef, Plan, Scope};
use crate::lens::{Lens, Work, quote_ident};
use crate::refuse;
use crate::rule_set::OnUnifiedError;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};

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
    if write.is_current_of() && target.reads_unified() {
        return Err(refuse::unsupported(
            "WHERE CURRENT OF once reads are unified",
            &table,
            "Name the row by its key.",
        ));
    }
    write.check_returning(target, source, &|name| lens.column(name).is_some())?;
    let record = target.managed.migration.on_unified_error() == OnUnifiedError::Record;
    let shape = Shape {
        write: &write,
        lens,
        record,
    };
    match scope.statement.kind() {
        "InsertStmt" => Ok(shape.put(source, TagVerb::Insert)),
        "UpdateStmt" if sets_key(scope, lens) => shape.rekey(source, &table),
        "UpdateStmt" => Ok(shape.put(source, TagVerb::Update)),
        _ => Ok(shape.remove(source)),
    }
}

fn sets_key(scope: &Scope<'_>, lens: &Lens) -> bool {
    let targets = scope.statement.list("target_list");
    targets
        .iter()
        .any(|set| lens.key_columns().any(|key| key.name == set.text("name")))
}

struct Shape<'w, 'a> {
    write: &'w Write<'a>,
    lens: &'w Lens,
    record: bool,
}

impl Shape<'_, '_> {
    /// `WITH cf_new AS (the client's statement RETURNING its row images`
    fn image(&self, source: &Source<'_>) -> Output {
        let mut output = Output::default();
        output
            .own("WITH cf_new AS (")
            .client(source, self.write.whole());
        output.own(&format!(" RETURNING {}.*)", self.write.alias));
        output
    }

    fn put(&self, source: &Source<'_>, verb: TagVerb) -> Plan {
        let mut output = self.image(source);
        if self.record {
            let call = self.call(Work::Put, "cf_new");
            return self.select(output, source, "cf_new", Some(call), verb);
        }
        let put = self.lens.put_from("cf_new");
        if self.write.returning.is_some() {
            output.own(&format!(", cf_put AS ({put})"));
            return self.select(output, source, "cf_new", None, verb);
        }
        // An upsert from n images counts n rows: its tag needs only another verb.
        output.own(" ").own(&put);
        Plan::Composed {
            output,
            answer: Answer {
                tag: Some(verb),
                hide_rows: false,
            },
        }
    }

    fn remove(&self, source: &Source<'_>) -> Plan {
        let output = self.image(source);
        let call = self.call(Work::Remove, "cf_new");
        self.select(output, source, "cf_new", Some(call), TagVerb::Delete)
    }

    /// An UPDATE that sets the key: the unified row keeps its other columns and moves along.
    ///
    /// The old images are read under the lock that the UPDATE would take, so that each new image
    /// has its old one. If a concurrent change of the same keys still pairs them differently the
    /// statement fails instead of guessing.
    fn rekey(&self, source: &Source<'_>, table: &str) -> Result<Plan, Refusal> {
        let write = self.write;
        let Some(assignments) = write.assignments().map(|tokens| tokens.extent()) else {
            return Err(refuse::unsupported(
                "this UPDATE",
                table,
                "Write it plainly.",
            ));
        };
        if write.joined().is_some() || write.with.is_some() || write.is_current_of() {
            return Err(refuse::unsupported(
                "an UPDATE of the key with FROM, WITH or CURRENT OF",
                table,
                "Update the key in a statement with a plain WHERE.",
            ));
        }
        let alias = &write.alias;
        let legacy = self.lens.legacy.sql();
        let mut output = Output::default();
        output.own(&format!(
            "WITH cf_old AS MATERIALIZED (SELECT ROW({alias}.*)::{legacy} AS cf_row FROM {legacy} AS {alias}"
        ));
        if let Some(condition) = write.condition() {
            output.own(" WHERE ").client(source, condition);
        }
        output
            .own(" FOR UPDATE), cf_new AS (")
            .client(source, write.body.start..assignments.end);
        let join: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{alias}.{key} = (cf_old.cf_row).{key}"))
            .collect();
        output.own(&format!(" FROM cf_old WHERE {}", join.join(" AND ")));
        if let Some(condition) = write.condition() {
            output.own(" AND (").client(source, condition).own(")");
        }
        let columns: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| quote_ident(&column.name))
            .collect();
        let call = format!(
            "(SELECT {}(array_agg(cf_n.cf_row), array_agg({}), {}) FROM cf_new AS cf_n) AND CASE \
             WHEN (SELECT count(*) FROM cf_old) = (SELECT count(*) FROM cf_new) THEN true \
             ELSE ('a key changed while this statement waited for its row; retry' || \
             (SELECT count(*) FROM cf_new))::boolean END",
            self.lens.function_name(Work::Rekey),
            self.lens.image_row(Lens::IMAGE),
            self.record,
        );
        output.own(&format!(" RETURNING {alias}.*, cf_old.cf_row)"));
        let images = format!("(SELECT {} FROM cf_new)", columns.join(", "));
        Ok(self.select(output, source, &images, Some(call), TagVerb::Update))
    }

    /// A call of one of the lens's functions over the images in a relation.
    fn call(&self, work: Work, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg(ROW({image}.*)::{}), {}) FROM {relation} AS {image})",
            self.lens.function_name(work),
            self.lens.legacy,
            self.record,
            image = Lens::IMAGE,
        )
    }

    /// The final SELECT: the client's RETURNING list over the images, or rows to be counted.
    fn select(
        &self,
        mut output: Output,
        source: &Source<'_>,
        images: &str,
        call: Option<String>,
        verb: TagVerb,
    ) -> Plan {
        let returning = self.write.returning.clone();
        let hide_rows = returning.is_none();
        output.own(" SELECT ");
        if let Some(list) = returning {
            output.client(source, list);
        }
        output.own(&format!(" FROM {images} AS {}", self.write.alias));
        if let Some(call) = call {
            output.own(&format!(" WHERE {call}"));
        }
        Plan::Composed {
            output,
            answer: Answer {
                tag: Some(verb),
                hide_rows,
            },
        }
    }
}
