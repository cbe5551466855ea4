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

mod closing;
mod history;

use std::path::PathBuf;

use rewrite_rules::lens::quote_ident;
use rewrite_rules::{Epoch, Migration, Phase, RuleSet, SourceFile, fence};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::canary::{self, Ends};
use super::connection::BEGIN_SHORT;
use super::error::ControlError;
use super::events::Actor;
use super::phase_file;
use closing::close_strangers;
pub use closing::{
    OpenEpoch, Patience, close, close_those_left, holders, not_swept, still_open, sweep,
};
pub use history::{Epochs, Opened, history, opened};

/// What proxies listen to.
pub const CHANNEL: &str = "crossfade_epochs";
const DOING: &str = "epochs";

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
