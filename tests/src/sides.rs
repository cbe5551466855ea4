//! The two sides of `iso_agents` by SQL of the tests' own: what must be equal, whatever the lens.

use tokio_postgres::Client;

/// What an application could see of a side, without what two runs cannot share. `updated_at` of
/// rows that `now()` touched differs between two databases, and is compared between the sides.
const STATE: &str = "SELECT string_agg(md5(concat_ws('|', CASE WHEN id::text LIKE '00000000%' THEN id::text END, \
    clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata)), ' ' ORDER BY email) FROM ";

/// The state of a relation that looks like the legacy table.
pub async fn state(client: &Client, relation: &str) -> Option<String> {
    client
        .query_one(&format!("{STATE} {relation}"), &[])
        .await
        .expect("the state can be read")
        .get(0)
}

/// The unified rows as legacy rows.
pub const AS_LEGACY: &str = "(SELECT id, clerk_user_id, email, full_name, \
    CASE role::text WHEN 'sales_rep' THEN 'iso_agent' ELSE role::text END AS role, margin_type, margin_value, \
    is_active, metadata, created_at, updated_at FROM users WHERE role <> 'customer') AS moved";

fn count_differences() -> String {
    format!(
        "SELECT count(*) FROM (SELECT to_jsonb(l) FROM iso_agents l) AS a(row) FULL JOIN \
         (SELECT to_jsonb(moved) FROM {AS_LEGACY}) AS b(row) USING (row) WHERE a.row IS NULL OR b.row IS NULL"
    )
}

/// How many rows the sides do not share, timestamps included.
pub async fn differences(client: &Client) -> i64 {
    client
        .query_one(&count_differences(), &[])
        .await
        .expect("the sides can be compared")
        .get(0)
}

/// Which sides a database is expected to have in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    pub legacy: bool,
    pub unified: bool,
}

/// SQL that creates functions in the schema `probe`, for a session that is not to name the tables:
/// `probe.seen()`, the rows of each side and of its neighbours as text, inside the transaction
/// that wrote them; and `probe.reset()`, which brings back the rows that were there now.
#[must_use]
pub fn probe(sides: Sides) -> String {
    let mut seen = vec![
        row(
            "client_profiles",
            "'client', company_name, contact_name, email, notes",
        ),
        row("requests", "'request', departure_airport, passengers"),
    ];
    let agent = "'agent', CASE WHEN id::text LIKE '00000000%' THEN id END, clerk_user_id, email, \
                 full_name, role::text, margin_type, margin_value, is_active, metadata";
    if sides.legacy {
        seen.push(row("iso_agents", agent));
    }
    if sides.unified {
        seen.push(row(AS_LEGACY, agent));
    }
    let differ = if sides.legacy && sides.unified {
        count_differences()
    } else {
        "SELECT 0".to_owned()
    };
    let mut tables = vec!["client_profiles", "requests"];
    tables.extend(sides.unified.then_some("users"));
    tables.extend(sides.legacy.then_some("iso_agents"));
    let keep: Vec<String> = tables
        .iter()
        .map(|table| format!("CREATE TABLE probe.kept_{table} AS TABLE {table}"))
        .collect();
    let reset: Vec<String> = tables
        .iter()
        .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} TABLE probe.kept_{table};"))
        .collect();
    format!(
        "CREATE SCHEMA probe; {};
         CREATE FUNCTION probe.seen() RETURNS TABLE (side int, told text) LANGUAGE plpgsql AS $$
         #variable_conflict use_column
         BEGIN
           RETURN QUERY {};
           RETURN QUERY SELECT -1, n::text FROM ({differ}) AS d(n) WHERE n > 0;
         END $$;
         CREATE FUNCTION probe.reset() RETURNS void LANGUAGE plpgsql
           SET session_replication_role = replica AS $$ BEGIN {} END $$;",
        keep.join("; "),
        seen.iter()
            .enumerate()
            .map(|(side, row)| format!("SELECT {side}, told FROM ({row}) AS r{side}(told)"))
            .collect::<Vec<_>>()
            .join(" UNION ALL "),
        reset.join(" "),
    )
}

fn row(relation: &str, columns: &str) -> String {
    format!("SELECT ROW({columns})::text FROM {relation}")
}
