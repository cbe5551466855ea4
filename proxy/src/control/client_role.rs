//! What a client wrote, run in a control connection with that client's rights and no others.
//!
//! `SET LOCAL ROLE` alone is no wall. Whatever runs behind it (a function that an index of the table
//! calls is evaluated while a query is planned) may say RESET ROLE and be the control connection's
//! role. So it runs inside of a function of the client's role that is SECURITY DEFINER: in such a
//! function the server lets nobody change the role, whoever the session belongs to. The function is
//! made in the transaction that calls it and goes with it, so that its owner cannot alter it.

use rewrite_rules::lens::quote_ident;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

/// Begins a transaction, as that role from here on; `settings` are `SET LOCAL` statements of this kind
/// of work. `false`: the session is not of that role.
///
/// The schema of temporary objects is the session's own, and is looked at last.
pub async fn begin(client: &Client, role: &str, settings: &str) -> Result<bool, Error> {
    let begin = format!(
        "BEGIN; SET LOCAL row_security = off; SET LOCAL client_min_messages = error; {settings}; \
         SET LOCAL ROLE {}",
        quote_ident(role)
    );
    client.batch_execute(&begin).await?;
    let rows = client
        .query_typed(
            "SELECT current_user OPERATOR(pg_catalog.=) $1::pg_catalog.name",
            &[(&role, Type::TEXT)],
        )
        .await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// A function of one transaction; `arguments` are types.
#[derive(Clone, Copy, Debug)]
pub struct TempFunction<'a> {
    pub name: &'a str,
    pub arguments: &'a str,
    pub returns: &'a str,
    pub body: &'a str,
}

/// Makes one in `pg_temp`, which runs as the role that [`begin`] went to.
pub async fn function(client: &Client, function: &TempFunction<'_>) -> Result<(), Error> {
    let TempFunction {
        name,
        arguments,
        returns,
        body,
    } = function;
    let create = format!(
        "CREATE FUNCTION pg_temp.{name} ({arguments}) RETURNS {returns} LANGUAGE plpgsql SECURITY DEFINER \
         AS $crossfade$ {body} $crossfade$"
    );
    client.batch_execute(&create).await
}

/// Nothing is left of what ran: not in the database, and not in the session.
pub async fn end(client: &Client) -> Result<(), Error> {
    client.batch_execute("ROLLBACK").await?;
    client.batch_execute("DISCARD ALL").await
}
