//! Names of tables that each tenant has, where it is not one tenant's table that is meant.
//!
//! ```text
//! SET search_path = 'public'; SELECT … FROM employees_employee      refused: no tenant, and never all rows
//! SELECT … FROM initech.employees_employee                          refused: of a schema that is no tenant's (yet)
//! SELECT … FROM public.employees_employee                           passes: the unified name says what is meant
//! UPDATE public.employees_employee SET …                            refused while each tenant's table has to follow
//! CREATE TABLE initech.employees_employee (…)                       passes: a tenant is being made
//! ```
//!
//! Without it an unqualified name would find the unified table as soon as no tenant's stands before it in the path, and
//! with it the rows of all.

use super::named::{self, Decision};
use super::{ManagedRef, Scope, read_or_written};
use crate::bind::{NamedIn, TableRef};
use crate::lens::{Lens, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::statement::Refusal;

/// Refuses a statement that names such a table and no tenant for something that takes one.
pub(super) fn check(scope: &Scope<'_>) -> Result<(), Refusal> {
    for (migration, lens) in scope.set.of_any_tenant() {
        let tables = scope.bound.tables().iter();
        for table in tables.filter(|table| table.place != NamedIn::Locked) {
            check_one(scope, table, lens, migration.phase)?;
        }
    }
    Ok(())
}

fn check_one(
    scope: &Scope<'_>,
    table: &TableRef<'_>,
    lens: &Lens,
    phase: Phase,
) -> Result<(), Refusal> {
    let (is_legacy, is_unified) = (
        table.table() == lens.legacy.name,
        table.table() == lens.unified.name,
    );
    let Some(schema) = table.schema() else {
        return match (is_legacy || is_unified, means(scope, table)) {
            (true, Meant::Nobodys) if read_or_written(table.place) => {
                Err(refuse::no_tenant(table.table()))
            }
            (true, Meant::Shared) if read_or_written(table.place) => {
                Err(refuse::no_tenant(table.table()))
            }
            (true, Meant::Shared) => shared(table, phase),
            (true, Meant::Nobodys | Meant::Tenants | Meant::Other) | (false, _) => Ok(()),
        };
    };
    if is_unified && schema == lens.unified.schema {
        return shared(table, phase);
    }
    let known = scope.set.all_managed(Some(schema), table.table());
    let stranger = is_legacy && known.is_empty() && schema != "pg_temp";
    if stranger && read_or_written(table.place) {
        return Err(refuse::unknown_tenant(schema, table.table()));
    }
    Ok(())
}

/// Whose table a name without its schema means.
enum Meant {
    Tenants,
    /// One of a schema that is no tenant's.
    Nobodys,
    /// The unified one.
    Shared,
    /// Another, or it is not known which.
    Other,
}

fn means(scope: &Scope<'_>, table: &TableRef<'_>) -> Meant {
    let all = scope.set.all_managed(None, table.table());
    let mut found = all
        .iter()
        .filter(|managed| scope.set.finds(scope.path, managed.table) == Some(true));
    // A tenant's own comes first.
    match found.next() {
        None => Meant::Other,
        Some(managed) if !managed.lens.is_of_any_tenant() => Meant::Tenants,
        Some(managed) if *managed.table == managed.lens.legacy => Meant::Nobodys,
        Some(_) => Meant::Shared,
    }
}

/// What may be done to the unified table under its own name.
fn shared(table: &TableRef<'_>, phase: Phase) -> Result<(), Refusal> {
    let writes = match table.place {
        NamedIn::Target | NamedIn::WithTarget => true,
        NamedIn::Command(used) => {
            named::decide(used, named::CommandTable::Unified, phase) == Decision::Rewritten
        }
        NamedIn::Read | NamedIn::Sampled | NamedIn::Locked => false,
    };
    if writes && phase.writes_both() {
        return Err(refuse::shared_write(table.table()));
    }
    Ok(())
}

/// The statement that tells row security whose rows a tenant's table has, where the rule file names a setting for that.
/// For the transaction only: a later one may be another tenant's.
pub(in crate::rewrite) fn context(found: &ManagedRef<'_>) -> Option<String> {
    let listed = found.managed.migration.tenants.as_ref()?;
    let setting = listed.context.as_ref()?;
    let value = found.managed.lens.discriminator()?.value.as_ref()?;
    Some(format!(
        "SELECT pg_catalog.set_config({}, {}, true)",
        quote_literal(setting),
        quote_literal(value)
    ))
}
