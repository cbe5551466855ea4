//! What changes the meaning of names: the search path, roles, temporary tables, schemas.

use super::spelling::{cased, literal, name};
use crate::generate::Choices;

/// Paths, as SET takes them.
const PATHS: &[&str] = &[
    "other",
    "public",
    "other, public",
    "public, other",
    "\"$user\", public",
    "pg_temp",
    "nowhere",
];

/// What a function that is made for the test does with its argument: it becomes the path.
pub const FUNCTIONS: &str = "CREATE FUNCTION goes_to(path text) RETURNS text LANGUAGE sql
        AS $$ SELECT set_config('search_path', path, false) $$;
    CREATE FUNCTION other.lower(path text) RETURNS text LANGUAGE sql
        AS $$ SELECT pg_catalog.set_config('search_path', path, false) $$;
    CREATE PROCEDURE went_to(path text) LANGUAGE plpgsql
        AS $$ BEGIN PERFORM set_config('search_path', path, false); END $$;";

/// Prepared in each session before anything else: `g(path)`.
pub const PREPARED: &str = "PREPARE g AS SELECT set_config('search_path', $1, false)";

/// One statement that may change what names mean. `in_block`: a transaction is open.
pub(super) fn change(choices: &mut Choices, in_block: bool) -> String {
    match choices.below(if in_block { 12 } else { 10 }) {
        0..=2 => set(choices),
        3 | 4 => by_function(choices),
        5 => by_text(choices),
        6 => by_temporary(choices),
        7 => by_role(choices),
        8 => back(choices).to_owned(),
        9 => by_reading(choices).to_owned(),
        _ => by_schema(choices).to_owned(),
    }
}

fn set(choices: &mut Choices) -> String {
    let path = choices.pick(PATHS);
    let scope = choices.pick(&["", "SESSION ", "LOCAL "]);
    if choices.chance(25) {
        let schema = choices.pick(&["other", "public"]);
        let schema = literal(choices, schema);
        return format!("SET {scope}SCHEMA {schema}");
    }
    let setting = match choices.below(3) {
        0 => "search_path".to_owned(),
        1 => cased(choices, "search_path"),
        _ => name(choices, "search_path"),
    };
    let path = match choices.below(3) {
        0 | 1 => path.to_owned(),
        _ => {
            let schema = choices.pick(&["other", "public"]);
            match choices.below(2) {
                0 => name(choices, schema),
                _ => literal(choices, schema),
            }
        }
    };
    format!("SET {scope}{setting} {} {path}", choices.pick(&["=", "TO"]))
}

/// `set_config` and what calls it.
fn by_function(choices: &mut Choices) -> String {
    let path = choices.pick(PATHS);
    let path = literal(choices, path);
    let local = choices.pick(&["false", "true"]);
    match choices.below(10) {
        0 | 1 => {
            let setting = cased(choices, "search_path");
            let setting = literal(choices, &setting);
            let function = name(choices, "set_config");
            format!("SELECT {function}({setting}, {path}, {local})")
        }
        2 => format!("SELECT set_config('search_' || 'path', {path}, {local})"),
        3 => format!(
            "SELECT set_config(is_local => {local}, new_value => {path}, setting_name => 'search_path')"
        ),
        4 => format!("SELECT {}({path})", name(choices, "goes_to")),
        5 => format!("SELECT a FROM public.goes_to({path}) AS a"),
        6 => format!("CALL public.went_to({path})"),
        7 => format!("EXECUTE g({path})"),
        8 => format!("SELECT other.lower({path})"),
        _ => format!(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT public.goes_to({path})"
        ),
    }
}

fn by_text(choices: &mut Choices) -> String {
    let path = choices.pick(PATHS);
    let quoted = literal(choices, path);
    let block = match choices.below(5) {
        0 => {
            let value = literal(choices, "search_path");
            return format!("UPDATE pg_settings SET setting = {quoted} WHERE name = {value}");
        }
        1 => format!("BEGIN PERFORM set_config('search_path', {quoted}, false); END"),
        2 => format!("BEGIN SET search_path = {path}; END"),
        3 => format!("BEGIN PERFORM public.goes_to({quoted}); END"),
        _ => {
            let inner = format!("SET search_path = {path}");
            format!("BEGIN EXECUTE {}; END", literal(choices, &inner))
        }
    };
    format!("DO {}", literal(choices, &block))
}

fn by_temporary(choices: &mut Choices) -> String {
    let columns = "(clerk_user_id text, email text, full_name text)";
    let table = name(choices, "iso_agents");
    match choices.below(12) {
        0 => format!("CREATE TEMP TABLE {table} {columns}"),
        1 => format!("CREATE TEMPORARY TABLE IF NOT EXISTS {table} {columns}"),
        2 => format!("CREATE TABLE pg_temp.{table} {columns}"),
        3 => format!(
            "SELECT clerk_user_id, email, full_name INTO TEMP {table} FROM other.iso_agents"
        ),
        4 => format!(
            "CREATE TEMP TABLE {table} AS SELECT clerk_user_id, email, full_name FROM other.iso_agents"
        ),
        5 => format!("CREATE TEMP VIEW {table} AS SELECT * FROM other.iso_agents"),
        6 => format!("CREATE TEMP SEQUENCE {table}"),
        7 => format!(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) CREATE TEMP TABLE {table} AS \
             SELECT clerk_user_id, email, full_name FROM other.iso_agents"
        ),
        8 => format!("CREATE TEMP TABLE was {columns}; ALTER TABLE was RENAME TO {table}"),
        9 => format!(
            "DO $do$ BEGIN EXECUTE 'CREATE TEMP TABLE iso_' || 'agents {columns}'; END $do$"
        ),
        10 => format!("DROP TABLE IF EXISTS pg_temp.{table}"),
        _ => "DISCARD TEMP".to_owned(),
    }
}

/// `tenant` has a schema of its name.
fn by_role(choices: &mut Choices) -> String {
    match choices.below(4) {
        0 => "SET ROLE tenant".to_owned(),
        1 => "SET LOCAL ROLE tenant".to_owned(),
        2 => "SET SESSION AUTHORIZATION tenant".to_owned(),
        _ => {
            let setting = literal(choices, "role");
            format!("SELECT set_config({setting}, 'tenant', false)")
        }
    }
}

fn back(choices: &mut Choices) -> &'static str {
    choices.pick(&[
        "RESET search_path",
        "RESET ALL",
        "RESET ROLE",
        "RESET SESSION AUTHORIZATION",
        "SET search_path TO DEFAULT",
        "DISCARD ALL",
    ])
}

/// Where strings end, and what the bytes of a text are.
fn by_reading(choices: &mut Choices) -> &'static str {
    choices.pick(&[
        "SET standard_conforming_strings = off",
        "SET LOCAL standard_conforming_strings TO 'off'",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SET standard_conforming_strings = on",
        "SET client_encoding = LATIN1",
        "SET NAMES 'SJIS'",
    ])
}

/// What every session would see, and is taken back.
fn by_schema(choices: &mut Choices) -> &'static str {
    choices.pick(&[
        "ALTER SCHEMA other RENAME TO nowhere",
        "DROP SCHEMA other CASCADE",
        "ALTER TABLE other.iso_agents RENAME TO elsewhere",
        "ALTER TABLE other.iso_agents SET SCHEMA tenant2",
        "CREATE TABLE tenant2.iso_agents AS TABLE other.iso_agents",
    ])
}
