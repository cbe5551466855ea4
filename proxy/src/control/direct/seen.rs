//! Who was seen to write around the proxies: for `status`, for warnings, and for the gates.

use std::time::{Duration, Instant};

use rewrite_rules::{Migration, Phase};
use serde::Serialize;
use tokio_postgres::Client;

use super::super::error::ControlError;
use super::super::gate::{CANNOT_TELL, Gate};
use super::super::report::GONE_AFTER_SECONDS;
use super::super::shown;
use super::{is_watched, sealed};
use crate::control::seal;

/// As long as it takes all proxies to speak of a session, with room for a busy machine.
const DECIDED_WITHIN: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(100);

/// Shown to people.
const SHOWN_MAX: usize = 5;

/// Somebody who wrote around the proxies.
#[derive(Clone, Debug, Serialize)]
pub struct DirectWriter {
    pub table_name: String,
    pub role: String,
    pub application: String,
    pub client: String,
    pub pid: i32,
    pub query: String,
    /// In how many looks.
    pub times: i64,
    pub last_seconds_ago: f64,
    /// Later than the last verify that was clean: what was written may differ.
    pub since_verify: bool,
}

impl std::fmt::Display for DirectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "user {}, application {}, from {} wrote {} around the proxies, seen {} times, last {:.0} s \
             ago as pid {}: {}",
            self.role,
            if self.application.is_empty() {
                "unnamed"
            } else {
                &self.application
            },
            self.client,
            shown(&self.table_name),
            self.times,
            self.last_seconds_ago,
            self.pid,
            self.query
        )
    }
}

/// Who was seen, the latest first.
pub async fn read(client: &Client, migration: &str) -> Result<Vec<DirectWriter>, ControlError> {
    let rows = client
        .query(
            "SELECT table_name, role, application, client, pid, query, times, \
             extract(epoch FROM clock_timestamp() - last_at)::float8, NOT EXISTS ( \
             SELECT FROM crossfade.verifications AS v WHERE v.migration = w.migration AND v.clean \
             AND v.started_at > w.last_at) \
             FROM crossfade.direct_writers AS w WHERE migration = $1 ORDER BY last_at DESC",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at who wrote around the proxies"))?;
    Ok(rows
        .iter()
        .map(|row| DirectWriter {
            table_name: row.get(0),
            role: row.get(1),
            application: row.get(2),
            client: row.get(3),
            pid: row.get(4),
            query: row.get(5),
            times: row.get(6),
            last_seconds_ago: row.get(7),
            since_verify: row.get(8),
        })
        .collect())
}

/// What was seen in an earlier attempt at the migration is of no interest to the next one.
pub(crate) async fn forget(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    client
        .execute(
            "WITH told AS (DELETE FROM crossfade.writers_around WHERE migration = $1) \
             DELETE FROM crossfade.direct_writers WHERE migration = $1",
            &[&migration.name],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of who wrote around the proxies"))
}

async fn since_verify(client: &Client, migration: &str) -> Result<Vec<String>, ControlError> {
    let told = sealed::written(client, migration).await?;
    let told = told
        .iter()
        .filter(|writer| writer.since_verify && !writer.within);
    let mut lines: Vec<String> = told.map(ToString::to_string).collect();
    let seen = read(client, migration).await?;
    let seen = seen.iter().filter(|writer| writer.since_verify);
    lines.extend(seen.map(ToString::to_string));
    Ok(shortened(lines))
}

/// The first of them, and how many there are.
fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN_MAX);
    lines.truncate(SHOWN_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Whether the proxies that serve a migration can tell who writes around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Clear,
    NobodyLooks,
    /// One has not found its own sessions among the server's processes, or has not looked yet.
    Blind,
}

impl Sight {
    fn why(self) -> Option<&'static str> {
        match self {
            Sight::Clear => None,
            Sight::NobodyLooks => Some("no proxy serves"),
            Sight::Blind => Some(
                "a proxy does not find its own sessions among the server's, as behind another pooler",
            ),
        }
    }
}

async fn sight(client: &Client, migration: &str) -> Result<Sight, ControlError> {
    let row = client
        .query_one(
            "SELECT count(*), coalesce(bool_and(looked_at IS NOT NULL), false) FROM crossfade.instances \
             WHERE migration = $1 AND seen_at > clock_timestamp() - make_interval(secs => $2)",
            &[&migration, &GONE_AFTER_SECONDS],
        )
        .await
        .map_err(ControlError::sql("look at who wrote around the proxies"))?;
    Ok(match row.get(0) {
        0_i64 => Sight::NobodyLooks,
        _one_or_more if row.get(1) => Sight::Clear,
        _one_or_more => Sight::Blind,
    })
}

/// The same, once a proxy that has just begun to serve has had the time for a look.
async fn settled_sight(client: &Client, migration: &str) -> Result<Sight, ControlError> {
    let begun = Instant::now();
    loop {
        let now = sight(client, migration).await?;
        if now != Sight::Blind || begun.elapsed() >= DECIDED_WITHIN {
            return Ok(now);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What `status` says while both sides are written.
pub async fn lines(
    client: &Client,
    migration: &Migration,
    phase: Phase,
    (told, seen): (&[sealed::WriterAround], &[DirectWriter]),
) -> Result<Vec<String>, ControlError> {
    let told = told.iter().map(ToString::to_string);
    let mut lines: Vec<String> = told.chain(seen.iter().map(ToString::to_string)).collect();
    if lines.is_empty() && is_watched(phase) {
        if seal::is_whole(client, migration, phase).await? {
            lines.push("nobody has written around the proxies: the tables are sealed".to_owned());
            return Ok(lines);
        }
        lines.push(match sight(client, &migration.name).await?.why() {
            None => {
                "nobody was seen to write around the proxies, which look once a second".to_owned()
            }
            Some(why) => format!("it cannot be told who writes around the proxies: {why}"),
        });
    }
    Ok(lines)
}

/// Before a step at which a row that only one side has would not yet be missed.
pub(crate) async fn warnings(
    client: &Client,
    migration: &Migration,
    (from, to): (Phase, Phase),
) -> Result<Vec<String>, ControlError> {
    match (from, to) {
        (Phase::DualWrite, Phase::ShadowRead) | (Phase::ShadowRead, Phase::DualRead) => {
            let seen = since_verify(client, &migration.name).await?;
            Ok(seen.iter().map(|line| format!("warning: {line}")).collect())
        }
        // The gate says it, or nobody was watched.
        _any_other_step => Ok(Vec::new()),
    }
}

/// A proxy that can tell has looked just now. Looks further apart than silence lasts leave a gap.
pub(super) async fn watched(
    client: &Client,
    instance: &str,
    migrations: &[String],
) -> Result<(), ControlError> {
    // In one order, or two proxies could wait for each other.
    let mut migrations: Vec<&str> = migrations.iter().map(String::as_str).collect();
    migrations.sort_unstable();
    client
        .execute(
            "INSERT INTO crossfade.watches AS w (migration) SELECT m.name FROM unnest($1::text[]) AS m (name) \
             WHERE EXISTS (SELECT FROM crossfade.instances AS i WHERE i.instance = $2::text::uuid \
             AND i.looked_at IS NOT NULL) ON CONFLICT (migration) DO UPDATE SET until = excluded.until, \
             since = CASE WHEN w.until < excluded.until - make_interval(secs => $3) THEN excluded.since ELSE w.since END",
            &[&migrations, &instance, &GONE_AFTER_SECONDS],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("look for writers around the proxies"))
}

/// Why it cannot be told who has written around the proxies since both sides were last found to be the
/// same; `None` where it can.
async fn cannot_tell(client: &Client, migration: &str) -> Result<Option<String>, ControlError> {
    let row = client
        .query_opt(
            "SELECT until < clock_timestamp() - make_interval(secs => $2), \
             since > coalesce((SELECT max(v.started_at) FROM crossfade.verifications AS v \
             WHERE v.migration = w.migration AND v.clean), '-infinity'), \
             to_char(since, 'YYYY-MM-DD HH24:MI:SS TZ'), to_char(until, 'YYYY-MM-DD HH24:MI:SS TZ') \
             FROM crossfade.watches AS w WHERE migration = $1",
            &[&migration, &GONE_AFTER_SECONDS],
        )
        .await
        .map_err(ControlError::sql("look at who wrote around the proxies"))?;
    let Some(row) = row else {
        return Ok(Some("no proxy has ever looked".to_owned()));
    };
    let (since, until): (String, String) = (row.get(2), row.get(3));
    if row.get(0) {
        return Ok(Some(format!("no proxy has looked since {until}")));
    }
    if row.get(1) {
        return Ok(Some(format!(
            "no proxy looked before {since}, and the last clean verify is older than that"
        )));
    }
    if let Some(why) = settled_sight(client, migration).await?.why() {
        return Ok(Some(why.to_owned()));
    }
    let open = undecided(client, migration).await?;
    Ok((open > 0).then(|| {
        format!("of {open} sessions it is not known yet, for a proxy that may have served them is silent")
    }))
}

/// Sessions seen by now that no proxy has claimed, and of which not every proxy has spoken. With all of
/// them alive it is decided within seconds, so these are waited for.
async fn undecided(client: &Client, migration: &str) -> Result<i64, ControlError> {
    let sql = || ControlError::sql("look at who wrote around the proxies");
    let row = client
        .query_one("SELECT clock_timestamp()::text", &[])
        .await
        .map_err(sql())?;
    let (now, begun): (String, Instant) = (row.get(0), Instant::now());
    loop {
        let row = client
            .query_one(
                "SELECT count(*) FROM crossfade.writers_asked WHERE migration = $1 \
                 AND at <= $2::text::timestamptz",
                &[&migration, &now],
            )
            .await
            .map_err(sql())?;
        let open: i64 = row.get(0);
        if open == 0 || begun.elapsed() >= DECIDED_WITHIN {
            return Ok(open);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Nobody was seen to write around the proxies since both sides were found to be the same.
pub(crate) async fn unseen(
    client: &Client,
    migration: &Migration,
    phase: Phase,
) -> Result<Gate, ControlError> {
    let is_sealed = seal::all_since_verify(client, migration, phase).await?;
    let open = match is_sealed {
        true => None,
        false => cannot_tell(client, &migration.name).await?,
    };
    let seen = since_verify(client, &migration.name).await?;
    let mut settle = format!(
        "send them through a proxy, then `crossfade verify {0}`, with --repair if that is not clean",
        migration.name
    );
    let found = if !seen.is_empty() {
        seen.join("; ")
    } else if let Some(why) = &open {
        settle = format!(
            "have a proxy serve that has the server's own sessions, then `crossfade verify {}`; \
             whoever knows that nobody writes there takes the step with --force",
            migration.name
        );
        format!("{CANNOT_TELL} whether somebody wrote there: {why}")
    } else if is_sealed {
        "nobody has written there since the last clean verify: the tables are sealed".to_owned()
    } else {
        "nobody was seen to write there since the last clean verify".to_owned()
    };
    Ok(Gate {
        name: "around the proxies",
        met: seen.is_empty() && open.is_none(),
        found,
        settle,
    })
}
