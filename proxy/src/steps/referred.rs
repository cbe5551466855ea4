//! Rows that refer to rows which have not come yet: a foreign key between unified tables refuses what legacy takes, until
//! the rows that it refers to are copied. Recorded, that is settled by the backfill; refused, the client is told 23503 of
//! rows that are there.

use std::collections::BTreeSet;

use rewrite_rules::{Lens, Migration, OnUnifiedError, Phase, RuleSet};
use tokio_postgres::Client;

use crate::backfill::state::{self, CopyDirection, State};
use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::shown;

/// Whether what this migration's unified rows refer to is there, where a phase refuses what unified does.
pub(super) async fn copied(
    client: &Client,
    rules: &RuleSet,
    migration: &Migration,
    to: Phase,
) -> Result<Gate, ControlError> {
    let mut after = migration.clone();
    after.phase = to;
    let gate = |met: bool, found: String, settle: String| Gate {
        name: "rows referred to",
        met,
        found,
        settle,
    };
    if after.on_unified_error() == OnUnifiedError::Record {
        let found = format!("in {to} what unified refuses is recorded");
        return Ok(gate(true, found, String::new()));
    }
    let mut wanting = BTreeSet::new();
    let mut to_copy = BTreeSet::new();
    for parent in rules.migrations().iter().flat_map(|other| &other.tables) {
        if is_copied(client, parent).await? {
            continue;
        }
        for lens in &migration.tables {
            for name in keys(client, lens, parent).await? {
                wanting.insert(format!(
                    "{name} refers to rows of {}, which are not copied",
                    shown(&parent.legacy.sql())
                ));
                to_copy.insert(parent.migration.clone());
            }
        }
    }
    let commands: Vec<String> = to_copy
        .iter()
        .map(|name| format!("`crossfade backfill {name}`"))
        .collect();
    Ok(match wanting.is_empty() {
        true => gate(
            true,
            "copied, or no foreign key of unified refers to them".to_owned(),
            String::new(),
        ),
        false => gate(
            false,
            Vec::from_iter(wanting).join("; "),
            commands.join(", "),
        ),
    })
}

async fn is_copied(client: &Client, lens: &Lens) -> Result<bool, ControlError> {
    let progress = state::read(client, lens, CopyDirection::LegacyToUnified).await?;
    Ok(progress.is_some_and(|progress| progress.state == State::Complete))
}

/// The foreign keys by which unified rows of one lens refer to those of another, or of its own if each is put by itself:
/// what several steps put refers to each other within one row's image.
async fn keys(client: &Client, lens: &Lens, parent: &Lens) -> Result<Vec<String>, ControlError> {
    if lens.is_one_table() || parent.is_one_table() {
        return Ok(Vec::new());
    }
    if lens.legacy == parent.legacy && !lens.is_row_for_row() {
        return Ok(Vec::new());
    }
    let tables = |lens: &Lens| -> Vec<String> {
        let tables = lens.unified_tables();
        tables
            .into_iter()
            .map(rewrite_rules::TableName::sql)
            .collect()
    };
    let rows = client
        .query(
            "SELECT c.conname::text || ' of ' || c.conrelid::regclass FROM pg_constraint AS c \
             WHERE c.contype = 'f' AND c.conrelid = ANY (SELECT to_regclass(t) FROM unnest($1::text[]) AS t) \
             AND c.confrelid = ANY (SELECT to_regclass(t) FROM unnest($2::text[]) AS t) \
             AND c.conparentid = 0 ORDER BY 1",
            &[&tables(lens), &tables(parent)],
        )
        .await
        .map_err(ControlError::sql("look-up of foreign keys"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
