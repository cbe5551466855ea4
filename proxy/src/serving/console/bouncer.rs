//! What PgBouncer's console shows, as its exporters read it: true counts of this proxy, in PgBouncer's columns. Each client
//! here has a server connection of its own, so a pool is what one user has in one database, nobody waits for a place in it,
//! and what has no meaning is 0: docs/running.md lists it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::{Column, Kind, Table, Value};
use crate::config::{Address, Config};
use crate::sessions::{Counts, SessionRow};
use crate::shared::Shared;

pub(super) const LISTS: &[Column] = &[("list", Kind::Text), ("items", Kind::Int)];

pub(super) const STATS: &[Column] = &[
    ("database", Kind::Text),
    ("total_server_assignment_count", Kind::Int),
    ("total_xact_count", Kind::Int),
    ("total_query_count", Kind::Int),
    ("total_received", Kind::Int),
    ("total_sent", Kind::Int),
    ("total_xact_time", Kind::Int),
    ("total_query_time", Kind::Int),
    ("total_wait_time", Kind::Int),
    ("total_client_parse_count", Kind::Int),
    ("total_server_parse_count", Kind::Int),
    ("total_bind_count", Kind::Int),
    ("avg_server_assignment_count", Kind::Int),
    ("avg_xact_count", Kind::Int),
    ("avg_query_count", Kind::Int),
    ("avg_recv", Kind::Int),
    ("avg_sent", Kind::Int),
    ("avg_xact_time", Kind::Int),
    ("avg_query_time", Kind::Int),
    ("avg_wait_time", Kind::Int),
    ("avg_client_parse_count", Kind::Int),
    ("avg_server_parse_count", Kind::Int),
    ("avg_bind_count", Kind::Int),
];

/// Of totals and of averages alike.
pub(super) const STATS_TOTALS: &[Column] = &[
    ("database", Kind::Text),
    ("server_assignment_count", Kind::Int),
    ("xact_count", Kind::Int),
    ("query_count", Kind::Int),
    ("bytes_received", Kind::Int),
    ("bytes_sent", Kind::Int),
    ("xact_time", Kind::Int),
    ("query_time", Kind::Int),
    ("wait_time", Kind::Int),
    ("client_parse_count", Kind::Int),
    ("server_parse_count", Kind::Int),
    ("bind_count", Kind::Int),
];

pub(super) const POOLS: &[Column] = &[
    ("database", Kind::Text),
    ("user", Kind::Text),
    ("cl_active", Kind::Int),
    ("cl_waiting", Kind::Int),
    ("cl_active_cancel_req", Kind::Int),
    ("cl_waiting_cancel_req", Kind::Int),
    ("sv_active", Kind::Int),
    ("sv_active_cancel", Kind::Int),
    ("sv_being_canceled", Kind::Int),
    ("sv_idle", Kind::Int),
    ("sv_used", Kind::Int),
    ("sv_tested", Kind::Int),
    ("sv_login", Kind::Int),
    ("maxwait", Kind::Int),
    ("maxwait_us", Kind::Int),
    ("pool_mode", Kind::Text),
    ("load_balance_hosts", Kind::Text),
];

pub(super) const DATABASES: &[Column] = &[
    ("name", Kind::Text),
    ("host", Kind::Text),
    ("port", Kind::Int),
    ("database", Kind::Text),
    ("force_user", Kind::Text),
    ("pool_size", Kind::Int),
    ("min_pool_size", Kind::Int),
    ("reserve_pool_size", Kind::Int),
    ("server_lifetime", Kind::Int),
    ("pool_mode", Kind::Text),
    ("load_balance_hosts", Kind::Text),
    ("max_connections", Kind::Int),
    ("current_connections", Kind::Int),
    ("max_client_connections", Kind::Int),
    ("current_client_connections", Kind::Int),
    ("paused", Kind::Int),
    ("disabled", Kind::Int),
];

/// Of clients and of servers alike.
pub(super) const SOCKETS: &[Column] = &[
    ("type", Kind::Text),
    ("user", Kind::Text),
    ("database", Kind::Text),
    ("replication", Kind::Text),
    ("state", Kind::Text),
    ("addr", Kind::Text),
    ("port", Kind::Int),
    ("local_addr", Kind::Text),
    ("local_port", Kind::Int),
    ("connect_time", Kind::Time),
    ("request_time", Kind::Time),
    ("wait", Kind::Int),
    ("wait_us", Kind::Int),
    ("close_needed", Kind::Int),
    ("ptr", Kind::Text),
    ("link", Kind::Text),
    ("remote_pid", Kind::Int),
    ("tls", Kind::Text),
    ("application_name", Kind::Text),
    ("prepared_statements", Kind::Int),
    ("id", Kind::Int),
];

pub(super) const USERS: &[Column] = &[
    ("name", Kind::Text),
    ("pool_size", Kind::Int),
    ("reserve_pool_size", Kind::Int),
    ("pool_mode", Kind::Text),
    ("max_user_connections", Kind::Int),
    ("current_connections", Kind::Int),
    ("max_user_client_connections", Kind::Int),
    ("current_client_connections", Kind::Int),
];

pub(super) const STATE: &[Column] = &[("key", Kind::Text), ("value", Kind::Text)];
pub(super) const VERSION: &[Column] = &[("version", Kind::Text)];
pub(super) const CONFIG: &[Column] = &[
    ("key", Kind::Text),
    ("value", Kind::Text),
    ("default", Kind::Text),
    ("changeable", Kind::Text),
];

/// What a proxy of one server connection for each client calls its pools.
const POOL_MODE: &str = "session";

pub(super) fn version() -> Table {
    let mut table = Table::of(VERSION);
    let text = concat!("Crossfade ", env!("CARGO_PKG_VERSION"));
    table.row(vec![text.into()]);
    table
}

pub(super) fn state(shared: &Shared) -> Table {
    let mut table = Table::of(STATE);
    let paused = shared.stop.is_paused();
    for (key, is) in [
        ("active", !paused && !shared.stop.is_stopping()),
        ("paused", paused),
        ("suspended", false),
    ] {
        table.row(vec![key.into(), if is { "yes" } else { "no" }.into()]);
    }
    table
}

/// Pools by database and user.
fn pools(rows: &[SessionRow]) -> BTreeMap<(&str, &str), Vec<&SessionRow>> {
    let mut pools: BTreeMap<(&str, &str), Vec<&SessionRow>> = BTreeMap::new();
    for row in rows {
        let pool = (row.database.as_str(), &*row.user);
        pools.entry(pool).or_default().push(row);
    }
    pools
}

fn established(rows: &[&SessionRow]) -> usize {
    rows.iter().filter(|row| row.is_established).count()
}

pub(super) fn lists(shared: &Shared) -> Table {
    let rows = shared.sessions.rows();
    let all: Vec<&SessionRow> = rows.iter().collect();
    let inside = established(&all);
    let mut users: Vec<&str> = rows.iter().map(|row| &*row.user).collect();
    users.sort_unstable();
    users.dedup();
    let mut table = Table::of(LISTS);
    for (list, items) in [
        ("databases", shared.sessions.by_database().len()),
        ("users", users.len()),
        ("peers", 0),
        ("pools", pools(&rows).len()),
        ("peer_pools", 0),
        ("free_clients", 0),
        ("used_clients", inside),
        ("login_clients", rows.len() - inside),
        ("free_servers", 0),
        ("used_servers", inside),
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ] {
        table.row(vec![list.into(), items.into()]);
    }
    table
}

fn totals(counts: Counts) -> Vec<Value> {
    let mut values: Vec<Value> = [
        counts.sessions,
        counts.transactions,
        counts.statements,
        counts.bytes_from_clients,
        counts.bytes_to_clients,
    ]
    .into_iter()
    .map(Value::from)
    .collect();
    // Times and messages, which are not measured one by one.
    values.extend(zeros(6));
    values
}

fn zeros(count: usize) -> impl Iterator<Item = Value> {
    std::iter::repeat_n(Value::Int(0), count)
}

pub(super) fn stats(shared: &Shared) -> Table {
    let mut table = Table::of(STATS);
    for (database, counts) in shared.sessions.by_database() {
        let mut row = vec![database.into()];
        row.extend(totals(counts));
        row.extend(zeros(STATS.len() - row.len()));
        table.row(row);
    }
    table
}

pub(super) fn stats_totals(shared: &Shared) -> Table {
    let mut table = Table::of(STATS_TOTALS);
    for (database, counts) in shared.sessions.by_database() {
        let mut row = vec![database.into()];
        row.extend(totals(counts));
        table.row(row);
    }
    table
}

pub(super) fn stats_averages(shared: &Shared) -> Table {
    let mut table = Table::of(STATS_TOTALS);
    for database in shared.sessions.by_database().into_keys() {
        let mut row = vec![database.into()];
        row.extend(zeros(STATS_TOTALS.len() - 1));
        table.row(row);
    }
    table
}

pub(super) fn pools_table(shared: &Shared) -> Table {
    let rows = shared.sessions.rows();
    let mut table = Table::of(POOLS);
    for ((database, user), rows) in pools(&rows) {
        let inside = established(&rows);
        let entering = rows.len() - inside;
        let mut row: Vec<Value> = vec![database.into(), user.into(), inside.into()];
        row.extend(zeros(3));
        row.push(inside.into());
        row.extend(zeros(5));
        row.push(entering.into());
        row.extend(zeros(2));
        row.extend([POOL_MODE.into(), Value::Null]);
        table.row(row);
    }
    table
}

/// A host and a port, of an address that may be of a socket file.
fn host_and_port(address: &str) -> (String, i64) {
    match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host.to_owned(), port.parse().unwrap_or(0))
        }
        _ => ("unix".to_owned(), 0),
    }
}

fn server_address(shared: &Shared) -> (String, i64) {
    let upstream = &shared.upstream;
    match upstream.in_use().or_else(|| upstream.addresses().next()) {
        Some(Address::Tcp(text)) => host_and_port(text),
        Some(Address::Unix(path)) => (path.display().to_string(), 0),
        None => (String::new(), 0),
    }
}

pub(super) fn databases(shared: &Shared) -> Table {
    let (host, port) = server_address(shared);
    let rows = shared.sessions.rows();
    let paused = i64::from(shared.stop.is_paused());
    let limit = shared.config.limits.connections_max;
    let mut table = Table::of(DATABASES);
    for name in shared.sessions.by_database().into_keys() {
        let of: Vec<&SessionRow> = rows.iter().filter(|row| row.database == name).collect();
        let inside = established(&of);
        table.row(vec![
            name.clone().into(),
            host.clone().into(),
            port.into(),
            name.into(),
            Value::Null,
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            POOL_MODE.into(),
            Value::Null,
            0_i64.into(),
            inside.into(),
            limit.into(),
            inside.into(),
            paused.into(),
            0_i64.into(),
        ]);
    }
    table
}

/// Which end of a session is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Clients,
    Servers,
}

pub(super) fn sockets(shared: &Shared, side: Side) -> Table {
    let server = server_address(shared);
    let mut table = Table::of(SOCKETS);
    for row in shared.sessions.rows() {
        let (kind, (address, port), tls, pid) = match side {
            Side::Clients => ("C", host_and_port(&row.peer), row.is_tls, 0),
            Side::Servers => {
                let encrypted = shared.upstream.is_encrypted();
                ("S", server.clone(), encrypted, row.backend.unwrap_or(0))
            }
        };
        let state = match row.is_established {
            true => "active",
            false => "login",
        };
        table.row(vec![
            kind.into(),
            row.user.to_string().into(),
            row.database.clone().into(),
            "none".into(),
            state.into(),
            address.into(),
            port.into(),
            "".into(),
            0_i64.into(),
            row.since.into(),
            Value::Null,
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            format!("session {}", row.id).into(),
            format!("session {}", row.id).into(),
            pid.into(),
            if tls { "TLS" } else { "" }.into(),
            row.application.clone().into(),
            0_i64.into(),
            row.id.into(),
        ]);
    }
    table
}

pub(super) fn users(shared: &Shared) -> Table {
    let rows = shared.sessions.rows();
    let mut by_user: BTreeMap<Arc<str>, Vec<&SessionRow>> = BTreeMap::new();
    for row in &rows {
        by_user.entry(Arc::clone(&row.user)).or_default().push(row);
    }
    let mut table = Table::of(USERS);
    for (name, rows) in by_user {
        let inside = established(&rows);
        table.row(vec![
            name.to_string().into(),
            0_i64.into(),
            0_i64.into(),
            POOL_MODE.into(),
            0_i64.into(),
            inside.into(),
            0_i64.into(),
            inside.into(),
        ]);
    }
    table
}

/// What is configured, and what would be; no password, and nothing that leads to one.
pub(super) fn config(shared: &Shared) -> Table {
    let mut table = Table::of(CONFIG);
    let defaults = values(&Config::default());
    for ((key, value), (_, default)) in values(&shared.config).into_iter().zip(defaults) {
        table.row(vec![key.into(), value.into(), default.into(), "no".into()]);
    }
    table
}

fn values(config: &Config) -> Vec<(&'static str, String)> {
    let path = |path: &Option<std::path::PathBuf>| {
        let path = path.as_ref().map(|path| path.display().to_string());
        path.unwrap_or_default()
    };
    let limits = &config.limits;
    let gates = &config.gates;
    vec![
        // What PgBouncer calls so.
        ("max_client_conn", limits.connections_max.to_string()),
        ("max_user_connections", "0".to_owned()),
        ("listen", config.listen.0.clone()),
        ("upstream", config.upstream.0.clone()),
        ("rules", path(&config.rules)),
        ("reuse_port", config.reuse_port.to_string()),
        ("tls.certificate", path(&config.tls.certificate)),
        ("tls.required", config.tls.required.to_string()),
        (
            "upstream_tls.sslmode",
            format!("{:?}", config.upstream_tls.sslmode),
        ),
        ("control", is_set(config.control.url.as_ref())),
        (
            "admin.listen",
            config.admin.listen.clone().unwrap_or_default(),
        ),
        ("console.database", config.console.database.clone()),
        (
            "console.sessions_max",
            config.console.sessions_max.to_string(),
        ),
        (
            "console.pause_max_ms",
            config.console.pause_max_ms.to_string(),
        ),
        ("shadow.sample", config.shadow.sample.to_string()),
        ("cache.statements", config.cache.statements.to_string()),
        ("cache.rewritten", config.cache.rewritten.to_string()),
        ("cache.executions", config.cache.executions.to_string()),
        (
            "comments.forward",
            format!("{:?}", config.comments.forward).to_lowercase(),
        ),
        (
            "gates.fallback_free_days",
            gates.fallback_free_days.to_string(),
        ),
        (
            "gates.verify_age_max_hours",
            gates.verify_age_max_hours.to_string(),
        ),
        ("gates.untouched_days", gates.untouched_days.to_string()),
        (
            "gates.rehearsal_rows_max",
            gates.rehearsal_rows_max.to_string(),
        ),
        (
            "limits.startup_timeout_ms",
            limits.startup_timeout_ms.to_string(),
        ),
        (
            "limits.authentication_timeout_ms",
            limits.authentication_timeout_ms.to_string(),
        ),
        ("limits.handshakes_max", limits.handshakes_max.to_string()),
        (
            "limits.handshakes_per_address_max",
            limits.handshakes_per_address_max.to_string(),
        ),
        (
            "limits.statement_bytes_max",
            limits.statement_bytes_max.to_string(),
        ),
        (
            "limits.held_bytes_total_max",
            limits.held_bytes_total_max.to_string(),
        ),
        ("limits.connections_max", limits.connections_max.to_string()),
        (
            "limits.connections_per_address_max",
            limits.connections_per_address_max.to_string(),
        ),
        (
            "limits.prepared_statements_max",
            limits.prepared_statements_max.to_string(),
        ),
        (
            "limits.prepared_bytes_max",
            limits.prepared_bytes_max.to_string(),
        ),
        (
            "limits.upstream_connect_timeout_ms",
            limits.upstream_connect_timeout_ms.to_string(),
        ),
        (
            "limits.drain_timeout_ms",
            limits.drain_timeout_ms.to_string(),
        ),
        ("limits.worker_threads", limits.worker_threads.to_string()),
    ]
}

fn is_set<T>(what: Option<T>) -> String {
    match what {
        Some(_) => "set".to_owned(),
        None => String::new(),
    }
}
