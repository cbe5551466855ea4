//! `crossfade prepare`: the schema `crossfade` and the functions of every lens, made once, changed
//! by version, safe to run at any time and by several proxies at once.

use std::collections::HashSet;

use rewrite_rules::lens::{Function, quote_ident};
use rewrite_rules::{Lens, RuleSet, TableName};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::callers;
use super::connection::BEGIN_SHORT;
use super::epochs;
use super::error::ControlError;
use super::lock::{self, LockTurn};
use super::stand_in;

/// What leads from each version to the next; the first from nothing. A text that was released is
/// never changed, another is added.
const VERSIONS: [&str; 16] = [
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
    include_str!("schema_11.sql"),
    include_str!("schema_12.sql"),
    include_str!("schema_13.sql"),
    include_str!("schema_14.sql"),
    include_str!("schema_15.sql"),
    include_str!("schema_16.sql"),
];
pub const VERSION: i32 = VERSIONS.len() as i32;

/// Whose [prepare] DDL a preparation runs. It changes the application's tables, so it takes an
/// operator's command: a proxy that starts to serve leaves it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ddl<'a> {
    OfNone,
    Of(&'a str),
    OfAll,
}

impl Ddl<'_> {
    fn is_of(self, migration: &str) -> bool {
        match self {
            Ddl::OfNone => false,
            Ddl::Of(name) => name == migration,
            Ddl::OfAll => true,
        }
    }
}

/// What a preparation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    pub schema_created: bool,
    /// The version that was there before.
    pub upgraded_from: Option<i32>,
    pub functions_created: Vec<String>,
    /// Legacy tables that do not exist: their functions cannot be created, for their parameters
    /// are rows of them.
    pub tables_absent: Vec<String>,
}

/// Brings the schema up to date in one transaction. What is in order already is left alone.
///
/// The connection is shared with its caller, hence no `&mut`: it must not be in a transaction.
pub async fn prepare(
    client: &Client,
    rules: &RuleSet,
    ddl: Ddl<'_>,
) -> Result<Prepared, ControlError> {
    let mut turn = LockTurn::begin("prepare");
    loop {
        let sql = || ControlError::sql("prepare");
        client.batch_execute(BEGIN_SHORT).await.map_err(sql())?;
        let result = prepare_in_transaction(client, rules, ddl).await;
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await.map_err(sql())?;
        match result {
            Err(error) => turn.after(client, error).await?,
            Ok(prepared) => return Ok(prepared),
        }
    }
}

async fn prepare_in_transaction(
    client: &Client,
    rules: &RuleSet,
    ddl: Ddl<'_>,
) -> Result<Prepared, ControlError> {
    let sql = || ControlError::sql("prepare");
    let mut prepared = Prepared::default();
    // Two at once would fail with "tuple concurrently updated". Who makes the first table has no
    // table to lock: the schema's name is its turn, and the other one tries again.
    if table_exists(client, lock::TABLE).await? {
        lock::take(client).await?;
    }
    let found = version(client).await?.unwrap_or(0);
    if found > VERSION {
        return Err(ControlError::NewerSchema {
            found,
            known: VERSION,
        });
    }
    for ddl in VERSIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        client.batch_execute(ddl).await.map_err(sql())?;
    }
    if found < VERSION {
        prepared.schema_created = found == 0;
        prepared.upgraded_from = (found > 0).then_some(found);
        client
            .execute("UPDATE crossfade.version SET version = $1", &[&VERSION])
            .await
            .map_err(sql())?;
    }
    for migration in rules.migrations() {
        if !ddl.is_of(&migration.name) {
            continue;
        }
        let Some(ddl) = &migration.prepare else {
            continue;
        };
        let legacy: Vec<String> = migration
            .tables
            .iter()
            .map(|lens| lens.legacy.sql())
            .collect();
        if !stand_in::legacy_there(client, &legacy).await?.is_empty() {
            run_once(client, &migration.name, ddl).await?;
        }
    }
    // What does not fit the tables is not called either.
    let fitting = rules.migrations().iter().filter(|m| m.misfit.is_none());
    let lenses: Vec<&Lens> = fitting.flat_map(|m| &m.tables).collect();
    let both = lenses
        .iter()
        .flat_map(|lens| std::iter::once(&lens.legacy).chain(lens.unified_tables()));
    let both: Vec<String> = both.map(TableName::sql).collect();
    let there = stand_in::legacy_there(client, &both)
        .await?
        .into_iter()
        .collect();
    let (ready, absent): (Vec<&Lens>, Vec<&Lens>) = lenses
        .into_iter()
        .partition(|lens| can_have_functions(lens, &there));
    let absent = absent.iter().map(|lens| super::shown(&lens.legacy.sql()));
    prepared.tables_absent.extend(absent);
    create_functions(client, &ready, &mut prepared).await?;
    remember_migrations(client, rules).await?;
    epochs::begin(client, rules).await?;
    // In the transaction that made the functions: PUBLIC may execute a new one.
    callers::settle(client, rules).await?;
    Ok(prepared)
}

/// Makes what a written lens calls, in a transaction that will be rolled back: its rules may not be
/// those in force, or the database not prepared at all.
pub(crate) async fn functions_for_a_trial(
    client: &Client,
    lens: &Lens,
) -> Result<(), ControlError> {
    if !lens.has_own_images() {
        return Ok(());
    }
    let found = version(client).await?.unwrap_or(0);
    if found == VERSION && not_made(client, &[lens]).await?.is_empty() {
        return Ok(());
    }
    // Whoever prepares for good meanwhile waits for the end of this.
    if found > 0 {
        lock::take(client).await?;
    }
    let sql = || ControlError::sql("functions for a trial");
    for ddl in VERSIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        client.batch_execute(ddl).await.map_err(sql())?;
    }
    create_functions(client, &[lens], &mut Prepared::default()).await
}

/// Each migration has its rows from the beginning: a transaction whose snapshot is older than a
/// change of one can find that out only if the row is there to be locked.
async fn remember_migrations(client: &Client, rules: &RuleSet) -> Result<(), ControlError> {
    let names: Vec<&str> = rules.migrations().iter().map(|m| m.name.as_str()).collect();
    for table in ["migrations", "recording"] {
        // Whoever conflicts with a row of another transaction would wait for it: most are there.
        let sql = format!(
            "INSERT INTO crossfade.{table} (migration) SELECT name FROM unnest($1::text[]) AS name \
             WHERE NOT EXISTS (SELECT FROM crossfade.{table} AS m WHERE m.migration = name) \
             ON CONFLICT DO NOTHING"
        );
        client
            .query_typed(&sql, &[(&names, Type::TEXT_ARRAY)])
            .await
            .map_err(ControlError::sql("note of the migrations"))?;
    }
    Ok(())
}

/// The installed version; `None` when the database was never prepared.
pub async fn version(client: &Client) -> Result<Option<i32>, ControlError> {
    if !table_exists(client, "crossfade.version").await? {
        return Ok(None);
    }
    let row = client
        .query_typed_opt("SELECT version FROM crossfade.version", &[])
        .await
        .map_err(ControlError::sql("version of the schema"))?;
    Ok(row.map(|row| row.get(0)))
}

/// What the functions that raise notices for the proxies prove themselves by.
pub async fn proof(client: &Client) -> Result<String, ControlError> {
    let row = client
        .query_one("SELECT proof FROM crossfade.proof", &[])
        .await
        .map_err(ControlError::sql("look at the proof of notices"))?;
    Ok(row.get(0))
}

/// Whether the schema is one that this program can work with.
pub async fn is_prepared(client: &Client) -> Result<bool, ControlError> {
    Ok(version(client).await?.is_some_and(|found| found >= VERSION))
}

/// Fails with what to do when the database was never prepared, or for an older program.
pub async fn must_be_prepared(client: &Client) -> Result<(), ControlError> {
    match version(client).await? {
        Some(found) if found >= VERSION => Ok(()),
        Some(found) => Err(ControlError::Refused(format!(
            "schema crossfade has version {found}, this program needs {VERSION}; run \
             `crossfade prepare`"
        ))),
        None => Err(ControlError::Refused(
            "the database has no schema crossfade; run `crossfade prepare`".to_owned(),
        )),
    }
}

/// `name` as SQL, qualified. In one round trip: it is what is asked most.
pub async fn table_exists(client: &Client, name: &str) -> Result<bool, ControlError> {
    let row = client
        .query_typed_one("SELECT to_regclass($1) IS NOT NULL", &[(&name, Type::TEXT)])
        .await
        .map_err(ControlError::sql("look-up of a table"))?;
    Ok(row.get(0))
}

async fn create_functions(
    client: &Client,
    lenses: &[&Lens],
    prepared: &mut Prepared,
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("creation of a lens's functions");
    for (lens, function) in not_made(client, lenses).await? {
        client.batch_execute(&function.ddl).await.map_err(sql())?;
        client
            .query_typed(
                "INSERT INTO crossfade.lens_functions (name, migration, legacy_table, ddl, callers) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE \
                 SET ddl = excluded.ddl, callers = excluded.callers, created_at = now()",
                &[
                    (&function.name, Type::TEXT),
                    (&lens.migration, Type::TEXT),
                    (&lens.legacy.sql(), Type::TEXT),
                    (&function.ddl, Type::TEXT),
                    (&callers::name_of(function.callers), Type::TEXT),
                ],
            )
            .await
            .map_err(sql())?;
        prepared.functions_created.push(function.name);
    }
    Ok(())
}

/// Bodies that are compared in one round trip, in bytes: those of some hundred tables.
const BODIES_BYTES_MAX: usize = 8 << 20;

/// Those of some lenses' functions that the database lacks, or has with another body; found in few round trips,
/// since every step and every start of a proxy asks. Bodies are compared, which needs no hash of each.
async fn not_made<'a>(
    client: &Client,
    lenses: &[&'a Lens],
) -> Result<Vec<(&'a Lens, Function)>, ControlError> {
    let mut missing = Vec::new();
    let (mut some, mut bytes) = (Vec::new(), 0);
    for lens in lenses {
        for function in lens.functions() {
            bytes += function.ddl.len();
            some.push((*lens, function));
        }
        if bytes > BODIES_BYTES_MAX {
            missing.append(&mut not_made_of(client, std::mem::take(&mut some)).await?);
            bytes = 0;
        }
    }
    missing.append(&mut not_made_of(client, some).await?);
    Ok(missing)
}

async fn not_made_of<'a>(
    client: &Client,
    functions: Vec<(&'a Lens, Function)>,
) -> Result<Vec<(&'a Lens, Function)>, ControlError> {
    let names: Vec<&str> = functions.iter().map(|(_, f)| f.name.as_str()).collect();
    let bodies: Vec<&str> = functions.iter().map(|(_, f)| f.ddl.as_str()).collect();
    let rows = client
        .query_typed(
            "SELECT wanted.at FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (name, ddl, at) \
             JOIN crossfade.lens_functions AS made USING (name) \
             WHERE made.ddl IS NOT DISTINCT FROM wanted.ddl AND to_regproc(made.name) IS NOT NULL",
            &[(&names, Type::TEXT_ARRAY), (&bodies, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(ControlError::sql("look-up of a lens's functions"))?;
    let made: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    Ok((1..)
        .zip(functions)
        .filter(|(at, _)| !made.contains(at))
        .map(|(_, function)| function)
        .collect())
}

fn can_have_functions(lens: &Lens, there: &HashSet<String>) -> bool {
    let is_there = |table: &TableName| there.contains(&table.sql());
    is_there(&lens.legacy)
        || lens.has_own_images() && lens.unified_tables().into_iter().all(is_there)
}

/// Runs a rule file's own DDL, unless it is what was run last: it may take locks that every step
/// would take again.
async fn run_once(client: &Client, migration: &str, ddl: &str) -> Result<(), ControlError> {
    let sql = || ControlError::sql("[prepare] of a rule file");
    let name = quote_ident(&format!("prepare_{migration}"));
    let known = client
        .query_opt(
            "SELECT FROM crossfade.lens_functions WHERE name = $1 AND ddl = $2",
            &[&name, &ddl],
        )
        .await
        .map_err(sql())?;
    if known.is_some() {
        return Ok(());
    }
    client.batch_execute(ddl).await.map_err(sql())?;
    client
        .execute(
            "INSERT INTO crossfade.lens_functions (name, migration, legacy_table, ddl) \
             VALUES ($1, $2, '', $3) ON CONFLICT (name) DO UPDATE \
             SET ddl = excluded.ddl, created_at = now()",
            &[&name, &migration, &ddl],
        )
        .await
        .map_err(sql())?;
    Ok(())
}

/// The functions of a migration that cannot outlive its legacy tables, as these are called now: they take rows of
/// theirs. The others are called for as long as somebody uses the legacy names.
pub async fn functions_over(
    client: &Client,
    migration: &str,
    tables: &[String],
) -> Result<Vec<String>, ControlError> {
    let sql = || ControlError::sql("list of a lens's functions");
    // Types are written with their schema when no schema is searched.
    client
        .batch_execute("BEGIN; SET LOCAL search_path = ''")
        .await
        .map_err(sql())?;
    let rows = client
        .query(
            "SELECT p.oid::regprocedure::text FROM crossfade.lens_functions AS f \
             JOIN pg_proc AS p ON p.oid = to_regproc(f.name) \
             WHERE f.migration = $1 AND EXISTS (SELECT FROM pg_depend AS d \
                 JOIN pg_type AS t ON t.oid = d.refobjid \
                 JOIN pg_class AS c ON t.oid = c.reltype OR t.typelem = c.reltype \
                 WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass \
                     AND c.oid = ANY (SELECT to_regclass(n)::oid FROM unnest($2::text[]) AS n)) \
             ORDER BY f.name",
            &[&migration, &tables],
        )
        .await
        .map_err(sql())?;
    client.batch_execute("COMMIT").await.map_err(sql())?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
