//! How far a backfill is, noted by every chunk.

use rewrite_rules::Lens;
use serde_json::Value;
use tokio_postgres::{Client, GenericClient, Statement};

use super::state::{self, Counts};
use crate::control::ControlError;

/// The note that a chunk makes within its transaction: they stand or fall together.
#[derive(Debug)]
pub struct Advance(Statement);

/// Whose note it is.
pub struct Note<'a> {
    pub lens: &'a Lens,
    pub run: &'a str,
    /// The number of the range of keys.
    pub part: i32,
    /// How many rows the chunk was to have.
    pub chunk_rows: i64,
}

impl Advance {
    pub async fn prepare(client: &Client) -> Result<Advance, ControlError> {
        client
            .prepare(
                "WITH cursor AS (UPDATE crossfade.backfill_parts SET last_key = $4 \
                 WHERE run = $3::text::uuid AND part = $9) \
                 UPDATE crossfade.backfill SET chunk_rows = $5, \
                 rows_done = rows_done + $6, rows_put = rows_put + $7, \
                 rows_set_aside = rows_set_aside + $8, last_chunk = greatest(last_chunk, pg_current_xact_id()), \
                 updated_at = clock_timestamp() WHERE migration = $1 AND legacy_table = $2 \
                 AND run = $3::text::uuid AND state = 'running'",
            )
            .await
            .map(Advance)
            .map_err(ControlError::sql("preparation of the chunks"))
    }

    /// All keys through `last_key` are done. Refused once somebody else began the run anew.
    pub async fn to(
        &self,
        client: &impl GenericClient,
        note: &Note<'_>,
        last_key: &Value,
        counts: Counts,
    ) -> Result<(), ControlError> {
        let updated = client
            .execute(
                &self.0,
                &[
                    &note.lens.migration,
                    &note.lens.legacy.sql(),
                    &note.run,
                    last_key,
                    &note.chunk_rows,
                    &counts.rows,
                    &counts.put,
                    &counts.set_aside,
                    &note.part,
                ],
            )
            .await
            .map_err(ControlError::sql("note of the backfill's progress"))?;
        state::still_ours(updated)
    }
}
