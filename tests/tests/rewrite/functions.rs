//! The list of PostgreSQL's functions that the rules know, held against a server's own.
//!
//! `CROSSFADE_WRITE_FUNCTIONS=1` writes it anew from the server that the tests run on; what stands behind
//! `# newer` is of later versions and is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crossfade_testbed::Postgres;

const NEWER: &str = "# newer";

/// Each name with what all functions of that name have in common: the loosest of their volatilities, and what
/// they give in FROM. Without those that no statement can call and those that stand behind operators.
const FUNCTIONS: &str = "
WITH f AS (
    SELECT p.proname::text AS name, p.prokind, p.provolatile, CASE
        WHEN (SELECT count(*) FROM unnest(p.proargmodes) AS m WHERE m IN ('o', 'b', 't')) > 0
            THEN (SELECT string_agg(p.proargnames[i], ',' ORDER BY i)
                  FROM generate_subscripts(p.proargmodes, 1) AS i WHERE p.proargmodes[i] IN ('o', 'b', 't'))
        WHEN t.typtype IN ('b', 'd', 'e', 'r', 'm') OR t.typname IN ('void', 'anyarray', 'anyenum', 'anyrange') THEN '='
        ELSE '?' END AS gives
    FROM pg_proc AS p JOIN pg_type AS t ON t.oid = p.prorettype
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_type AS a WHERE a.oid = ANY (p.proargtypes || p.prorettype) AND a.typname IN ('internal', 'cstring',
            'trigger', 'event_trigger', 'language_handler', 'fdw_handler', 'index_am_handler', 'table_am_handler', 'tsm_handler'))
    AND (p.proname IN ('starts_with', 'array_cat') OR NOT EXISTS (SELECT FROM pg_operator AS o WHERE o.oprcode = p.oid
        AND obj_description(p.oid, 'pg_proc') LIKE 'implementation of %'))
)
SELECT name || ' ' || CASE WHEN count(DISTINCT prokind) = 1 THEN min(prokind) ELSE '?' END
    || max(CASE provolatile WHEN 'i' THEN 'i' WHEN 's' THEN 's' ELSE 'v' END)
    || ' ' || CASE WHEN count(DISTINCT gives) = 1 THEN min(gives) ELSE '?' END
FROM f GROUP BY name ORDER BY name COLLATE \"C\"";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rewrite-rules/src/bind/functions.txt")
}

fn by_name(lines: &[String]) -> BTreeMap<&str, &str> {
    lines
        .iter()
        .filter_map(|line| line.split_once(' '))
        .collect()
}

#[tokio::test]
async fn the_functions_that_are_known_are_the_servers() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let client = postgres.connect("postgres").await.expect("a session");
    let rows = client
        .query(FUNCTIONS, &[])
        .await
        .expect("the catalog answers");
    let server: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let known = std::fs::read_to_string(file()).unwrap_or_default();
    let (known, newer) = known.split_once(NEWER).unwrap_or((&known, ""));
    if std::env::var_os("CROSSFADE_WRITE_FUNCTIONS").is_some() {
        let text = format!("{}\n{NEWER}{newer}", server.join("\n"));
        std::fs::write(file(), text).expect("the list can be written");
        return;
    }
    let known: Vec<String> = known.lines().map(str::to_owned).collect();
    let (known, server) = (by_name(&known), by_name(&server));
    let newer: BTreeSet<&str> = newer
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for (name, said) in &server {
        let found = known.get(name);
        // Of a later version there may be more.
        assert!(
            found == Some(said) || newer.contains(name),
            "{name}: {said}, known as {found:?}"
        );
    }
    for name in known.keys() {
        assert!(
            server.contains_key(name),
            "{name} is not a function of this server"
        );
    }
}
