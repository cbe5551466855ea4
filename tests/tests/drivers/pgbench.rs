//! pgbench through the proxy: its three protocols, several clients, on its own tables and on
//! the legacy table of a migration.

use std::path::Path;
use std::process::Output;

use crossfade_tests::World;
use crossfade_tests::program::installed;
use rewrite_rules::Phase;

const CLIENTS: usize = 4;
const TRANSACTIONS: usize = 50;

async fn pgbench(program: &Path, args: &[&str], url: &str) -> Output {
    let output = tokio::process::Command::new(installed(program))
        .args(args)
        .arg(url)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "pgbench {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn assert_all_done(output: &Output, protocol: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let total = CLIENTS * TRANSACTIONS;
    assert!(
        text.contains(&format!(
            "number of transactions actually processed: {total}/{total}"
        )),
        "{protocol}: {text}"
    );
    assert!(
        !text.contains("failed transactions: 1"),
        "{protocol}: {text}"
    );
}

#[tokio::test]
async fn pgbench_runs_in_all_three_protocols() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("bench", Phase::DualWrite).await.unwrap();
    let program = world.postgres.bin("pgbench");
    // Fills its tables by COPY.
    pgbench(&program, &["-i", "-q", "-s", "1"], &proxy.url()).await;
    for protocol in ["simple", "extended", "prepared"] {
        let clients = CLIENTS.to_string();
        let transactions = TRANSACTIONS.to_string();
        let output = pgbench(
            &program,
            &["-n", "-c", &clients, "-t", &transactions, "-M", protocol],
            &proxy.url(),
        )
        .await;
        assert_all_done(&output, protocol);
    }
    let client = proxy.client().await.unwrap();
    let row = client
        .query_one("SELECT count(*), sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts) FROM pgbench_history", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 3 * 200);
    assert!(row.get::<_, bool>(1), "the accounts do not add up");
}

/// A read, an update and a row that comes and goes.
const SCRIPT: &str = "\
\\set n random(1, 300)
SELECT full_name, role FROM iso_agents WHERE clerk_user_id = 'user_' || :n;
UPDATE iso_agents SET margin_value = coalesce(margin_value, 0) + 1 WHERE clerk_user_id = 'user_' || :n;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('bench_' || :client_id, 'bench.' || :client_id || '@example.com', 'Bench');
DELETE FROM iso_agents WHERE clerk_user_id = 'bench_' || :client_id;
";

#[tokio::test]
async fn pgbench_on_the_legacy_table_leaves_both_sides_equal() {
    let world = World::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SCRIPT).unwrap();
    let script = file.path().to_str().unwrap();
    let program = world.postgres.bin("pgbench");
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let proxy = world.in_phase(phase.name(), phase).await.unwrap();
        let operator = world
            .client(&world.postgres.url(phase.name()))
            .await
            .unwrap();
        let sum = "SELECT sum(margin_value)::int8 FROM iso_agents";
        let before: i64 = operator.query_one(sum, &[]).await.unwrap().get(0);
        for protocol in ["simple", "extended", "prepared"] {
            let clients = CLIENTS.to_string();
            let transactions = TRANSACTIONS.to_string();
            let output = pgbench(
                &program,
                &[
                    "-n",
                    "-f",
                    script,
                    "-c",
                    &clients,
                    "-t",
                    &transactions,
                    "-M",
                    protocol,
                ],
                &proxy.url(),
            )
            .await;
            assert_all_done(&output, protocol);
        }
        let after: i64 = operator.query_one(sum, &[]).await.unwrap().get(0);
        // NULL margins become numbers: at least every update is there.
        assert!(after - before >= 3 * 200, "{phase}: {before} to {after}");
        let sides = crossfade_demo::check::sides(&operator).await.unwrap();
        assert!(sides.is_clean(), "{phase}: {sides:?}");
        assert_eq!(sides.compared, 301);
    }
}
