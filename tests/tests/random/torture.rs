//! The torture test: clients that remember, and an operator who does not spare them.
//!
//! `CROSSFADE_SEED` replays a seed, `CROSSFADE_TORTURE_SECONDS` makes it last, for hours if need be
//! (`cargo nextest run --profile torture` sets no limit to it).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossfade_demo::dice::Dice;
use crossfade_testbed::Auth;
use crossfade_tests::cut::Cuttable;
use crossfade_tests::torture::Board;
use crossfade_tests::torture::act::{Act, Answer};
use crossfade_tests::torture::client::{Role, Tortured};
use crossfade_tests::torture::dependents::{COLUMNS, Table};
use crossfade_tests::torture::model::{Line, Name};
use crossfade_tests::torture::operator::{DATABASE, Deeds, Operator, STEPS_MIN};
use crossfade_tests::torture::tables::Tables;
use crossfade_tests::world::{PASSWORD, USER};
use crossfade_tests::{Proxy, World};
use tokio_postgres::Client;

const CLIENTS: usize = 8;
/// Of these, those that connect as a role which owns nothing.
const SECOND: usize = 2;
const SECOND_ROLE: &str = "aide";
/// Long enough for every kind of event a few times over.
const SECONDS: u64 = 20;
/// More than a first chunk, so that a backfill lasts.
const MORE_AGENTS: u32 = 12_000;
/// Beside the rows of the fixture; a step is dearer than a column.
const MORE_SETTINGS: u32 = 500;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Proxies before one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxies {
    Two,
    /// Three, of which those behind the first can be cut off.
    Fleet,
}

async fn torture_for_a_while(tables: Tables, proxies: Proxies) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = variable("CROSSFADE_SEED").unwrap_or_else(|| now.unwrap().subsec_nanos().into());
    let seconds = variable("CROSSFADE_TORTURE_SECONDS").unwrap_or(SECONDS);
    torture_with(tables, proxies, seed, Duration::from_secs(seconds), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_forbidden_whatever_is_killed_when() {
    torture_for_a_while(Tables::ByColumns, Proxies::Two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_forbidden_where_rows_are_split() {
    torture_for_a_while(Tables::BySteps, Proxies::Two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_a_fleet_is_stopped_cut_off_and_told_twice() {
    torture_for_a_while(Tables::ByColumns, Proxies::Fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_where_a_fleet_serves_rows_that_are_split() {
    torture_for_a_while(Tables::BySteps, Proxies::Fleet).await;
}

/// Seeds that once led to a wrong answer, each for as long as it took.
///
/// The order in which the machine does what a seed decides is the machine's, so such a seed is
/// likely, not sure, to meet the same again; what it met has a test of its own elsewhere.
const FOUND: [(Tables, u64, Duration); 2] = [
    // A row that unified_only had removed was in the way of an INSERT in unified_read.
    (Tables::ByColumns, 23, Duration::from_secs(8)),
    // A proxy that started while the rule file was edited served the old phase for good.
    (Tables::ByColumns, 204, Duration::from_secs(8)),
];

#[tokio::test(flavor = "multi_thread")]
async fn seeds_that_once_led_to_a_wrong_answer_no_longer_do() {
    for (tables, seed, time) in FOUND {
        torture(tables, seed, time).await;
    }
}

/// Triggers that let a write go by now and then, as a bug would, unseen by whoever wrote it.
const PLANTED: [(Tables, &str); 3] = [
    // One in so many updates of a unified row.
    (
        Tables::ByColumns,
        "CREATE FUNCTION loses() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF random() < 0.01 THEN RETURN OLD; END IF; RETURN NEW; END'; \
         CREATE TRIGGER loses BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION loses()",
    ),
    // A deleted row that stays.
    (
        Tables::ByColumns,
        "CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF random() < 0.05 THEN RETURN NULL; END IF; RETURN OLD; END'; \
         CREATE TRIGGER keeps BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION keeps()",
    ),
    // What unified leads to does not come to legacy.
    (
        Tables::BySteps,
        "CREATE FUNCTION lags() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF random() < 0.01 THEN NEW.language := OLD.language; END IF; RETURN NEW; END'; \
         CREATE TRIGGER lags BEFORE UPDATE ON user_settings FOR EACH ROW EXECUTE FUNCTION lags()",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_found() {
    for (tables, fault) in PLANTED {
        let time = Duration::from_secs(SECONDS);
        let run = tokio::spawn(torture_with(tables, Proxies::Two, 1, time, fault)).await;
        let why = run.expect_err(fault).into_panic();
        let told = why.downcast_ref::<String>().cloned().unwrap_or_default();
        // What was judged, not what broke.
        assert!(told.contains("seed 1"), "{fault}: {told}");
        println!("{}", told.lines().next().unwrap_or_default());
    }
}

async fn torture(tables: Tables, seed: u64, time: Duration) {
    torture_with(tables, Proxies::Two, seed, time, "").await;
}

async fn torture_with(tables: Tables, proxies: Proxies, seed: u64, time: Duration, fault: &str) {
    println!("CROSSFADE_SEED={seed}");
    let world = World::start_with(&[
        // What was acknowledged must survive an immediate shutdown.
        ("synchronous_commit", "on"),
        ("deadlock_timeout", "100ms"),
    ])
    .await
    .unwrap();
    world.database(DATABASE).await.unwrap();
    let created = world
        .postgres
        .create_user(SECOND_ROLE, PASSWORD, Auth::Scram);
    created.await.unwrap();
    let owner = world.client(&world.direct_url(DATABASE)).await.unwrap();
    let more = match tables {
        Tables::ByColumns => MORE_AGENTS,
        Tables::BySteps => MORE_SETTINGS,
    };
    tables.fill(&owner, more, SECOND_ROLE).await.unwrap();
    owner.batch_execute(fault).await.unwrap();
    drop(owner);
    let first = Proxy::with_config(&world.postgres, DATABASE, "").unwrap();
    first
        .write_rules(tables.migration(), &tables.rules())
        .unwrap();
    let mut lines = Vec::new();
    let mut others = vec![first.beside(&world.postgres).unwrap()];
    if proxies == Proxies::Fleet {
        others.push(first.beside(&world.postgres).unwrap());
        for other in &others {
            let line = Cuttable::to(world.postgres.port).await.unwrap();
            other.control_by(line.port).unwrap();
            lines.push(line);
        }
    }
    let mut proxies = vec![first.serve().await.unwrap()];
    for other in others {
        proxies.push(other.serve().await.unwrap());
    }

    let board = Arc::new(Board::default());
    let direct_url = world.postgres.url(DATABASE);
    let mut dice = Dice::new(seed);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (role, user) = match number < CLIENTS - SECOND {
                true => (Role::Owner, USER),
                false => (Role::Second, SECOND_ROLE),
            };
            let proxy = &proxies[number % proxies.len()];
            let url = proxy.url_as(&format!("{user}:{PASSWORD}"), DATABASE);
            let (direct_url, board) = (direct_url.clone(), Arc::clone(&board));
            let seed = dice.throw();
            let client = Tortured::new(number, tables, role, url, direct_url, board, seed);
            tokio::spawn(client.run())
        })
        .collect();
    let mut operator = Operator {
        tables,
        world,
        proxies,
        lines,
        board: Arc::clone(&board),
        dice,
        deeds: Deeds::default(),
        backfill: None,
        complete: false,
    };
    let operated = operator.run(time).await;
    let settled = match operated {
        Ok(()) => operator.settle().await,
        failed => failed,
    };
    board.stopping.store(true, Ordering::SeqCst);
    let mut known = Vec::new();
    for client in clients {
        known.push(client.await.unwrap());
    }
    println!("{}", operator.tell());
    let logs = || -> String { operator.proxies.iter().map(Proxy::log).collect() };
    assert!(
        board.wrongs().is_empty(),
        "seed {seed}: {}\nthe operator:\n{}\n{}",
        board.wrongs().join("\n"),
        board.noted(),
        logs()
    );
    if let Err(error) = settled {
        panic!(
            "seed {seed}: {error:#}\nthe operator:\n{}\n{}",
            board.noted(),
            logs()
        );
    }

    let direct = operator.world.client(&direct_url).await.unwrap();
    for client in &mut known {
        if let Err(what) = both_sides_know_it(&direct, client).await {
            let beside = operator.beside_the_rows().await;
            panic!(
                "seed {seed}: {what}\n{beside}\nthe client:\n{}",
                client.trail()
            );
        }
    }
    nobody_is_orphaned(&direct, tables, seed).await;
    for (row, shared) in board.shared.iter().enumerate() {
        let least = shared.acknowledged.load(Ordering::SeqCst);
        let most = least + shared.unknown.load(Ordering::SeqCst);
        for name in [Name::Legacy, Name::Unified] {
            let sql = tables.shared_margin(name, row);
            let value: i64 = direct.query_one(&sql, &[]).await.unwrap().get(0);
            let value = u64::try_from(value).unwrap();
            assert!(
                (least..=most).contains(&value),
                "seed {seed}: {sql}: {value} is not within {least} and {most}"
            );
        }
    }
    println!("divergence 0, and every acknowledged write on both sides");
    // What was asked for has happened, or the run proves nothing.
    assert!(operator.deeds.steps > STEPS_MIN, "{:?}", operator.deeds);
    for refused in [&board.figures.referred_to, &board.figures.forbidden] {
        assert!(refused.load(Ordering::SeqCst) > 0, "{:?}", board.figures);
    }
}

/// The tables themselves, past the proxies: legacy has followed, and unified led.
async fn both_sides_know_it(direct: &Client, client: &mut Tortured) -> Result<(), String> {
    let tables = client.tables;
    for act in [
        Act::ReadAll { name: Name::Legacy },
        Act::ReadAll {
            name: Name::Unified,
        },
        Act::ReadDependents {
            table: Table::Errands,
        },
        Act::ReadDependents {
            table: Table::Pledges,
        },
    ] {
        let (sql, values) = act.sql(tables, client.number);
        let mut answers = Vec::new();
        for sql in [sql.clone(), sql.replace("pledges", "promises")] {
            answers.push((read(direct, &sql, &values[0]).await, sql));
        }
        for (answer, sql) in &answers {
            let step = |world: &mut _| act.happens(tables, world, answer);
            if let Err(so) = client.model.step(step) {
                return Err(format!("{sql} has {answer:?}: {so}\nboth: {answers:?}"));
            }
        }
    }
    Ok(())
}

async fn nobody_is_orphaned(direct: &Client, tables: Tables, seed: u64) {
    let (legacy, unified) = (tables.table(Name::Legacy), tables.table(Name::Unified));
    for (child, parent) in [
        ("errands", legacy),
        ("errands", unified),
        ("pledges", legacy),
        ("promises", unified),
    ] {
        for (column, _) in COLUMNS {
            let sql = format!(
                "SELECT count(*) FROM {child} AS d WHERE d.{column} IS NOT NULL \
                 AND NOT EXISTS (SELECT FROM {parent} AS t WHERE t.id = d.{column})"
            );
            let orphans: i64 = direct.query_one(&sql, &[]).await.unwrap().get(0);
            assert_eq!(orphans, 0, "seed {seed}: {sql}");
        }
    }
}

async fn read(direct: &Client, sql: &str, value: &str) -> Answer {
    let rows = direct.query(sql, &[&value]).await.unwrap();
    let rows: Vec<Line> = rows
        .iter()
        .map(|row| (0..row.len()).map(|column| row.get(column)).collect())
        .collect();
    Answer {
        count: rows.len() as u64,
        rows,
    }
}
