//! What must hold before a step, as a table; each gate that is not met names what settles it.

use rewrite_rules::{Migration, Phase, RuleSet};
use tokio_postgres::Client;

use super::{bake, plans, referred, sequences};
use crate::backfill::state::{self, CopyDirection, State};
use crate::check;
use crate::config;
use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::{around, direct, ledger, neighbours, rights, schema, stand_in};
use crate::retire;
use crate::verify::record;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Both tables are there.
    TablesExist,
    LedgerEmpty,
    BackfillComplete,
    /// The last verify was clean, and its snapshot is later than the backfill's end.
    Verified,
    /// Sequences behind unified key columns have passed the ids that were copied in.
    SequencesAhead,
    /// The rule file is of these tables, and their rows can be mapped.
    Checked,
    /// Where unified's failures are told, what its foreign keys refer to is copied.
    Referred,
    /// Every role that may use legacy may use unified.
    Rights,
    /// No foreign key refers to legacy.
    ForeignKeysTurned,
    /// No write was made in `unified_only`, or legacy has caught up since.
    LegacyCurrent,
    /// No write was made in `legacy_only` after dual writes, or unified has caught up since.
    UnifiedCurrent,
    /// No statement that the application sends would be refused, that is taken now.
    Covered,
    /// How the statements would be planned is told, if somebody has looked; it is always met.
    Plans,
    /// No read has needed legacy for so long.
    FallbackFree,
    /// Nothing has written a legacy table that is left behind.
    Unwritten,
    /// Nobody was seen to write around the proxies since the last clean verify.
    NobodyAround,
}

/// The conditions of every step there is. That every proxy runs `from`, drained, is waited for
/// before any of them is looked at.
fn conditions(from: Phase, to: Phase) -> &'static [Condition] {
    use Condition::{
        BackfillComplete, Checked, Covered, FallbackFree, ForeignKeysTurned, LedgerEmpty,
        LegacyCurrent, NobodyAround, Plans, Referred, Rights, SequencesAhead, TablesExist,
        UnifiedCurrent, Unwritten, Verified,
    };
    use Phase::{DualRead, DualWrite, LegacyOnly, Retired, ShadowRead, UnifiedOnly, UnifiedRead};
    match (from, to) {
        // A write reads its row back and writes both tables as its client's role.
        (LegacyOnly, DualWrite) => &[TablesExist, Checked, Rights, Covered],
        (DualWrite, ShadowRead) => &[Checked, Referred, Rights, Covered, Plans],
        // From here on a stale unified row would be served, to whoever may read it.
        (ShadowRead, DualRead) => &[
            Checked,
            LedgerEmpty,
            UnifiedCurrent,
            Referred,
            Rights,
            Covered,
            Plans,
        ],
        // And from here on a missing one would be missed.
        (DualRead, UnifiedRead) => &[
            Checked,
            Rights,
            LedgerEmpty,
            BackfillComplete,
            Verified,
            NobodyAround,
            Covered,
            Plans,
        ],
        // New rows no longer get to legacy, nor are they to be looked for there.
        (UnifiedRead, UnifiedOnly) => &[
            Checked,
            Rights,
            LedgerEmpty,
            NobodyAround,
            FallbackFree,
            SequencesAhead,
            ForeignKeysTurned,
            Covered,
            Plans,
        ],
        (UnifiedOnly, Retired) => &[Checked, Unwritten],
        // Legacy must have what unified took alone before it decides again.
        (UnifiedRead, DualRead) => &[Checked, LegacyCurrent, LedgerEmpty],
        (Retired, UnifiedOnly) => &[TablesExist],
        // Legacy, which is written again, must be what the rules say.
        (UnifiedOnly, UnifiedRead) => &[Checked],
        // Where legacy is read nothing that it has can get lost, and whatever is wrong with unified, this
        // is the way out.
        (DualWrite, LegacyOnly) | (ShadowRead, DualWrite) | (DualRead, ShadowRead) => &[],
        (
            LegacyOnly | DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly | Retired,
            LegacyOnly | DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly | Retired,
        ) => unreachable!("{from} to {to} is no step"),
    }
}

/// Looks at every gate of a step. The database must be prepared.
pub async fn gates(
    client: &Client,
    rules: &RuleSet,
    migration: &Migration,
    (from, to): (Phase, Phase),
    times: &config::Gates,
) -> Result<Vec<Gate>, ControlError> {
    let mut gates = Vec::new();
    for condition in conditions(from, to) {
        gates.push(match condition {
            Condition::TablesExist => tables_exist(client, migration).await?,
            Condition::LedgerEmpty => ledger_empty(client, migration, from).await?,
            Condition::BackfillComplete => backfill_complete(client, migration).await?,
            Condition::Verified => verified(client, migration, times).await?,
            Condition::Covered => bake::covered(client, rules, migration, (from, to)).await?,
            Condition::Plans => plans::advice(client, migration, to).await?,
            Condition::FallbackFree => {
                bake::fallback_free(client, migration, times.fallback_free_days).await?
            }
            Condition::Unwritten => around::unwritten(client, migration, from).await?,
            Condition::NobodyAround => direct::unseen(client, migration, from).await?,
            Condition::SequencesAhead => sequences::ahead(client, migration).await?,
            Condition::Checked => checked(client, (rules, migration), (from, to)).await?,
            Condition::Referred => referred::copied(client, rules, migration, to).await?,
            Condition::Rights => rights::rights(client, migration, to).await?,
            Condition::ForeignKeysTurned => neighbours::foreign_keys(client, migration).await?,
            Condition::LegacyCurrent => {
                current(client, migration, CopyDirection::UnifiedToLegacy, times).await?
            }
            Condition::UnifiedCurrent => {
                current(client, migration, CopyDirection::LegacyToUnified, times).await?
            }
        });
    }
    Ok(gates)
}

async fn tables_exist(client: &Client, migration: &Migration) -> Result<Gate, ControlError> {
    let mut absent = Vec::new();
    for lens in &migration.tables {
        let legacy = lens.legacy.sql();
        match stand_in::found(client, &legacy).await? {
            stand_in::Found::Table => {}
            stand_in::Found::Nothing => absent.push(legacy),
            stand_in::Found::StandIn => absent.push(format!(
                "{legacy} (what bears the name is an empty stand-in)"
            )),
        }
        for unified in lens.unified_tables() {
            let unified = unified.sql();
            if !schema::table_exists(client, &unified).await? {
                absent.push(unified);
            }
        }
    }
    let asides = retire::read(client, &migration.name).await?;
    Ok(Gate {
        name: "tables",
        met: absent.is_empty(),
        found: if absent.is_empty() {
            "legacy and unified tables exist".to_owned()
        } else {
            format!("no such table: {}", absent.join(", "))
        },
        settle: match (
            asides.is_empty(),
            asides.iter().any(retire::Aside::is_there),
        ) {
            (true, _) => "create it, or correct the names in the rule file".to_owned(),
            (false, true) => format!(
                "it is on probation: `crossfade retire {} --undo` brings it back",
                migration.name
            ),
            (false, false) => {
                "it was retired and is dropped: a backup has it, or nothing has".to_owned()
            }
        },
    })
}

/// Rows are tried before the first of them is written to both sides; later a backfill and a verify have
/// seen all of them, and a trial locks what it tries.
fn depth(from: Phase) -> check::Depth {
    match from {
        Phase::LegacyOnly => check::Depth::Rows {
            sample_rows: check::TRIED_ROWS,
        },
        Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead
        | Phase::UnifiedOnly
        | Phase::Retired => check::Depth::Fit,
    }
}

/// The rules are read without a database, so a column that was forgotten is noticed here or never:
/// its values would stay behind, and old clients would miss it as soon as unified is read.
async fn checked(
    client: &Client,
    (rules, migration): (&RuleSet, &Migration),
    (from, to): (Phase, Phase),
) -> Result<Gate, ControlError> {
    // A table that was left alone is written again after the step.
    let mut after = migration.clone();
    if to < from {
        after.phase = to;
    }
    let wrong = check::errors(client, (rules, &after), depth(from)).await?;
    Ok(Gate {
        name: "rule file",
        met: wrong.is_empty(),
        found: if wrong.is_empty() {
            "it describes the tables".to_owned()
        } else {
            wrong.join("; ")
        },
        settle: format!("`crossfade check {}` says what to write", migration.name),
    })
}

/// What `--force` does not help against, for no proxy serves such rules.
pub async fn misfit(
    client: &Client,
    (rules, migration): (&RuleSet, &Migration),
) -> Result<Option<String>, ControlError> {
    let wrong = check::errors(client, (rules, migration), check::Depth::Fit).await?;
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}

async fn ledger_empty(
    client: &Client,
    migration: &Migration,
    from: Phase,
) -> Result<Gate, ControlError> {
    // In which side the rows are wrong, and what puts them there.
    let (wrong, flag) = match from {
        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => ("legacy", " --reverse"),
        Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
            ("unified", "")
        }
    };
    let count = ledger::differing(client, migration).await?;
    let entries = ledger::count(client, &migration.name).await?;
    Ok(Gate {
        name: "divergence ledger",
        met: count == 0,
        found: match count {
            0 if entries == 0 => "empty".to_owned(),
            0 => format!("{entries} entries, and both sides agree about each of their keys"),
            1 => format!("1 key whose {wrong} row is known to be wrong"),
            _ => format!("{count} keys whose {wrong} rows are known to be wrong"),
        },
        settle: format!(
            "`crossfade status {0}` shows why; repair the cause, then `crossfade backfill {0}{flag}`",
            migration.name
        ),
    })
}

async fn backfill_complete(client: &Client, migration: &Migration) -> Result<Gate, ControlError> {
    let mut met = true;
    let mut found = Vec::new();
    for lens in &migration.tables {
        let progress = state::read(client, lens, CopyDirection::LegacyToUnified).await?;
        let table = crate::control::shown(&lens.legacy.sql());
        let (complete, text) = match progress.map(|progress| (progress.state, progress.rows_done)) {
            None => (false, format!("{table} was never backfilled")),
            Some((State::Complete, rows)) => (true, format!("{table} complete, {rows} rows")),
            Some((State::Running | State::Sweeping, rows)) => (
                false,
                format!("{table} is not finished, {rows} rows so far"),
            ),
            Some((State::Void, _)) => (
                false,
                format!("{table} is void: legacy_only was visited since"),
            ),
        };
        met &= complete;
        found.push(text);
    }
    Ok(Gate {
        name: "backfill",
        met,
        found: found.join("; "),
        settle: format!("`crossfade backfill {}`", migration.name),
    })
}

async fn verified(
    client: &Client,
    migration: &Migration,
    times: &config::Gates,
) -> Result<Gate, ControlError> {
    let mut settle = format!("`crossfade verify {}`", migration.name);
    let (met, found) = match record::last(client, migration).await? {
        None => (false, "never verified".to_owned()),
        Some(last) if !last.undeclared_columns.is_empty() => (
            false,
            format!(
                "the last verify found columns that the rule file does not have: {}",
                last.undeclared_columns.join(", ")
            ),
        ),
        Some(last) if !last.clean => {
            settle += &format!(
                " shows what differs, `crossfade backfill {} --restart` copies what can be copied",
                migration.name
            );
            (
                false,
                format!(
                    "the last verify found {} missing, {} extra, {} different",
                    last.missing, last.extra, last.different
                ),
            )
        }
        Some(last) if !last.after_backfill => (
            false,
            "the last verify is older than the backfill".to_owned(),
        ),
        Some(last) if last.age_seconds > times.verify_age_max_hours * 3600.0 => (
            false,
            format!(
                "the last verify is {:.0} h old, at most {} are allowed",
                last.age_seconds / 3600.0,
                times.verify_age_max_hours
            ),
        ),
        Some(last) if !last.of_these_rules => (
            false,
            "the rule file's mapping has changed since the last verify".to_owned(),
        ),
        Some(last) => (true, format!("clean, {:.0} s ago", last.age_seconds)),
    };
    Ok(Gate {
        name: "verify",
        met,
        found,
        settle,
    })
}

/// Whether the side that missed writes has what it missed: copied since, and found to be the same.
async fn current(
    client: &Client,
    migration: &Migration,
    direction: CopyDirection,
    times: &config::Gates,
) -> Result<Gate, ControlError> {
    let (column, side, visited) = match direction {
        CopyDirection::LegacyToUnified => ("unified_stale_since", "unified", "legacy_only"),
        CopyDirection::UnifiedToLegacy => ("legacy_stale_since", "legacy", "unified_only"),
    };
    let name = &migration.name;
    let row = client
        .query_opt(
            &format!(
                "SELECT to_char(m.{column}, 'YYYY-MM-DD HH24:MI:SS TZ'), \
                 (SELECT count(*) FROM crossfade.backfill AS b WHERE b.migration = m.migration \
                 AND b.reverse = $2 AND b.state = 'complete' AND b.started_at > m.{column}) \
                 FROM crossfade.migrations AS m WHERE m.migration = $1"
            ),
            &[name, &direction.is_reverse()],
        )
        .await
        .map_err(ControlError::sql("look at what a side lacks"))?;
    let since: Option<String> = row.as_ref().and_then(|row| row.get(0));
    let copied: i64 = row.map_or(0, |row| row.get(1));
    let is_copied = usize::try_from(copied).is_ok_and(|copied| copied == migration.tables.len());
    let verify = verified(client, migration, times).await?;
    let gate = |met, found: String, settle: String| Gate {
        name: match direction {
            CopyDirection::LegacyToUnified => "unified is current",
            CopyDirection::UnifiedToLegacy => "legacy is current",
        },
        met,
        found,
        settle,
    };
    let flag = if direction.is_reverse() {
        " --reverse"
    } else {
        ""
    };
    Ok(match since {
        None => gate(true, format!("{visited} was not visited"), String::new()),
        Some(since) if !is_copied => gate(
            false,
            format!("{visited} was visited ({since}): {side} lacks its writes"),
            format!("`crossfade backfill {name}{flag}`, then `crossfade verify {name}`"),
        ),
        Some(_) if !verify.met => gate(
            false,
            format!("{side} was copied since, but {}", verify.found),
            format!("`crossfade verify {name} --repair`"),
        ),
        Some(_) => gate(
            true,
            format!("{side} was copied since and verified"),
            String::new(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_row_in_the_table() {
        for from in Phase::ALL {
            for to in [from.next(), from.previous()].into_iter().flatten() {
                // Reaching the end of the table panics.
                let found = conditions(from, to);
                let turns = to == Phase::UnifiedRead && from == Phase::DualRead;
                assert_eq!(
                    found.contains(&Condition::BackfillComplete),
                    turns,
                    "{from} to {to}"
                );
            }
        }
    }
}
