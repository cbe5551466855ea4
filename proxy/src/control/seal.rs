//! The seal: a statement trigger on each table of a migration by which the server itself sees whoever writes there without
//! an epoch, and tells or refuses it, as the rule file says (`writers_around`).
//!
//! ```text
//! BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON t FOR EACH STATEMENT
//!   WHEN the text shows no fence of the migration          what the proxies send shows one: nothing else is done
//!   EXECUTE FUNCTION crossfade.seal('m')                   does the transaction hold a fence? Else it is told, or fails
//! ```
//!
//! | | legacy tables | unified tables |
//! |---|---|---|
//! | `dual_write` to `unified_read` | sealed | sealed: what is written there alone is missed in legacy |
//! | `unified_only` | sealed: nobody is to write there | as they are |
//! | `legacy_only`, `retired` | as they are | as they are |
//!
//! A trigger that is in the way of nobody any more is taken down as soon as that waits for nobody; until then its
//! function finds out that the phase is over, and does nothing. Only who owns a table can say that a trigger fires always
//! and take it down again, so tables of other owners are not sealed, and `check` says so.

use std::time::Duration;

use rewrite_rules::lens::quote_literal;
use rewrite_rules::{Lens, Migration, Phase, WritersAround, fence};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connection::BEGIN_SHORT;
use super::drain::{self, Clock};
use super::error::ControlError;

/// The trigger's name.
pub const TRIGGER: &str = "crossfade_seal";
const DOING: &str = "seal of the tables";
/// Whoever waits for a table holds up those that come to write it; they and it take turns.
const LOCK_TIMEOUT: &str = "200ms";
/// Readers are held up as well by whoever waits to take one down.
const TAKE_DOWN_LOCK_TIMEOUT: &str = "50ms";
/// Nobody is held up by a trigger that does nothing: after so many attempts it stays, and `doctor` tells.
const TAKE_DOWN_ATTEMPTS: u32 = 10;
/// What the database says of one that is to go.
const IGNORED: &str = "ignore";
const TAKE_DOWN_PAUSE: Duration = Duration::from_millis(50);

/// A table that is, or is to be, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// As SQL.
    pub table: String,
    /// It is to be sealed.
    wanted: bool,
    /// It is there, fires always, and is this migration's.
    holds: bool,
    /// This role may place it.
    may: bool,
    /// What becomes of writers there, as the database has it.
    writers: Option<String>,
}

/// How a table stands to what the rules and the phase want of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    InOrder,
    /// It is sealed, and deals with writers otherwise than the rules say.
    Otherwise,
    Unsealed,
    /// It is not sealed, and not this role's to seal.
    OfOthers,
    /// It bears a seal that no phase wants any more.
    Left,
}

impl Sealed {
    fn standing(&self, migration: &Migration) -> Standing {
        let as_wished = self.writers.as_deref() == word(migration.writers_around);
        match self {
            Sealed { wanted: false, .. } => Standing::Left,
            Sealed { holds: true, .. } if as_wished => Standing::InOrder,
            Sealed { holds: true, .. } => Standing::Otherwise,
            Sealed { may: true, .. } => Standing::Unsealed,
            Sealed { may: false, .. } => Standing::OfOthers,
        }
    }
}

/// The tables that are sealed in a phase.
fn tables(migration: &Migration, phase: Phase) -> Vec<String> {
    let legacy = |lens: &Lens| lens.legacy.sql();
    let mut tables: Vec<String> = match (migration.writers_around, phase) {
        (WritersAround::Ignore, _) | (_, Phase::LegacyOnly | Phase::Retired) => Vec::new(),
        (
            WritersAround::Count | WritersAround::Refuse,
            Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead,
        ) => all_tables(migration),
        (WritersAround::Count | WritersAround::Refuse, Phase::UnifiedOnly) => {
            migration.left_behind().map(legacy).collect()
        }
    };
    tables.sort();
    tables.dedup();
    tables
}

/// Those that ever are.
fn all_tables(migration: &Migration) -> Vec<String> {
    let both = |lens: &Lens| {
        let all = std::iter::once(&lens.legacy).chain(lens.unified_tables());
        all.map(|table| table.sql()).collect::<Vec<_>>()
    };
    migration.left_behind().flat_map(both).collect()
}

/// The wish as the database has it.
fn word(writers: WritersAround) -> Option<&'static str> {
    match writers {
        WritersAround::Count => Some("count"),
        WritersAround::Refuse => Some("refuse"),
        WritersAround::Ignore => None,
    }
}

/// Each table with its partitions, since who writes one directly fires no trigger of its parent; and what else bears a
/// seal of the migration.
const STATE: &str = "\
WITH wanted AS (SELECT DISTINCT p.oid FROM unnest($2::text[]) AS t (name), LATERAL ( \
        SELECT to_regclass(t.name)::oid AS oid UNION SELECT relid FROM pg_partition_tree(to_regclass(t.name))) AS p \
    JOIN pg_class AS c ON c.oid = p.oid AND c.relkind IN ('r', 'p')), \
placed AS (SELECT t.tgrelid AS oid, t.tgenabled = 'A' AS always FROM pg_trigger AS t \
    WHERE t.tgname = $3 AND t.tgfoid = to_regprocedure('crossfade.seal()')), \
of_it AS (SELECT oid FROM wanted UNION SELECT relation FROM crossfade.seals WHERE migration = $1) \
SELECT format('%I.%I', n.nspname, c.relname), w.oid IS NOT NULL, \
    coalesce(p.always AND s.migration = $1 AND s.writers <> 'ignore', false), pg_has_role(c.relowner, 'USAGE'), \
    CASE WHEN s.migration = $1 THEN s.writers END \
FROM of_it AS o JOIN pg_class AS c ON c.oid = o.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
LEFT JOIN wanted AS w ON w.oid = o.oid LEFT JOIN placed AS p ON p.oid = o.oid \
LEFT JOIN crossfade.seals AS s ON s.relation = o.oid ORDER BY 1";

/// How the tables of a migration stand, of which a phase would have some sealed.
async fn state(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<Vec<Sealed>, ControlError> {
    let rows = client
        .query(
            STATE,
            &[&migration.name, &tables(migration, phase), &TRIGGER],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(rows
        .iter()
        .map(|row| Sealed {
            table: row.get(0),
            wanted: row.get(1),
            holds: row.get(2),
            may: row.get(3),
            writers: row.get(4),
        })
        .collect())
}

/// Tables that would have to be sealed in a phase and that this role may not seal.
pub async fn may_not(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<Vec<String>, ControlError> {
    let all = state(client, migration, phase).await?;
    let open = all.into_iter();
    let open = open.filter(|table| table.standing(migration) == Standing::OfOthers);
    Ok(open.map(|table| table.table).collect())
}

/// Before a step to a phase in which such writes are to fail: where the seal cannot be placed, they would not.
pub async fn must_be_possible(
    client: &Client,
    migration: &Migration,
    to: Phase,
) -> Result<(), ControlError> {
    if migration.writers_around != WritersAround::Refuse {
        return Ok(());
    }
    let open = may_not(client, migration, to).await?;
    if open.is_empty() {
        return Ok(());
    }
    Err(ControlError::Refused(format!(
        "the rules of {} refuse writers around the proxies, and this role does not own {}: make it a member of the owner \
         (GRANT owner TO role), or say writers_around = \"count\"",
        migration.name,
        open.join(", ")
    )))
}

/// What is not as the phase would have it, in words; nothing of what this role may not seal.
pub async fn off(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<Vec<String>, ControlError> {
    let all = state(client, migration, phase).await?;
    let lines = all.iter().filter_map(|table| {
        let Sealed { table: name, .. } = table;
        match table.standing(migration) {
            Standing::InOrder | Standing::OfOthers => None,
            Standing::Unsealed => Some(format!(
                "{name} is not sealed against writers around the proxies, though it is in {phase}"
            )),
            Standing::Otherwise => Some(format!(
                "writers around the proxies are dealt with otherwise at {name} than the rules say"
            )),
            Standing::Left => (table.may || table.writers.as_deref() != Some(IGNORED))
                .then(|| format!("{name} bears a seal, though it is in {phase}")),
        }
    });
    Ok(lines.collect())
}

/// Whether the seals of a phase are all in place.
pub async fn is_whole(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<bool, ControlError> {
    let all = state(client, migration, phase).await?;
    let mut wanted = all.iter().filter(|table| table.wanted).peekable();
    Ok(wanted.peek().is_some() && wanted.all(|table| table.holds))
}

/// Whether they are, and have been since the last comparison that found both sides alike.
pub async fn all_since_verify(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<bool, ControlError> {
    if !is_whole(client, migration, phase).await? {
        return Ok(false);
    }
    let row = client
        .query_one(
            "SELECT coalesce(max(s.since) <= (SELECT max(v.started_at) FROM crossfade.verifications AS v \
             WHERE v.migration = $1 AND v.clean), false) FROM crossfade.seals AS s WHERE s.migration = $1",
            &[&migration.name],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(row.get(0))
}

/// Brings the seals in line with the rules and the phase. Waits so long for transactions that have a table in use, and
/// changes nothing of what is in order. Gives back the tables that this role may not seal.
///
/// # Errors
/// The time is up: with who held what.
pub async fn settle(
    client: &Client,
    migration: &Migration,
    phase: Phase,
    patience: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<String>, ControlError> {
    let mut open = Vec::new();
    let is_optional = migration.writers_around != WritersAround::Refuse;
    for table in state(client, migration, phase).await? {
        match table.standing(migration) {
            Standing::InOrder => {}
            Standing::Otherwise => change(client, migration, &table.table).await?,
            Standing::OfOthers => open.push(table.table),
            Standing::Unsealed => {
                match place(client, migration, &table.table, patience, tell).await {
                    // Another's event trigger, say, or a service that lets nobody make one: no reason to stay in between phases.
                    Err(ControlError::Sql { said, .. }) if is_optional => {
                        tell(&format!("{} is not sealed: {said}", table.table));
                        open.push(table.table);
                    }
                    placed => placed?,
                }
            }
            Standing::Left => take_down(client, &table).await?,
        }
    }
    Ok(open)
}

/// Places what lacks, of rules that have changed and of tenants that have come, and waits for nobody: what is in use is
/// left to the next step or to `doctor`.
pub async fn complete(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    let phase = super::epochs::phase(client, migration).await?;
    for table in state(client, migration, phase).await? {
        match table.standing(migration) {
            Standing::InOrder | Standing::OfOthers | Standing::Left => {}
            Standing::Otherwise => change(client, migration, &table.table).await?,
            Standing::Unsealed => {
                place(client, migration, &table.table, Duration::ZERO, &mut |_| {}).await?;
            }
        }
    }
    Ok(())
}

/// What an operator is told of tables that are not sealed.
#[must_use]
pub fn told_of(open: &[String]) -> Option<String> {
    (!open.is_empty()).then(|| {
        format!(
            "{} cannot be sealed, since this role does not own it: who writes there around the proxies is looked for once a \
             second, and not seen for certain",
            open.join(", ")
        )
    })
}

/// Another wish of the rules, at a table that is sealed.
async fn change(client: &Client, migration: &Migration, table: &str) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.seals SET writers = $2 WHERE relation = to_regclass($1)",
            &[&table, &word(migration.writers_around).unwrap_or(IGNORED)],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql(DOING))
}

async fn place(
    client: &Client,
    migration: &Migration,
    table: &str,
    patience: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let Some(writers) = word(migration.writers_around) else {
        return Ok(());
    };
    let name = quote_literal(&migration.name);
    let carried = quote_literal(&fence::carried_by(&migration.name));
    let relation = quote_literal(table);
    // The time is taken under the lock: whoever writes afterwards is seen. PostgreSQL 13 replaces no trigger.
    let statements = format!(
        "{BEGIN_SHORT}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; \
         DO $crossfade$ BEGIN \
            IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = {relation}::regclass AND tgname = '{TRIGGER}') THEN \
                DROP TRIGGER {TRIGGER} ON {table}; END IF; END $crossfade$; \
         CREATE TRIGGER {TRIGGER} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT \
         WHEN ((pg_catalog.strpos(pg_catalog.current_query(), {carried}) OPERATOR(pg_catalog.>) 0) IS NOT TRUE) \
         EXECUTE FUNCTION crossfade.seal({name}); \
         ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER}; \
         INSERT INTO crossfade.seals (relation, migration, writers) VALUES ({relation}::regclass, {name}, '{writers}') \
         ON CONFLICT (relation) DO UPDATE SET migration = excluded.migration, writers = excluded.writers, \
         since = excluded.since; COMMIT",
    );
    let mut clock = Clock::start(patience);
    while !in_turn(client, &statements).await? {
        let holders = drain::holders_of(client, table).await?;
        let holders: Vec<String> = holders
            .iter()
            .map(|holder| format!("{table} is in use by {holder}"))
            .collect();
        clock.wait(&holders.join("\n"), tell).await?;
    }
    Ok(())
}

/// Whoever writes there is nobody's business from now on; the trigger goes if it is this role's to take and nobody is in
/// its way. One that stays does nothing, and the next preparation takes it.
async fn take_down(client: &Client, table: &Sealed) -> Result<(), ControlError> {
    let Sealed { table: name, .. } = table;
    let changed = client
        .execute(
            "UPDATE crossfade.seals SET writers = 'ignore' WHERE relation = to_regclass($1)",
            &[name],
        )
        .await;
    changed.map_err(ControlError::sql(DOING))?;
    if !table.may {
        return Ok(());
    }
    let statements = format!(
        "{BEGIN_SHORT}; SET LOCAL lock_timeout = '{TAKE_DOWN_LOCK_TIMEOUT}'; DROP TRIGGER IF EXISTS {TRIGGER} ON {name}; \
         DELETE FROM crossfade.seals WHERE relation = {}::regclass; COMMIT",
        quote_literal(name)
    );
    for _ in 0..TAKE_DOWN_ATTEMPTS {
        match in_turn(client, &statements).await {
            // Those who waited behind us first.
            Ok(false) => tokio::time::sleep(TAKE_DOWN_PAUSE).await,
            Ok(true) | Err(_) => break,
        }
    }
    Ok(())
}

/// Whether these were done: not while somebody has the table in use.
async fn in_turn(client: &Client, statements: &str) -> Result<bool, ControlError> {
    let sql = || ControlError::sql(DOING);
    let Err(error) = client.batch_execute(statements).await else {
        return Ok(true);
    };
    client.batch_execute("ROLLBACK").await.map_err(sql())?;
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => Ok(false),
        _ => Err(sql()(error)),
    }
}
