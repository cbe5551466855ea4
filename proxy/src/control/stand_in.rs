//! Whether a legacy table is there. What bears the name of one that was retired is an empty *stand-in*, for whoever looks
//! the table up in the catalog (`retire/stand_in.rs` makes it). It is known by its trigger, which only the owner of
//! schema `crossfade` can have put there, and never by its name.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::ControlError;

/// The function of the trigger.
pub const TRIGGER_FUNCTION: &str = "crossfade.stand_in()";

/// Its trigger and its policy.
pub const NAME: &str = "crossfade_stand_in";

/// Whether the table of that name, qualified and as SQL, is there and no stand-in.
pub async fn is_legacy_there(client: &Client, table: &str) -> Result<bool, ControlError> {
    Ok(found(client, table).await? == Found::Table)
}

/// Whether a stand-in refuses writes and reads as it was made to: its trigger fires, row security is on, and its policy is the
/// only one, for any other would let rows be looked for.
pub async fn is_guarded(client: &Client, table: &str) -> Result<bool, ControlError> {
    let row = client
        .query_typed_one(
            "SELECT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = to_regclass($1) AND c.relrowsecurity \
             AND EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND g.tgfoid = to_regprocedure($2) AND g.tgenabled = 'A') \
             AND ARRAY(SELECT p.polname::text FROM pg_policy AS p WHERE p.polrelid = c.oid) = ARRAY[$3])",
            &[
                (&table, Type::TEXT),
                (&TRIGGER_FUNCTION, Type::TEXT),
                (&NAME, Type::TEXT),
            ],
        )
        .await
        .map_err(ControlError::sql("look at a stand-in"))?;
    Ok(row.get(0))
}

/// Those of some tables that are there and no stand-ins.
pub async fn legacy_there(client: &Client, tables: &[String]) -> Result<Vec<String>, ControlError> {
    let rows = client
        .query_typed(
            "SELECT n FROM unnest($1::text[]) AS n WHERE to_regclass(n) IS NOT NULL AND NOT EXISTS \
             (SELECT FROM pg_trigger AS g WHERE g.tgrelid = to_regclass(n) AND g.tgfoid = to_regprocedure($2))",
            &[(&tables, Type::TEXT_ARRAY), (&TRIGGER_FUNCTION, Type::TEXT)],
        )
        .await
        .map_err(ControlError::sql("look-up of tables"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Table,
    StandIn,
}

/// In one round trip: every step and every start of a proxy asks it of each table.
pub async fn found(client: &Client, table: &str) -> Result<Found, ControlError> {
    let row = client
        .query_typed_one(
            "SELECT t.oid IS NOT NULL, EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.oid \
             AND g.tgfoid = to_regprocedure($2)) FROM (SELECT to_regclass($1)::oid AS oid) AS t",
            &[(&table, Type::TEXT), (&TRIGGER_FUNCTION, Type::TEXT)],
        )
        .await
        .map_err(ControlError::sql("look-up of a table"))?;
    Ok(match (row.get(0), row.get(1)) {
        (_, true) => Found::StandIn,
        (true, false) => Found::Table,
        (false, false) => Found::Nothing,
    })
}
