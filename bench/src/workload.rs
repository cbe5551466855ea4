//! What is measured: workloads, each a set of variants that are run in turn and compared with the
//! first one.

use crate::load::script::{Draw, Protocol, Script};
use crate::world::World;

/// How a variant's load is made.
#[derive(Clone, Debug)]
pub enum Driver {
    /// Our own clients.
    Script(Script),
    /// `pgbench` with these arguments.
    Pgbench(Vec<&'static str>),
}

#[derive(Clone, Debug)]
pub struct Variant {
    pub label: String,
    /// The endpoint's name.
    pub endpoint: String,
    pub driver: Driver,
}

/// Which table of the report a workload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    PassThrough,
    Latency,
    Bulk,
    RewrittenReads,
    DualWrites,
}

impl Group {
    pub const ALL: [Group; 5] = [
        Group::PassThrough,
        Group::Latency,
        Group::Bulk,
        Group::RewrittenReads,
        Group::DualWrites,
    ];
}

#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    pub group: Group,
    pub clients: usize,
    /// The first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// The variant whose proxy's processor time is the measure for the others' (the bare relay,
    /// or the read that is passed through).
    pub floor: &'static str,
    /// So many times the rounds of the others: of figures whose differences are small.
    pub rounds: usize,
}

/// What a proxy costs beside another one is a few parts in a hundred; a round differs by more.
pub const FINE_ROUNDS: usize = 3;

/// Clients of the loaded workloads, as many as the figures to beat were measured with.
const CLIENTS: usize = 8;

pub const DIRECT: &str = "direct";
pub const RELAY: &str = "relay";
pub const PGBOUNCER: &str = "pgbouncer";
/// Rules are loaded and manage a table that the pass-through workloads do not name.
pub const CROSSFADE: &str = "crossfade";
/// The same with one worker thread, as PgBouncer has.
pub const ONE_THREAD: &str = "crossfade, one thread";
/// The same with the cache of unnamed statements on.
pub const CACHED: &str = "crossfade, cache on";
/// The same, where the server may choose one plan for all values.
pub const CACHED_LONG: &str = "crossfade, cache on, 1000 executions";
pub const LEGACY_ONLY: &str = "crossfade-legacy_only";
pub const DUAL_READ: &str = "crossfade-dual_read";
pub const UNIFIED_READ: &str = "crossfade-unified_read";
pub const UNIFIED_ONLY: &str = "crossfade-unified_only";
/// Their database holds them to their epoch: each statement has a fence, and legacy follows within it.
pub const DUAL_WRITE_HELD: &str = "crossfade-dual_write, held";
pub const DUAL_READ_HELD: &str = "crossfade-dual_read, held";
pub const UNIFIED_READ_HELD: &str = "crossfade-unified_read, held";
/// Where what is rewritten is sent each time.
pub const DUAL_WRITE_SENT: &str = "crossfade-dual_write, nothing kept";
pub const UNIFIED_READ_SENT: &str = "crossfade-unified_read, nothing kept";

/// What the cache of unnamed statements is for.
pub const EXTENDED: &str = "select, extended";
pub const PASSED: &str = "users, passed through";
const UNTRACED: &str = "without comments";

/// Every workload, for the endpoints between client and server that there are.
pub fn all(world: &World, proxies: &[String]) -> Vec<Workload> {
    let mut workloads = pass_through(proxies);
    workloads.extend(latency(world, proxies));
    workloads.extend(bulk(world, proxies));
    workloads.extend(rewritten_reads(world));
    workloads.extend(traced_reads(world));
    workloads.extend(dual_writes(world));
    workloads
}

/// The same load on the server and on every proxy.
fn alike(proxies: &[String], driver: &Driver) -> Vec<Variant> {
    std::iter::once(DIRECT)
        .chain(proxies.iter().map(String::as_str))
        .map(|name| variant(name, name, driver.clone()))
        .collect()
}

fn variant(label: &str, endpoint: &str, driver: Driver) -> Variant {
    Variant {
        label: label.to_owned(),
        endpoint: endpoint.to_owned(),
        driver,
    }
}

fn pass_through(proxies: &[String]) -> Vec<Workload> {
    [
        ("select, simple", vec!["-S", "-M", "simple"]),
        (EXTENDED, vec!["-S", "-M", "extended"]),
        ("select, prepared", vec!["-S", "-M", "prepared"]),
        ("tpcb-like, prepared", vec!["-M", "prepared"]),
        ("connect and select", vec!["-S", "-C"]),
    ]
    .into_iter()
    .map(|(name, arguments)| {
        let driver = Driver::Pgbench(arguments);
        let mut variants = alike(proxies, &driver);
        let fine = name.starts_with("select");
        if fine {
            variants.push(variant(ONE_THREAD, ONE_THREAD, driver.clone()));
        }
        if name == EXTENDED {
            for cached in [CACHED, CACHED_LONG] {
                variants.push(variant(cached, cached, driver.clone()));
            }
        }
        Workload {
            name: name.to_owned(),
            group: Group::PassThrough,
            clients: CLIENTS,
            variants,
            floor: RELAY,
            rounds: if fine { FINE_ROUNDS } else { 1 },
        }
    })
    .collect()
}

fn latency(world: &World, proxies: &[String]) -> Vec<Workload> {
    const SQL: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
    Protocol::ALL
        .into_iter()
        .map(|protocol| {
            let script = Script::new(protocol, SQL, vec![Draw::UpTo(world.accounts)]);
            Workload {
                name: format!("select, {}, 1 client", protocol.name()),
                group: Group::Latency,
                clients: 1,
                variants: alike(proxies, &Driver::Script(script)),
                floor: RELAY,
                rounds: 1,
            }
        })
        .collect()
}

fn bulk(world: &World, proxies: &[String]) -> Vec<Workload> {
    // About 20 MB each, so that a short round still holds several.
    let rows = world.accounts.min(150_000);
    let select = format!("SELECT * FROM pgbench_accounts WHERE aid <= {rows}");
    let copy_out = format!("COPY ({select}) TO STDOUT");
    let filler = " ".repeat(84);
    let lines: String = (1..=rows)
        .map(|row| format!("{row}\t1\t0\t{filler}\n"))
        .collect();
    let copy_in = Script::new(
        Protocol::Simple,
        // Every row is parsed and none is kept, so that the last round is as fast as the first.
        "COPY pgbench_accounts FROM STDIN WHERE false",
        Vec::new(),
    )
    .with_copy_data(lines.as_bytes());
    [
        (
            "SELECT *",
            Script::new(Protocol::Simple, select, Vec::new()),
        ),
        (
            "COPY TO",
            Script::new(Protocol::Simple, copy_out, Vec::new()),
        ),
        ("COPY FROM", copy_in),
    ]
    .into_iter()
    .map(|(name, script)| Workload {
        name: name.to_owned(),
        group: Group::Bulk,
        clients: 1,
        variants: alike(proxies, &Driver::Script(script)),
        floor: RELAY,
        rounds: 1,
    })
    .collect()
}

fn rewritten_reads(world: &World) -> Vec<Workload> {
    const VARIANTS: [(&str, &str, &str); 10] = [
        ("iso_agents, direct", DIRECT, "iso_agents"),
        ("users, direct", DIRECT, "users"),
        (PASSED, LEGACY_ONLY, "users"),
        ("iso_agents in dual_write", CROSSFADE, "iso_agents"),
        ("iso_agents in dual_read", DUAL_READ, "iso_agents"),
        ("iso_agents in unified_read", UNIFIED_READ, "iso_agents"),
        (
            "iso_agents in unified_read, nothing kept",
            UNIFIED_READ_SENT,
            "iso_agents",
        ),
        ("iso_agents in unified_only", UNIFIED_ONLY, "iso_agents"),
        (
            "iso_agents in dual_read, held",
            DUAL_READ_HELD,
            "iso_agents",
        ),
        (
            "iso_agents in unified_read, held",
            UNIFIED_READ_HELD,
            "iso_agents",
        ),
    ];
    Protocol::ALL
        .into_iter()
        .map(|protocol| {
            let read = |table: &str| {
                Driver::Script(Script::new(
                    protocol,
                    format!(
                        "SELECT id, email, full_name, role, is_active FROM {table} WHERE id = $1"
                    ),
                    vec![Draw::OneOf(world.agents.clone())],
                ))
            };
            Workload {
                name: format!("read by key, {}", protocol.name()),
                group: Group::RewrittenReads,
                clients: CLIENTS,
                variants: VARIANTS
                    .map(|(label, endpoint, table)| variant(label, endpoint, read(table)))
                    .to_vec(),
                floor: PASSED,
                rounds: 1,
            }
        })
        .collect()
}

/// Reads with a trace's id in a comment of each text beside the same reads without.
fn traced_reads(world: &World) -> Vec<Workload> {
    const READS: [(&str, Protocol); 4] = [
        (CACHED, Protocol::Extended),
        (CACHED_LONG, Protocol::Extended),
        (UNIFIED_READ, Protocol::Extended),
        (UNIFIED_READ, Protocol::Simple),
    ];
    READS
        .into_iter()
        .map(|(endpoint, protocol)| {
            let sql = "SELECT id, email, full_name, role, is_active FROM iso_agents WHERE id = $1";
            let script = Script::new(protocol, sql, vec![Draw::OneOf(world.agents.clone())]);
            Workload {
                name: format!("traced read, {}, {endpoint}", protocol.name()),
                group: Group::RewrittenReads,
                clients: CLIENTS,
                variants: vec![
                    variant(UNTRACED, endpoint, Driver::Script(script.clone())),
                    variant(
                        "a trace's id in each",
                        endpoint,
                        Driver::Script(script.traced()),
                    ),
                ],
                floor: UNTRACED,
                rounds: FINE_ROUNDS,
            }
        })
        .collect()
}

/// A statement on any table, in any protocol.
type ScriptOf<'a> = dyn Fn(Protocol, &str) -> Script + 'a;

fn dual_writes(world: &World) -> Vec<Workload> {
    const VARIANTS: [(&str, &str, &str); 10] = [
        ("one table", DIRECT, "plain"),
        ("AFTER trigger", DIRECT, "triggered"),
        ("INSTEAD OF view", DIRECT, "viewed"),
        ("one table, passed through", LEGACY_ONLY, "plain"),
        ("Crossfade in dual_write", CROSSFADE, "iso_agents"),
        ("Crossfade in unified_read", UNIFIED_READ, "iso_agents"),
        (
            "Crossfade in dual_write, held",
            DUAL_WRITE_HELD,
            "iso_agents",
        ),
        (
            "Crossfade in unified_read, held",
            UNIFIED_READ_HELD,
            "iso_agents",
        ),
        (
            "Crossfade in dual_write, nothing kept",
            DUAL_WRITE_SENT,
            "iso_agents",
        ),
        (
            "Crossfade in unified_read, nothing kept",
            UNIFIED_READ_SENT,
            "iso_agents",
        ),
    ];
    let update = |protocol, table: &str| {
        Script::new(
            protocol,
            format!("UPDATE {table} SET full_name = $1, margin_value = $2 WHERE id = $3"),
            vec![
                Draw::Fresh(" Agent"),
                Draw::UpTo(1000),
                Draw::OneOf(world.agents.clone()),
            ],
        )
    };
    let insert = |protocol, table: &str| {
        Script::new(
            protocol,
            format!("INSERT INTO {table} (clerk_user_id, email, full_name) VALUES ($1, $2, $3)"),
            vec![
                Draw::Fresh(""),
                Draw::Fresh("@example.com"),
                Draw::Fresh(" Agent"),
            ],
        )
    };
    let kinds: [(&str, &ScriptOf<'_>); 2] = [("UPDATE", &update), ("INSERT", &insert)];
    let mut workloads = Vec::new();
    for (verb, script) in kinds {
        for protocol in Protocol::ALL {
            workloads.push(Workload {
                name: format!("{verb}, {}", protocol.name()),
                group: Group::DualWrites,
                clients: CLIENTS,
                variants: VARIANTS
                    .map(|(label, endpoint, table)| {
                        variant(label, endpoint, Driver::Script(script(protocol, table)))
                    })
                    .to_vec(),
                floor: "one table, passed through",
                rounds: 1,
            });
        }
    }
    workloads
}
