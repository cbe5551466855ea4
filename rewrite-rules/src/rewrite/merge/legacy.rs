//! MERGE into the legacy name while legacy leads.
//!
//! ```text
//! MERGE INTO iso_agents a USING s ON … WHEN MATCHED AND s.gone THEN DELETE
//!   WHEN MATCHED THEN UPDATE SET email = s.e WHEN NOT MATCHED THEN INSERT (…) VALUES (…)
//!
//! WITH cf_new AS (MERGE INTO iso_agents a USING s ON … WHEN …
//!                 RETURNING merge_action() AS cf_action, ROW("a".*)::"public"."iso_agents" AS cf_row)
//! SELECT FROM cf_new AS cf_all
//!  WHERE CASE WHEN (SELECT remove(array_agg(cf_row), …) FROM cf_new WHERE cf_action = 'DELETE')
//!             THEN (SELECT put(array_agg(cf_row), …) FROM cf_new WHERE cf_action <> 'DELETE') END
//! ```
//!
//! Rows that go are removed first: one that comes may have a unique value of theirs.

use super::{Joined, check_keys, returning};
use crate::legend::query;
use crate::lens::Work;
use crate::rewrite::clauses::Write;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::{ManagedRef, Scope};
use crate::rule_set::OnUnifiedError;
use crate::splice::{Output, Source};
use crate::statement::Refusal;

pub(in crate::rewrite) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    mut composer: Composer,
) -> Result<Composed, Refusal> {
    let lens = target.managed.lens;
    let merge = &write.clauses.merge;
    check_keys(merge, target)?;
    let joined = Joined::of(scope, target, write.clauses.returning.is_some(), source);
    returning(scope, target, (write, &joined, "cf_all"), source)?;

    let mut statement = Output::default();
    statement.client(source, write.clauses.body.clone());
    composer.own_merge(statement, (write, &joined), &lens.legacy);

    let record = target.managed.migration.on_unified_error() == OnUnifiedError::Record;
    // A split or merged row has an image type of its own, which outlives the table.
    let row = match &lens.written {
        None => "cf_row".to_owned(),
        Some(_) => lens.image_row("(cf_row)"),
    };
    let call = |work: Work, sign: &str| {
        format!(
            "(SELECT {}(array_agg({row}), {record}) FROM {} WHERE cf_action {sign} 'DELETE')",
            lens.function_name(work),
            composer.name(query::NEW)
        )
    };
    let (remove, put) = (call(Work::Remove, "="), call(Work::Put, "<>"));
    match (merge.deletes(), merge.puts()) {
        (false, false) => {}
        (true, false) => composer.call(remove),
        (true, true) => composer.call(format!("CASE WHEN {remove} THEN {put} END")),
        (false, true) if record || lens.row_security || lens.written.is_some() => {
            composer.call(put);
        }
        (false, true) => {
            let put = lens.put_from(&composer.merged(None));
            composer.query(query::PUT, put);
        }
    }
    Ok(composer.select_own_merge(source, (write, &joined)))
}
