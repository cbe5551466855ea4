//! Texts that differ in comments alone are one text, to the rules and to the server that has it prepared; and what a
//! client is told of each is told of its own.
//!
//! `CROSSFADE_SEED` begins at another case, `CROSSFADE_COMMENT_CASES` sets how many there are.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::generate::{self, Choices};
use crossfade_tests::properties::{comments, reader};
use crossfade_tests::raw::RawClient;
use rewrite_rules::{Phase, SearchPath};

const SEED: u64 = 90_000;
const CASES: u64 = 40;
/// The newest syntax that the grammar writes.
const SERVER: u32 = 18;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_statements_are_read_alike_with_comments_and_without() {
    let first = number("CROSSFADE_SEED", SEED);
    for seed in first..first + number("CROSSFADE_COMMENT_CASES", CASES) {
        println!("CROSSFADE_SEED={seed}");
        let case = generate::case(&mut Choices::seeded(SERVER, seed));
        let mut choices = Choices::seeded(SERVER, !seed);
        for statement in &case.statements {
            for phase in Phase::ALL {
                let rules = reader::rules(phase as u8);
                let path = SearchPath::AsDeclared;
                comments::check_text(rules, &statement.sql, path, &mut choices);
            }
        }
    }
}

/// Statements on the managed table, with parameters, of which some fail: at their Parse, or at a value.
const STATEMENTS: [(&str, &[&str]); 8] = [
    (
        "SELECT id, email FROM iso_agents WHERE email = $1",
        &["agent.2@example.com"],
    ),
    (
        "SELECT a.email, a.nosuch FROM iso_agents a WHERE a.email = $1",
        &["agent.2@example.com"],
    ),
    (
        "SELECT count(*) FROM iso_agents WHERE role = $1::user_role",
        &["admin"],
    ),
    (
        "SELECT count(*) FROM iso_agents WHERE role = $1::user_role",
        &["nobody"],
    ),
    (
        "UPDATE iso_agents SET full_name = $1 WHERE email = 'agent.3@example.com' RETURNING email, full_name",
        &["x"],
    ),
    (
        "UPDATE iso_agents SET nosuch = $1 WHERE email = 'agent.3@example.com'",
        &["x"],
    ),
    ("SELECT 1 + nosuch FROM pg_class WHERE relname = $1", &["x"]),
    (
        "SELECT relname FROM pg_class WHERE relname = $1",
        &["pg_class"],
    ),
];

async fn answers_alike(phase: Phase, forward: &str) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let more = format!("[cache]\nstatements = 100\n[comments]\nforward = \"{forward}\"\n");
    let proxy = world.in_phase_with("moved", phase, &more).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    let mut choices = Choices::seeded(SERVER, SEED + phase as u64);
    for round in 0..4 {
        for (sql, values) in STATEMENTS {
            let text = comments::commented(sql, &mut choices).unwrap_or_else(|| sql.to_owned());
            // Also one that sqlcommenter would write, so that each is kept.
            for text in [text, format!("{sql} /*traceparent='00-{round}'*/")] {
                let values: Vec<Option<&str>> = values.iter().map(|value| Some(*value)).collect();
                let expected = comparable(&straight.extended(&text, &values).await?);
                let found = comparable(&through.extended(&text, &values).await?);
                assert_eq!(found, expected, "{phase}, {forward}: {text}");
            }
            let simple = sql.replace("$1", "'x'");
            let simple = comments::commented(&simple, &mut choices).unwrap_or(simple);
            let expected = comparable(&straight.simple(&simple).await?);
            let found = comparable(&through.simple(&simple).await?);
            assert_eq!(found, expected, "{phase}, {forward}: {simple}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_positions_of_errors_are_the_servers() -> anyhow::Result<()> {
    answers_alike(Phase::DualWrite, "sampled").await?;
    answers_alike(Phase::DualRead, "sampled").await?;
    answers_alike(Phase::UnifiedRead, "sampled").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_are_where_no_comment_or_each_goes_to_the_server() -> anyhow::Result<()> {
    answers_alike(Phase::DualRead, "never").await?;
    answers_alike(Phase::DualRead, "always").await
}
