//! How the cost of one request grows with what stands in it: many statements in one string, many in one
//! pipeline, many rows of VALUES or of COPY.
//!
//! Each request is sent straight to the server, through the proxy, and, as the rules have rewritten it,
//! straight again: what the last one costs is the server's own. Within a round every size and variant
//! runs once, in a transaction that is rolled back. Beside the time, what is counted is the processor's:
//! the proxy's threads, and the server's processes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rewrite_rules::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

use crate::cpu;
use crate::endpoint::{Endpoint, Starter, crossfade_binary, readable_dir};
use crate::load::client::Client;
use crate::load::script::{copy_data, pipelined, query};
use crate::machine;
use crate::rounds::median;
use crate::rules::rules_in;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How much stands in a request; may be repeated
    #[arg(long = "size", default_values_t = [300, 1_000, 3_000, 6_000])]
    sizes: Vec<usize>,
    /// Turns of each; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only requests whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    #[arg(long, value_parser = phase, default_value = "dual_write")]
    phase: Phase,
    /// The proxy's binary; beside this program unless given
    #[arg(long, value_name = "FILE")]
    crossfade: Option<PathBuf>,
    /// Another binary of it, to be measured in the same rounds
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
}

fn phase(name: &str) -> Result<Phase, String> {
    let found = Phase::ALL.into_iter().find(|phase| phase.name() == name);
    found.ok_or_else(|| format!("no phase is called {name}"))
}

/// A request as a function of how much stands in it.
struct Request {
    name: &'static str,
    /// Texts that are sent in one string, or each by Parse and Bind.
    texts: fn(&World, usize) -> Vec<String>,
    pipelined: bool,
    rows: fn(usize) -> Vec<u8>,
}

const REQUESTS: [Request; 12] = [
    string("UPDATEs in one string", |world, size| {
        each(world, size, |id, n| {
            format!("UPDATE iso_agents SET full_name = 'name {n}' WHERE id = '{id}'")
        })
    }),
    string("UPDATEs of one row in one string", |world, size| {
        let id = &world.agents[0];
        each(world, size, |_, n| {
            format!("UPDATE iso_agents SET full_name = 'name {n}' WHERE id = '{id}'")
        })
    }),
    // What PostgreSQL makes of it by itself where each has a savepoint, as the unified half has whose
    // failure is to be recorded.
    string(
        "UPDATEs of one row in one string, each in a savepoint",
        |world, size| {
            let id = &world.agents[0];
            each(world, size, |_, n| {
                format!(
                    "SAVEPOINT s; UPDATE iso_agents SET full_name = 'name {n}' WHERE id = '{id}'; RELEASE s"
                )
            })
        },
    ),
    string("SELECTs in one string", |world, size| {
        each(world, size, |id, n| {
            format!("SELECT id, email, {n} FROM iso_agents WHERE id = '{id}'")
        })
    }),
    string("INSERTs in one string", |world, size| {
        each(world, size, |_, n| {
            format!(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('many {n}', 'many{n}@example.com', 'x')"
            )
        })
    }),
    string("DELETEs in one string", |world, size| {
        each(world, size, |id, _| {
            format!("DELETE FROM iso_agents WHERE id = '{id}'")
        })
    }),
    string("UPDATEs among others in one string", |world, size| {
        each(world, size, |id, n| match n % 3 {
            0 => format!("UPDATE iso_agents SET full_name = 'name {n}' WHERE id = '{id}'"),
            1 => format!("SELECT abalance FROM pgbench_accounts WHERE aid = {n}"),
            _ => format!("UPDATE pgbench_accounts SET filler = lower('{n}') WHERE aid = {n}"),
        })
    }),
    string("other UPDATEs in one string", |world, size| {
        each(world, size, |_, n| {
            format!("UPDATE pgbench_accounts SET filler = lower('{n}') WHERE aid = {n}")
        })
    }),
    Request {
        pipelined: true,
        ..string("UPDATEs in one pipeline", |world, size| {
            each(world, size, |id, n| {
                format!("UPDATE iso_agents SET full_name = 'name {n}' WHERE id = '{id}'")
            })
        })
    },
    string("rows of one INSERT", |_, size| {
        let rows = (0..size).map(|n| format!("('many {n}', 'many{n}@example.com', lower('X'))"));
        let rows: Vec<String> = rows.collect();
        let into = "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES";
        vec![format!("{into} {}", rows.join(", "))]
    }),
    string("rows of one INSERT into another table", |_, size| {
        let rows: Vec<String> = (0..size)
            .map(|n| format!("({}, lower('{n}'))", n + 1_000))
            .collect();
        let into = "INSERT INTO pgbench_tellers (tid, filler) VALUES";
        vec![format!("{into} {}", rows.join(", "))]
    }),
    Request {
        rows: |size| {
            let rows = (0..size).map(|n| format!("many {n}\tmany{n}@example.com\tx\n"));
            rows.collect::<String>().into_bytes()
        },
        ..string("rows of one COPY", |_, _| {
            vec!["COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN".to_owned()]
        })
    },
];

const fn string(name: &'static str, texts: fn(&World, usize) -> Vec<String>) -> Request {
    Request {
        name,
        texts,
        pipelined: false,
        rows: |_| Vec::new(),
    }
}

fn each(world: &World, size: usize, text: impl Fn(&str, usize) -> String) -> Vec<String> {
    let ids = world.agents.iter().cycle().take(size);
    ids.enumerate().map(|(n, id)| text(id, n + 1)).collect()
}

/// Where a request goes, and as what.
struct Variant<'a> {
    endpoint: &'a Endpoint,
    label: String,
    rewritten: bool,
}

/// What one request cost, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    time: f64,
    proxy: f64,
    server: f64,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let world = World::build(1).await?;
    let rules = RuleSet::compile(vec![SourceFile {
        path: "iso_agents.toml".into(),
        text: rules_in(args.phase),
    }])?;
    let dir = readable_dir()?;
    let upstream = world.postgres.address();
    let mut endpoints = vec![Endpoint::running("straight", upstream.clone())];
    let named = [
        ("before", args.before.as_deref()),
        ("crossfade", args.crossfade.as_deref()),
    ];
    for (name, file) in named {
        if name == "before" && file.is_none() {
            continue;
        }
        let crossfade = crossfade_binary(file)?;
        let starter = Starter {
            dir: dir.path(),
            crossfade: &crossfade,
            upstream: &upstream,
        };
        endpoints.push(starter.crossfade(name, args.phase).await?);
    }
    let mut variants: Vec<Variant<'_>> = endpoints
        .iter()
        .map(|endpoint| Variant {
            endpoint,
            label: endpoint.name.clone(),
            rewritten: false,
        })
        .collect();
    variants.push(Variant {
        endpoint: &endpoints[0],
        label: "rewritten, straight".to_owned(),
        rewritten: true,
    });
    println!("load before: {:.2} running processes\n", machine::load());
    println!("| request | size | | ms | ratio | µs for each | proxy CPU, ms | server CPU, ms |");
    println!("|---|---|---|---|---|---|---|---|");
    for request in REQUESTS
        .iter()
        .filter(|request| request.name.contains(&args.only))
    {
        of_request(&world, &rules, request, &variants, args)
            .await
            .context(request.name)?;
    }
    println!("\nload after: {:.2} running processes", machine::load());
    Ok(())
}

async fn of_request(
    world: &World,
    rules: &RuleSet,
    request: &Request,
    variants: &[Variant<'_>],
    args: &Args,
) -> anyhow::Result<()> {
    let mut costs = vec![vec![Vec::new(); variants.len()]; args.sizes.len()];
    for round in 0..args.rounds {
        world.tidy().await?;
        for (size, costs) in args.sizes.iter().zip(&mut costs) {
            for turn in 0..variants.len() {
                let index = (turn + round) % variants.len();
                let cost = once(world, rules, request, *size, &variants[index]).await?;
                costs[index].push(cost);
            }
        }
    }
    for (size, costs) in args.sizes.iter().zip(&costs) {
        for (variant, own) in variants.iter().zip(costs) {
            let middle = |of: fn(&Cost) -> f64| median(own.iter().map(of)).unwrap_or(f64::NAN);
            let pairs = own.iter().zip(&costs[0]);
            let ratio = median(pairs.map(|(own, straight)| own.time / straight.time));
            println!(
                "| {} | {size} | {} | {:.1} | {:.2} | {:.0} | {:.1} | {:.1} |",
                request.name,
                variant.label,
                middle(|cost| cost.time),
                ratio.unwrap_or(f64::NAN),
                middle(|cost| cost.time) * 1000.0 / *size as f64,
                middle(|cost| cost.proxy),
                middle(|cost| cost.server),
            );
        }
    }
    Ok(())
}

async fn once(
    world: &World,
    rules: &RuleSet,
    request: &Request,
    size: usize,
    variant: &Variant<'_>,
) -> anyhow::Result<Cost> {
    let mut texts = (request.texts)(world, size);
    if !request.pipelined {
        texts = vec![texts.join("; ")];
    }
    if variant.rewritten {
        for text in &mut texts {
            *text = rewritten(rules, text)?;
        }
    }
    let bytes = match request.pipelined {
        true => pipelined(&texts),
        false => query(&texts[0]),
    };
    let rows = copy_data(&(request.rows)(size));
    let mut client = Client::connect(&variant.endpoint.address).await?;
    // The first statement that names a managed table asks the server what the name means.
    client
        .round_trip(&query("SELECT id FROM iso_agents LIMIT 1"), &[])
        .await?;
    client.round_trip(&query("BEGIN"), &[]).await?;
    let postgres = world.postgres.pid().context("the server is stopped")?;
    let server = cpu::of_tree(postgres);
    let proxy = variant.endpoint.pid().map(cpu::of_process);
    let begun = Instant::now();
    client.round_trip(&bytes, &rows).await?;
    let time = begun.elapsed();
    let proxy = match (proxy, variant.endpoint.pid()) {
        (Some(before), Some(pid)) => cpu::of_process(pid) - before,
        _ => Duration::ZERO,
    };
    let server = cpu::of_tree(postgres) - server;
    client.round_trip(&query("ROLLBACK"), &[]).await?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Cost {
        time: milliseconds(time),
        proxy: milliseconds(proxy),
        server: milliseconds(server),
    })
}

fn rewritten(rules: &RuleSet, text: &str) -> anyhow::Result<String> {
    let reading = rules.read(text, SearchPath::AsDeclared);
    match &reading.verdict {
        Verdict::PassThrough => Ok(text.to_owned()),
        Verdict::Rewritten(rewritten) => Ok(rewritten.sql.clone()),
        Verdict::Refused(refusal) => bail!("it is refused: {refusal:?}"),
    }
}
