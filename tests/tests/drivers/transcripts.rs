//! psql and the drivers of four languages print what they are answered. Through the proxy they must
//! print what they print on the bare server: on ordinary statements always, on the legacy
//! table in every phase.

use std::process::Stdio;

use crossfade_demo::check::sides;
use crossfade_testbed::process::{self, Signal};
use crossfade_tests::control::a_moment;
use crossfade_tests::program::installed;
use crossfade_tests::{Proxy, Transcript, World, java, node, psql, python, sqlx};
use rewrite_rules::Phase;

#[derive(Clone, Copy, Debug)]
enum Driver {
    Psql,
    Psycopg,
    Asyncpg,
    Pg8000,
    Node,
    PostgresJs,
    Jdbc,
    Sqlx,
}

impl Driver {
    async fn run(self, world: &World, script: &str, url: &str) -> Transcript {
        let transcript = match self {
            Driver::Psql => psql(&world.postgres.bin("psql"), &format!("{script}.sql"), url).await,
            Driver::Psycopg => python(&format!("{script}.py"), &[url]).await,
            Driver::Asyncpg => python("with_asyncpg.py", &[script, url]).await,
            Driver::Pg8000 => python("with_pg8000.py", &[script, url]).await,
            Driver::Node => node(&format!("{script}.mjs"), &[url]).await,
            Driver::PostgresJs => node("with_postgres_js.mjs", &[script, url]).await,
            Driver::Jdbc => java("WithJdbc.java", &[script, url]).await,
            Driver::Sqlx => sqlx(&[script, url]).await,
        };
        transcript.unwrap()
    }
}

/// What the script says on the bare server. Twice the same, or it could not be compared.
async fn expected(world: &World, driver: Driver, script: &str) -> Transcript {
    world.database("bare").await.unwrap();
    world.database("bare_again").await.unwrap();
    let transcript = driver.run(world, script, &world.direct_url("bare")).await;
    assert!(
        transcript.succeeded,
        "{driver:?} on the bare server:\n{}{}",
        transcript.output, transcript.errors
    );
    assert!(transcript.output.lines().count() > 20);
    driver
        .run(world, script, &world.direct_url("bare_again"))
        .await
        .assert_same_as(&transcript, "the bare server, again");
    transcript
}

async fn check_ordinary(driver: Driver) {
    let world = World::start().await.unwrap();
    let expected = expected(&world, driver, "ordinary").await;
    for phase in [Phase::LegacyOnly, Phase::UnifiedRead] {
        let proxy = world.in_phase(phase.name(), phase).await.unwrap();
        driver
            .run(&world, "ordinary", &proxy.url())
            .await
            .assert_same_as(&expected, &format!("{driver:?} in {phase}"));
    }
}

async fn check_managed(driver: Driver) {
    let world = World::start().await.unwrap();
    let expected = expected(&world, driver, "managed").await;
    for phase in Phase::ALL {
        let proxy = world.in_phase(phase.name(), phase).await.unwrap();
        driver
            .run(&world, "managed", &proxy.url())
            .await
            .assert_same_as(&expected, &format!("{driver:?} in {phase}"));
        if phase.writes_both() {
            let url = world.postgres.url(phase.name());
            let sides = sides(&world.client(&url).await.unwrap()).await.unwrap();
            assert!(sides.is_clean(), "{driver:?} in {phase} left {sides:?}");
            assert!(sides.compared > 300);
        }
    }
}

#[tokio::test]
async fn psql_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Psql).await;
}

#[tokio::test]
async fn psql_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::Psql).await;
}

#[tokio::test]
async fn psycopg_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Psycopg).await;
}

#[tokio::test]
async fn psycopg_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::Psycopg).await;
}

#[tokio::test]
async fn node_postgres_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Node).await;
}

#[tokio::test]
async fn node_postgres_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::Node).await;
}

#[tokio::test]
async fn asyncpg_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Asyncpg).await;
}

#[tokio::test]
async fn asyncpg_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::Asyncpg).await;
}

#[tokio::test]
async fn pg8000_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Pg8000).await;
}

#[tokio::test]
async fn pg8000_sees_the_legacy_table_in_every_phase_also_where_it_copies() {
    check_managed(Driver::Pg8000).await;
}

#[tokio::test]
async fn postgres_js_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::PostgresJs).await;
}

#[tokio::test]
async fn postgres_js_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::PostgresJs).await;
}

#[tokio::test]
async fn jdbc_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Jdbc).await;
}

#[tokio::test]
async fn jdbc_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::Jdbc).await;
}

#[tokio::test]
async fn sqlx_does_not_notice_the_proxy_on_ordinary_statements() {
    check_ordinary(Driver::Sqlx).await;
}

#[tokio::test]
async fn sqlx_sees_the_legacy_table_in_every_phase() {
    check_managed(Driver::Sqlx).await;
}

#[tokio::test]
async fn psqls_own_commands_show_the_catalogue_as_it_is() {
    let world = World::start().await.unwrap();
    let expected = expected(&world, Driver::Psql, "psql_commands").await;
    // A seal is what the database would have more, and psql shows it.
    let proxy = world.unsealed("dual", Phase::DualWrite).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    Driver::Psql
        .run(&world, "psql_commands", &proxy.url())
        .await
        .assert_same_as(&expected, "psql's commands");
}

/// psql repeats a statement until it is interrupted: what it prints when that happens while the
/// statement runs.
async fn watch_and_interrupt(world: &World, database: &str, url: &str) -> Transcript {
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = "SELECT 'before';\nSELECT 'tick', pg_sleep(600) \\watch 1\n";
    std::fs::write(file.path(), script).unwrap();
    let program = installed(&world.postgres.bin("psql"));
    let mut command = tokio::process::Command::new(program);
    command.args(["--no-psqlrc", "--file"]).arg(file.path());
    let psql = command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let watcher = world.client(&world.postgres.url(database)).await.unwrap();
    let asleep = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep'";
    while watcher
        .query(asleep, &[&database])
        .await
        .unwrap()
        .is_empty()
    {
        a_moment().await;
    }
    process::send(psql.id().unwrap(), Signal::Interrupt).unwrap();
    let output = psql.wait_with_output().await.unwrap();
    let name = file.path().display().to_string();
    Transcript {
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).replace(&name, "script"),
        succeeded: output.status.success(),
    }
}

#[tokio::test]
async fn an_interrupted_watch_of_psql_cancels_its_statement() {
    let world = World::start().await.unwrap();
    world.database("bare").await.unwrap();
    let proxy = world.in_phase("dual", Phase::DualWrite).await.unwrap();
    let straight = watch_and_interrupt(&world, "bare", &world.direct_url("bare")).await;
    assert!(
        straight.errors.contains("canceling statement"),
        "{straight:?}"
    );
    assert!(straight.output.contains("before"), "{straight:?}");
    watch_and_interrupt(&world, "dual", &proxy.url())
        .await
        .assert_same_as(&straight, "an interrupted \\watch");
}

#[tokio::test]
async fn a_wrong_password_is_refused_in_the_servers_words() {
    let world = World::start().await.unwrap();
    world.database("bare").await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, "bare", "")
        .unwrap()
        .serve()
        .await
        .unwrap();
    let program = world.postgres.bin("psql");
    let direct = psql(
        &program,
        "ordinary.sql",
        &world.postgres.url_as("app:wrong", "bare"),
    )
    .await
    .unwrap();
    let mut proxied = psql(&program, "ordinary.sql", &proxy.url_as("app:wrong", "bare"))
        .await
        .unwrap();
    assert!(direct.errors.contains("password authentication failed"));
    // psql names the port that it connected to.
    proxied.errors = proxied
        .errors
        .replace(&proxy.port.to_string(), &world.postgres.port.to_string());
    proxied.assert_same_as(&direct, "a wrong password");
}
