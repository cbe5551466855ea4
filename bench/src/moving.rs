//! What moving a table costs: a backfill against one `INSERT … SELECT` of the same mapping, a
//! verify against two sequential scans with hashing, and what is left to an application meanwhile.
//!
//! Everything runs on one throwaway server, in turns, so that a busy machine is busy for both.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crossfade::backfill::state::{CopyDirection, Speed};
use crossfade::backfill::{self, BackfillOptions};
use crossfade::control::schema;
use crossfade::verify;
use crossfade_testbed::{Postgres, iso_agents};
use rewrite_rules::{Lens, Phase, RuleSet, SourceFile};
use tokio_postgres::Client;

use crate::cpu;
use crate::endpoint::{Starter, crossfade_binary, readable_dir};
use crate::load::Crowd;
use crate::load::script::{Draw, Protocol, Script};
use crate::machine;
use crate::rounds::median;
use crate::rules::rules_in;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows of the legacy table
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
    /// Turns; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// E-mail addresses in the order of the rows, as only generated ones are
    #[arg(long)]
    ordered: bool,
    /// Connections of the backfill and of the verify
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Clients of the application
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Time for which they are measured with and without a backfill
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The proxy's binary; beside this program unless given
    #[arg(long, value_name = "FILE")]
    crossfade: Option<PathBuf>,
}

/// The longest wait for the application's own transactions.
const DRAIN: Duration = Duration::from_secs(60);
/// The longest wait for a backfill's first chunk, which comes after that.
const BEGINS_WITHIN: Duration = Duration::from_secs(120);

/// People's addresses are in no order. If they came in the table's, as generated ones do, each
/// would have its place in the indexes beside the one before, for whoever copies in that order.
const SHUFFLED: [&str; 2] = [
    "UPDATE iso_agents SET email = left(md5(email), 8) || '.' || email",
    "VACUUM (FULL, ANALYZE) iso_agents",
];

struct Bench {
    postgres: Postgres,
    client: Client,
    rules: RuleSet,
    url: String,
    workers: usize,
    // A backfill reads the rule file again, for its phase.
    _dir: tempfile::TempDir,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let bench = Bench::build(args).await?;
    println!("load before: {:.2} running processes\n", machine::load());
    let mut seconds = Seconds::default();
    for round in 1..=args.rounds {
        bench.once(&mut seconds).await?;
        eprintln!("round {round}: {seconds:.1?}");
    }
    println!("{}", seconds.table(args.rows)?);
    println!("{}", bench.beside_an_application(args).await?);
    println!("load after: {:.2} running processes", machine::load());
    Ok(())
}

/// What each turn took.
#[derive(Debug, Default)]
struct Seconds {
    insert: Vec<f64>,
    alone: Vec<f64>,
    workers: Vec<f64>,
    scans: Vec<f64>,
    verify: Vec<f64>,
}

impl Seconds {
    fn table(&self, rows: u32) -> anyhow::Result<String> {
        let middle = |all: &[f64]| median(all.iter().copied()).context("no turn was measured");
        let (insert, scans) = (middle(&self.insert)?, middle(&self.scans)?);
        let mut text = String::from(
            "| what | seconds | rows/s | speed, in terms of the first |\n|---|---|---|---|\n",
        );
        for (what, own, first) in [
            ("one INSERT … SELECT", insert, insert),
            ("backfill, one worker", middle(&self.alone)?, insert),
            ("backfill, all workers", middle(&self.workers)?, insert),
            ("two scans with hashing", scans, scans),
            ("verify", middle(&self.verify)?, scans),
        ] {
            text += &format!(
                "| {what} | {own:.2} | {:.0} | {:.2} |\n",
                f64::from(rows) / own,
                first / own
            );
        }
        Ok(text)
    }
}

impl Bench {
    async fn build(args: &Args) -> anyhow::Result<Bench> {
        let settings = [
            ("shared_buffers", "512MB"),
            // A checkpoint in the middle of one turn would be that turn's.
            ("checkpoint_timeout", "1h"),
            ("max_wal_size", "16GB"),
            ("autovacuum", "off"),
        ];
        let postgres = Postgres::start_with(&settings).await?;
        let client = postgres.connect("postgres").await?;
        iso_agents::install(&client).await?;
        iso_agents::fill(&client, &iso_agents::Rows::agents(args.rows)).await?;
        if !args.ordered {
            for sql in SHUFFLED {
                client.batch_execute(sql).await?;
            }
        }
        let dir = readable_dir()?;
        let path = dir.path().join("iso_agents.toml");
        std::fs::write(&path, rules_in(Phase::DualWrite))?;
        let file = SourceFile {
            path,
            text: rules_in(Phase::DualWrite),
        };
        let rules = RuleSet::compile(vec![file])?;
        schema::prepare(&client, &rules, schema::Ddl::OfAll).await?;
        Ok(Bench {
            url: postgres.url("postgres"),
            postgres,
            client,
            rules,
            workers: args.workers,
            _dir: dir,
        })
    }

    fn lens(&self) -> &Lens {
        &self.rules.migrations()[0].tables[0]
    }

    /// Empty again, and nothing left over from the last turn.
    async fn tidy(&self) -> anyhow::Result<()> {
        for sql in [
            "TRUNCATE users CASCADE",
            "VACUUM ANALYZE iso_agents",
            "CHECKPOINT",
        ] {
            self.client.batch_execute(sql).await?;
        }
        Ok(())
    }

    async fn once(&self, seconds: &mut Seconds) -> anyhow::Result<()> {
        self.tidy().await?;
        let put = self.lens().put_from(&self.lens().legacy.sql());
        let insert = put
            .split_once(" ON CONFLICT ")
            .context("the mapping has no ON CONFLICT")?
            .0;
        seconds.insert.push(self.timed(insert).await?);
        for (workers, taken) in [
            (1, &mut seconds.alone),
            (self.workers, &mut seconds.workers),
        ] {
            self.tidy().await?;
            let begun = Instant::now();
            self.backfill(workers, Speed::default()).await?;
            taken.push(begun.elapsed().as_secs_f64());
        }
        self.client.batch_execute("VACUUM ANALYZE users").await?;
        let scan =
            |table: &str| format!("SELECT sum(hashtextextended(t::text, 0)) FROM {table} AS t");
        let legacy = self.timed(&scan("iso_agents")).await?;
        seconds
            .scans
            .push(legacy + self.timed(&scan("users")).await?);
        let begun = Instant::now();
        let report = verify::run(
            &self.url,
            &self.rules,
            "iso_agents",
            &verify::VerifyOptions::default(),
        )
        .await?;
        seconds.verify.push(begun.elapsed().as_secs_f64());
        ensure!(report.clean, "the two sides differ:\n{report}");
        Ok(())
    }

    async fn timed(&self, sql: &str) -> anyhow::Result<f64> {
        let begun = Instant::now();
        self.client.batch_execute(sql).await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    async fn backfill(&self, workers: usize, speed: Speed) -> anyhow::Result<()> {
        let options = BackfillOptions {
            restart: true,
            direction: CopyDirection::LegacyToUnified,
            workers,
            speed,
            drain_timeout: DRAIN,
        };
        backfill::run(&self.url, &self.rules, "iso_agents", &options, &mut |_| {})
            .await
            .context("the backfill")?;
        Ok(())
    }

    /// An application that reads and writes as fast as it is answered, without and with a backfill
    /// under the default throttle, in turns.
    async fn beside_an_application(&self, args: &Args) -> anyhow::Result<String> {
        let dir = readable_dir()?;
        let crossfade = crossfade_binary(args.crossfade.as_deref())?;
        let upstream = self.postgres.address();
        let starter = Starter {
            dir: dir.path(),
            crossfade: &crossfade,
            upstream: &upstream,
        };
        let proxy = starter.crossfade("moving", Phase::DualWrite).await?;
        let script = Script::new(
            Protocol::Prepared,
            "UPDATE iso_agents SET margin_value = 1.5 WHERE id = md5('iso_agent ' || $1::int)::uuid",
            vec![Draw::UpTo(u64::from(args.rows))],
        );
        let time = Duration::from_secs(args.seconds);
        let mut crowd = Crowd::gather(&proxy.address, &script, args.clients, 1).await?;
        let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rows, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            self.tidy().await?;
            crowd.run(Duration::from_secs(1)).await?;
            let quiet = crowd.run(time).await?.per_second();
            let mine = std::process::id();
            let earlier = self.run().await?;
            let copying = self.backfill(self.workers, Speed::default());
            let measured = async {
                self.until_copying(&earlier).await?;
                let before = self.rows_done().await?;
                let begun = Instant::now();
                let busy = crowd.run(time).await?.per_second();
                let copied = (self.rows_done().await? - before) as f64;
                let copied = copied / begun.elapsed().as_secs_f64();
                memory.push(cpu::anonymous_bytes(mine) as f64 / 1_048_576.0);
                self.client
                    .execute("UPDATE crossfade.backfill SET yields = false", &[])
                    .await?;
                anyhow::Ok((busy, copied))
            };
            let (done, measured) = tokio::join!(copying, measured);
            done?;
            let (busy, copied) = measured?;
            self.client
                .execute("UPDATE crossfade.backfill SET yields = true", &[])
                .await?;
            without.push(quiet);
            with.push(busy);
            ratios.push(busy / quiet);
            rows.push(copied);
        }
        let middle = |all: Vec<f64>| median(all.into_iter()).context("no turn was measured");
        Ok(format!(
            "{} clients, updates by key through the proxy in dual_write: {:.0}/s alone, {:.0}/s beside a \
             backfill under the default throttle ({:.0} rows/s), {:.2} of it\n\
             memory of this program, load and backfill together: {:.0} MB\n",
            args.clients,
            middle(without)?,
            middle(with)?,
            middle(rows)?,
            middle(ratios)?,
            middle(memory)?,
        ))
    }

    /// The latest backfill, as text; empty before the first.
    async fn run(&self) -> anyhow::Result<String> {
        let sql = "SELECT coalesce(max(run::text), '') FROM crossfade.backfill";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    /// A backfill begins with the bounds of its parts: what it takes from others is measured once
    /// its first chunk is there.
    async fn until_copying(&self, earlier: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.run().await? == earlier || self.rows_done().await? == 0 {
            ensure!(
                begun.elapsed() < BEGINS_WITHIN,
                "the backfill put no row within {BEGINS_WITHIN:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn rows_done(&self) -> anyhow::Result<i64> {
        let sql = "SELECT coalesce(max(rows_done), 0) FROM crossfade.backfill";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }
}
