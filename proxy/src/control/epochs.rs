//! What is in force, as the database keeps it: `crossfade.epochs`, and the fences that hold an epoch's statements to it.
//!
//! ```text
//! a step k → k+1                                       a statement of epoch k, through whichever proxy
//! BEGIN; CREATE SCHEMA crossfade_e‹k+1›_m;
//!        the fence in it; a row of crossfade.epochs;
//!        NOTIFY crossfade_epochs; COMMIT               WITH cf_fence AS (SELECT FROM crossfade_e‹k›_m.fence FOR KEY SHARE) …
//! (every proxy that is alive serves k+1)               holds it open until the end of its transaction
//! BEGIN; LOCK crossfade_e‹k›_m.fence                   is waited for
//!        IN EXCLUSIVE MODE;
//!        ALTER SCHEMA … RENAME; COMMIT                 42P01, before it touches a row
//! ```
//!
//! Only then is k+2 opened: that no two statements are more than one step apart is a property of the catalog, whatever a
//! proxy that was stopped or cut off believes. Killed anywhere, the next command, or the proxies, close what is still open.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rewrite_rules::lens::{quote_ident, quote_literal};
use rewrite_rules::{Epoch, Migration, Phase, RuleSet, SourceFile, fence};
use serde::Serialize;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::canary::{self, Ends};
use super::connection::BEGIN_SHORT;
use super::drain::{self, Clock};
use super::error::ControlError;
use super::events::Actor;
use super::{phase_file, schema};
use crate::fault;

/// What proxies listen to.
pub const CHANNEL: &str = "crossfade_epochs";
const DOING: &str = "epochs";
const CLOSING: &str = "closing of an epoch";
/// Whoever waits for a fence holds up those that come to name it; they and it take turns.
const FENCE_LOCK_TIMEOUT: &str = "200ms";

/// The newest epoch of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    pub migration: String,
    pub epoch: Epoch,
    pub phase: Phase,
    /// The rule file's text; empty where the migration is not managed any more.
    pub rules: String,
    /// What the rule file was called.
    pub file: String,
    /// An older one of it is not closed yet.
    pub older_open: bool,
}

/// The newest epoch of every migration; none where the database was not prepared for them.
pub async fn in_force(client: &Client) -> Result<Vec<InForce>, ControlError> {
    let rows = client
        .query(
            "SELECT DISTINCT ON (e.migration) e.migration, e.epoch, e.phase, e.rules, e.file, \
             EXISTS (SELECT FROM crossfade.epochs AS o WHERE o.migration = e.migration \
                 AND o.epoch < e.epoch AND o.closed_at IS NULL) \
             FROM crossfade.epochs AS e ORDER BY e.migration, e.epoch DESC",
            &[],
        )
        .await;
    let rows = match rows {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(Vec::new()),
        rows => rows.map_err(ControlError::sql(DOING))?,
    };
    rows.iter()
        .map(|row| {
            let migration: String = row.get(0);
            let phase: String = row.get(2);
            let phase = phase.parse().map_err(|said: String| {
                ControlError::Refused(format!("crossfade.epochs of {migration}: {said}"))
            })?;
            Ok(InForce {
                migration,
                epoch: Epoch(row.get(1)),
                phase,
                rules: row.get(3),
                file: row.get(4),
                older_open: row.get(5),
            })
        })
        .collect()
}

/// The newest epoch of one migration.
pub async fn of(client: &Client, migration: &str) -> Result<Option<InForce>, ControlError> {
    let all = in_force(client).await?;
    Ok(all.into_iter().find(|row| row.migration == migration))
}

/// The phase that a migration is in: the database's word, and the rules' own where it has none yet.
pub async fn phase(client: &Client, migration: &Migration) -> Result<Phase, ControlError> {
    let known = of(client, &migration.name).await?;
    Ok(known.map_or(migration.phase, |known| known.phase))
}

/// The newest epoch of a migration in a database that is prepared.
pub async fn newest(client: &Client, migration: &str) -> Result<Epoch, ControlError> {
    let known = of(client, migration).await?;
    known.map(|known| known.epoch).ok_or_else(|| {
        ControlError::Refused(format!(
            "crossfade.epochs has nothing of {migration}; run `crossfade prepare`"
        ))
    })
}

/// What an epoch is to begin with.
#[derive(Clone, Copy, Debug)]
pub struct NewEpoch<'a> {
    pub migration: &'a str,
    pub phase: Phase,
    pub rules: &'a str,
    pub file: &'a str,
    pub why: &'a str,
    pub by: &'a Actor,
}

impl<'a> NewEpoch<'a> {
    /// As a rule file says, by whoever runs this process.
    #[must_use]
    pub fn of(migration: &'a Migration, phase: Phase, why: &'a str) -> NewEpoch<'a> {
        let file = migration.file.file_name().and_then(|name| name.to_str());
        NewEpoch {
            migration: &migration.name,
            phase,
            rules: &migration.text,
            file: file.unwrap_or_default(),
            why,
            by: Actor::of_process(),
        }
    }
}

/// Opens an epoch behind the one that is in force, with its fence. `None`: somebody else has opened another meanwhile.
pub async fn open(
    client: &Client,
    new: NewEpoch<'_>,
    after: Option<Epoch>,
) -> Result<Option<Epoch>, ControlError> {
    let opened = open_all(client, &[(new, after)]).await?;
    Ok(opened.and_then(|opened| opened.first().copied()))
}

/// Opens several, or none.
pub async fn open_all(
    client: &Client,
    new: &[(NewEpoch<'_>, Option<Epoch>)],
) -> Result<Option<Vec<Epoch>>, ControlError> {
    let sql = || ControlError::sql(DOING);
    client.batch_execute(BEGIN_SHORT).await.map_err(sql())?;
    let open = async {
        let mut opened = Vec::new();
        for (new, after) in new {
            match open_in_transaction(client, *new, *after).await? {
                Some(epoch) => opened.push(epoch),
                None => return Ok(None),
            }
        }
        Ok(Some(opened))
    };
    let opened = open.await;
    let end = match &opened {
        Ok(Some(_)) => "COMMIT",
        Ok(None) | Err(_) => "ROLLBACK",
    };
    client.batch_execute(end).await.map_err(sql())?;
    opened
}

async fn open_in_transaction(
    client: &Client,
    new: NewEpoch<'_>,
    after: Option<Epoch>,
) -> Result<Option<Epoch>, ControlError> {
    let sql = || ControlError::sql(DOING);
    client
        .batch_execute("LOCK TABLE crossfade.epochs IN SHARE ROW EXCLUSIVE MODE")
        .await
        .map_err(sql())?;
    let newest: Option<i64> = client
        .query_one(
            "SELECT max(epoch) FROM crossfade.epochs WHERE migration = $1",
            &[&new.migration],
        )
        .await
        .map_err(sql())?
        .get(0);
    if newest.map(Epoch) != after {
        return Ok(None);
    }
    let epoch = unused(client, new.migration).await?;
    client
        .execute(
            "INSERT INTO crossfade.epochs (migration, epoch, phase, rules, file, opened_by, why) \
             VALUES ($1, $7, $2, $3, $4, $5 || ' as ' || current_user, $6)",
            &[
                &new.migration,
                &new.phase.name(),
                &new.rules,
                &new.file,
                &new.by.to_string(),
                &new.why,
                &epoch.0,
            ],
        )
        .await
        .map_err(sql())?;
    // It was of the epoch before.
    let why = (new.why, None);
    canary::end(client, Ends::Of(new.migration), why, new.by).await?;
    let schema = quote_ident(&epoch.schema(new.migration));
    let table = fence::TABLE;
    // Statements need no right to the table; who dumps the database without schema `crossfade` locks it.
    client
        .batch_execute(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.{table} (); \
             GRANT USAGE ON SCHEMA {schema} TO PUBLIC; GRANT SELECT ON {schema}.{table} TO PUBLIC; NOTIFY {CHANNEL}"
        ))
        .await
        .map_err(sql())?;
    match new.phase {
        Phase::UnifiedRead => tell_of_step(client, new.migration, epoch).await?,
        Phase::UnifiedOnly | Phase::Retired => out_of_step(client, new.migration).await?,
        Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {}
    }
    Ok(Some(epoch))
}

/// Unless legacy may hold what writes to unified alone have left behind, statements of this epoch are told that it does not.
/// Whoever would say so waits for the caller's transaction.
async fn tell_of_step(client: &Client, migration: &str, epoch: Epoch) -> Result<(), ControlError> {
    let row = client
        .query_opt(
            "SELECT legacy_stale_since IS NOT NULL FROM crossfade.migrations WHERE migration = $1 FOR SHARE",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    if row.is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    let marker = epoch.in_step(migration).sql();
    client
        .batch_execute(&format!(
            "CREATE FUNCTION {marker}() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'; REVOKE ALL ON FUNCTION {marker}() FROM PUBLIC"
        ))
        .await
        .map_err(ControlError::sql(DOING))
}

/// As soon as somebody may write unified alone, no statement of an epoch that is still open takes legacy for being in step.
async fn out_of_step(client: &Client, migration: &str) -> Result<(), ControlError> {
    let open = client
        .query(
            "SELECT epoch FROM crossfade.epochs WHERE migration = $1 AND closed_at IS NULL",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    for row in open {
        let marker = Epoch(row.get(0)).in_step(migration).sql();
        client
            .batch_execute(&format!("DROP FUNCTION IF EXISTS {marker}()"))
            .await
            .map_err(ControlError::sql(DOING))?;
    }
    Ok(())
}

/// So many epochs have room on each timeline of the server's.
const EPOCHS_PER_TIMELINE: i64 = 1_000_000;

/// A number that no schema bears: somebody may have dropped schema `crossfade`, and not these; and whoever may create
/// schemas may have taken as many names as he likes, but of one more than there are schemas one is free. Each promotion begins
/// with numbers of its own: a standby that was promoted without the last steps must not give their numbers to others, for
/// a proxy that has heard of those and of nothing since would take the new fence for its own.
async fn unused(client: &Client, migration: &str) -> Result<Epoch, ControlError> {
    let row = client
        .query_one(
            "WITH first AS (SELECT greatest(nextval('crossfade.epoch'), \
                 $3::bigint * (('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint - 1) + 1) AS n) \
             SELECT setval('crossfade.epoch', min(g.n)) FROM first, LATERAL generate_series(first.n, \
                 first.n + (SELECT count(*) FROM pg_namespace)) AS g (n) \
             WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::text || g.n || $2::text)",
            &[&fence::OPEN, &Epoch::behind(migration), &EPOCHS_PER_TIMELINE],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(Epoch(row.get(0)))
}

/// Whether a schema (`n`) is one that this role, or one it stands for, has made: a superuser is a member of every role, and
/// is not to touch what others have called so.
const IS_OURS: &str = "EXISTS (SELECT FROM pg_roles AS o, pg_roles AS me WHERE o.oid = n.nspowner \
     AND me.rolname = current_user AND (o.oid = me.oid OR me.rolsuper AND o.rolsuper \
     OR NOT me.rolsuper AND pg_has_role(o.oid, 'USAGE')))";

/// Closes fences of which `crossfade.epochs` says nothing: of a schema `crossfade` that was dropped, whose proxies may
/// still serve by them. In a transaction of the caller's.
async fn close_strangers(client: &Client) -> Result<(), ControlError> {
    let strangers = client
        .query(
            &format!(
                "SELECT n.nspname::text, substring(n.nspname FROM '^{}([0-9]+)_') FROM pg_namespace AS n \
                 JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = '{}' AND c.relkind = 'r' AND c.relnatts = 0 \
                 WHERE n.nspname ~ '^{}[0-9]+_' AND {IS_OURS} \
                 AND substring(n.nspname FROM '^{}([0-9]+)_')::numeric NOT IN (SELECT epoch FROM crossfade.epochs)",
                fence::OPEN,
                fence::TABLE,
                fence::OPEN,
                fence::OPEN
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql(CLOSING))?;
    for row in strangers {
        let (schema, number): (String, String) = (row.get(0), row.get(1));
        let table = format!("{}.{}", quote_ident(&schema), fence::TABLE);
        let holders = drain::holders_of(client, &table).await?;
        if !holders.is_empty() {
            let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
            return Err(ControlError::Refused(format!(
                "a schema crossfade was dropped while transactions ran by its rules, which are not over yet: {}",
                holders.join("; ")
            )));
        }
        client
            .batch_execute(&closes(&schema, &number))
            .await
            .map_err(ControlError::sql(CLOSING))?;
    }
    Ok(())
}

/// Locks a fence against those that come, and takes its name away. Nobody can have taken the new one before.
fn closes(schema: &str, number: &str) -> String {
    let (open, table) = (quote_ident(schema), fence::TABLE);
    let (old, new) = (
        quote_literal(schema),
        quote_literal(&format!("{}{number}_", fence::CLOSED)),
    );
    format!(
        "SET LOCAL lock_timeout = '{FENCE_LOCK_TIMEOUT}'; LOCK TABLE {open}.{table} IN EXCLUSIVE MODE; \
         DO $crossfade$ BEGIN EXECUTE format('ALTER SCHEMA %I RENAME TO %I', {old}, {new} || replace(gen_random_uuid()::text, '-', '')); \
         END $crossfade$; SET LOCAL lock_timeout TO DEFAULT"
    )
}

/// Each migration has an epoch from the time on that somebody prepares the database for it, in a transaction of the
/// caller's.
pub(super) async fn begin(client: &Client, rules: &RuleSet) -> Result<(), ControlError> {
    let known = in_force(client).await?;
    if known.is_empty() {
        close_strangers(client).await?;
    }
    let last = |name: &str| known.iter().find(|row| row.migration == name);
    let is_new = |m: &&Migration| last(&m.name).is_none_or(|last| last.rules.is_empty());
    let new: Vec<&Migration> = rules.migrations().iter().filter(is_new).collect();
    must_stand_beside(&known, &new)?;
    for migration in new {
        let last = last(&migration.name);
        // Rules that were gone for a while come back where they stood: a file's phase is no step.
        let phase = last.map_or(migration.phase, |last| last.phase);
        let new = NewEpoch::of(migration, phase, "the first of these rules");
        // Whoever else did so meanwhile said the same, or is to be followed.
        open_in_transaction(client, new, last.map(|last| last.epoch)).await?;
    }
    Ok(())
}

/// Rules that contradict what is in force, as two migrations of one table do: were they in force as well, no proxy could
/// serve either.
fn must_stand_beside(known: &[InForce], new: &[&Migration]) -> Result<(), ControlError> {
    if new.is_empty() {
        return Ok(());
    }
    let known = known.iter().filter(|row| !row.rules.is_empty());
    let known = known.map(|row| SourceFile {
        path: PathBuf::from(&row.file),
        text: phase_file::in_phase(&row.rules, row.phase),
    });
    let new = new.iter().map(|migration| SourceFile {
        path: migration.file.clone(),
        text: migration.text.to_string(),
    });
    match RuleSet::compile(known.chain(new).collect()) {
        Ok(_) => Ok(()),
        Err(errors) => Err(ControlError::Refused(format!(
            "rule files are not put in force, for they contradict the rules that are: {errors}"
        ))),
    }
}

/// One epoch of the past or the present.
#[derive(Clone, Debug)]
pub struct Epochs {
    pub migration: String,
    pub epoch: i64,
    phase: String,
    opened: String,
    by: String,
    why: String,
    closed: Option<String>,
}

impl std::fmt::Display for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Epochs {
            migration,
            epoch,
            phase,
            opened,
            by,
            why,
            closed,
        } = self;
        write!(
            f,
            "{migration}: epoch {epoch}, {phase}, since {opened} by {by} ({why})"
        )?;
        match closed {
            Some(closed) => write!(f, ", closed {closed}"),
            None => Ok(()),
        }
    }
}

/// All of them, the oldest first.
pub async fn history(client: &Client) -> Result<Vec<Epochs>, ControlError> {
    schema::must_be_prepared(client).await?;
    const TIME: &str = "YYYY-MM-DD HH24:MI:SS TZ";
    let rows = client
        .query(
            "SELECT migration, epoch, phase, to_char(opened_at, $1), opened_by, why, to_char(closed_at, $1) \
             FROM crossfade.epochs ORDER BY migration, epoch",
            &[&TIME],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    let line = |row: &tokio_postgres::Row| Epochs {
        migration: row.get(0),
        epoch: row.get(1),
        phase: row.get(2),
        opened: row.get(3),
        by: row.get(4),
        why: row.get(5),
        closed: row.get(6),
    };
    Ok(rows.iter().map(line).collect())
}

/// How a migration has come to what is in force.
#[derive(Clone, Debug)]
pub struct Opened {
    pub migration: String,
    pub epoch: i64,
    pub at: SystemTime,
    pub by: String,
    pub why: String,
}

/// The newest epoch of every migration, as it was opened.
pub async fn opened(client: &Client) -> Result<Vec<Opened>, ControlError> {
    let rows = client
        .query(
            "SELECT DISTINCT ON (migration) migration, epoch, opened_at, opened_by, why \
             FROM crossfade.epochs ORDER BY migration, epoch DESC",
            &[],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    let opened = |row: &tokio_postgres::Row| Opened {
        migration: row.get(0),
        epoch: row.get(1),
        at: row.get(2),
        by: row.get(3),
        why: row.get(4),
    };
    Ok(rows.iter().map(opened).collect())
}

/// Who is in a migration's newest epoch now: transactions that hold its fence.
pub async fn holders(
    client: &Client,
    migration: &str,
    epoch: i64,
) -> Result<Vec<drain::Blocker>, ControlError> {
    drain::holders_of(client, &Epoch(epoch).table(migration).sql()).await
}

/// An epoch that was left, and is not closed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpenEpoch {
    pub epoch: i64,
    pub phase: String,
    /// The transactions that hold it open.
    pub holders: Vec<drain::Blocker>,
}

/// Those of a migration before its newest one, the oldest first.
pub async fn still_open(client: &Client, migration: &str) -> Result<Vec<OpenEpoch>, ControlError> {
    let rows = client
        .query(
            "SELECT epoch, phase FROM crossfade.epochs AS e WHERE migration = $1 AND closed_at IS NULL \
             AND EXISTS (SELECT FROM crossfade.epochs AS n WHERE n.migration = $1 AND n.epoch > e.epoch) \
             ORDER BY epoch",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    let mut open = Vec::new();
    for row in rows {
        let epoch: i64 = row.get(0);
        let fence = Epoch(epoch).table(migration).sql();
        open.push(OpenEpoch {
            epoch,
            phase: row.get(1),
            holders: drain::holders_of(client, &fence).await?,
        });
    }
    Ok(open)
}

/// How long the close of an epoch waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub timeout: Duration,
    /// The transactions that still hold it open after this are ended.
    pub terminate_after: Option<Duration>,
}

impl From<Duration> for Patience {
    fn from(timeout: Duration) -> Patience {
        Patience {
            timeout,
            terminate_after: None,
        }
    }
}

/// Closes every epoch of a migration but the newest: waits for the transactions that hold one open, whichever proxy they
/// came through.
pub async fn close(
    client: &Client,
    migration: &str,
    patience: impl Into<Patience>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let patience = patience.into();
    let began = Instant::now();
    let mut clock = Clock::start(patience.timeout);
    loop {
        let open = still_open(client, migration).await?;
        let Some(first) = open.first() else {
            return Ok(());
        };
        if try_to_close(client, migration, Epoch(first.epoch)).await? {
            continue;
        }
        let fence = Epoch(first.epoch).table(migration).sql();
        let holders = drain::holders_of(client, &fence).await?;
        let holders = holders
            .iter()
            .map(|holder| format!("epoch {} is held open by {holder}", first.epoch));
        let waiting_for = holders.collect::<Vec<_>>().join("\n");
        if patience
            .terminate_after
            .is_some_and(|after| began.elapsed() >= after)
        {
            terminate(client, &fence, tell).await?;
        }
        clock.wait(&waiting_for, tell).await?;
    }
}

/// Ends the sessions whose transactions hold this fence, and tells of each. A prepared transaction has none: it is for its
/// owner to end.
async fn terminate(
    client: &Client,
    fence: &str,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    for holder in drain::holders_of(client, fence).await? {
        let Some(pid) = holder.pid else {
            continue;
        };
        let ended = client
            .execute("SELECT pg_terminate_backend($1)", &[&pid])
            .await;
        match ended {
            Ok(_) => tell(&format!("ended: {holder}")),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                tell(&format!(
                    "not ended, for that needs the role pg_signal_backend, and a superuser's session a superuser: {holder}"
                ))
            }
            Err(error) => {
                let doing = "end of the transactions of an epoch that is over";
                return Err(ControlError::sql(doing)(error));
            }
        }
    }
    Ok(())
}

/// Closes those that nobody holds open. For proxies, which see to it that none stays open whose command was killed.
pub async fn close_those_left(client: &Client, migration: &str) -> Result<(), ControlError> {
    for open in still_open(client, migration).await? {
        if !try_to_close(client, migration, Epoch(open.epoch)).await? {
            break;
        }
    }
    Ok(())
}

/// Whether it is closed: `false` while a transaction holds it open.
async fn try_to_close(
    client: &Client,
    migration: &str,
    epoch: Epoch,
) -> Result<bool, ControlError> {
    let sql = || ControlError::sql(CLOSING);
    fault::point("epoch: closing");
    let closes = closes(&epoch.schema(migration), &epoch.to_string());
    let renamed = client
        .batch_execute(&format!("BEGIN; {closes}; COMMIT"))
        .await;
    if let Err(error) = renamed {
        client.batch_execute("ROLLBACK").await.map_err(sql())?;
        match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => {
                return Ok(false);
            }
            // Closed by somebody else.
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => {}
            _ => return Err(sql()(error)),
        }
    }
    fault::point(fault::RENAMED);
    client
        .execute(
            "UPDATE crossfade.epochs SET closed_at = clock_timestamp() \
             WHERE migration = $1 AND epoch = $2 AND closed_at IS NULL",
            &[&migration, &epoch.0],
        )
        .await
        .map_err(sql())?;
    sweep(client).await?;
    Ok(true)
}

/// Drops what closed epochs have left, unless somebody still looks at it, as pg_dump does.
pub async fn sweep(client: &Client) -> Result<(), ControlError> {
    let sql = || ControlError::sql(CLOSING);
    let table = fence::TABLE;
    for schema in closed_schemas(client).await? {
        // Without CASCADE: what is not ours is not lost.
        let dropped = client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL lock_timeout = '{FENCE_LOCK_TIMEOUT}'; DROP TABLE {schema}.{table}; \
                 DROP FUNCTION IF EXISTS {schema}.{}(); DROP SCHEMA {schema}; COMMIT",
                fence::IN_STEP
            ))
            .await;
        if let Err(error) = dropped {
            client.batch_execute("ROLLBACK").await.map_err(sql())?;
            match error.code() {
                Some(
                    &SqlState::LOCK_NOT_AVAILABLE
                    | &SqlState::INVALID_SCHEMA_NAME
                    | &SqlState::UNDEFINED_TABLE
                    | &SqlState::DEPENDENT_OBJECTS_STILL_EXIST
                    | &SqlState::T_R_DEADLOCK_DETECTED,
                ) => {}
                _ => return Err(sql()(error)),
            }
        }
    }
    Ok(())
}

/// Closed epochs that are not gone.
pub async fn not_swept(client: &Client) -> Result<usize, ControlError> {
    Ok(closed_schemas(client).await?.len())
}

async fn closed_schemas(client: &Client) -> Result<Vec<String>, ControlError> {
    let closed = fence::CLOSED;
    let left = client
        .query(
            &format!(
                "SELECT quote_ident(n.nspname) FROM pg_namespace AS n \
                 WHERE n.nspname ~ '^{closed}[0-9]+_[0-9a-f]{{32}}$' AND {IS_OURS}"
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql(CLOSING))?;
    Ok(left.iter().map(|row| row.get(0)).collect())
}
