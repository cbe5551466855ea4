//! Unnamed statements through a proxy that keeps them prepared, and straight: the answers are
//! the same, whatever happens between two sights of a text.

use crossfade::config::Config;
use crossfade::server::Server;
use crossfade::testbed::Postgres;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::{Message, RawClient};

/// The same client twice: straight, and through a proxy that keeps statements.
struct Pair {
    direct: RawClient,
    through: RawClient,
    /// Does what other sessions do.
    other: RawClient,
    postgres: Postgres,
}

/// A proxy in this process that ends with it; gives its port.
async fn proxy(postgres: &Postgres, statements: usize) -> anyhow::Result<u16> {
    let mut config = Config::default();
    config.listen.0 = "127.0.0.1:0".to_owned();
    config.upstream.0 = postgres.address();
    config.cache.statements = statements;
    let server = Server::bind(config).await?;
    let address: std::net::SocketAddr = server.local_addr().parse()?;
    tokio::spawn(server.run(std::future::pending()));
    Ok(address.port())
}

impl Pair {
    async fn start() -> anyhow::Result<Pair> {
        let postgres = Postgres::start().await?;
        let port = proxy(&postgres, 100).await?;
        Ok(Pair {
            direct: RawClient::connect(postgres.port, "postgres").await?,
            through: RawClient::connect(port, "postgres").await?,
            other: RawClient::connect(postgres.port, "postgres").await?,
            postgres,
        })
    }

    /// One statement by the extended protocol on both sides.
    async fn same(&mut self, sql: &str, values: &[Option<&str>]) -> anyhow::Result<Vec<String>> {
        let expected = comparable(&self.direct.extended(sql, values).await?);
        let got = comparable(&self.through.extended(sql, values).await?);
        anyhow::ensure!(expected == got, "{sql}\n{expected:#?}\n{got:#?}");
        Ok(got)
    }

    /// The text often enough to be kept, if it may be.
    async fn kept(&mut self, sql: &str, values: &[Option<&str>]) -> anyhow::Result<()> {
        for _ in 0..4 {
            self.same(sql, values).await?;
        }
        Ok(())
    }

    async fn simple(&mut self, sql: &str) -> anyhow::Result<()> {
        let expected = comparable(&self.direct.simple(sql).await?);
        let got = comparable(&self.through.simple(sql).await?);
        anyhow::ensure!(expected == got, "{sql}\n{expected:#?}\n{got:#?}");
        Ok(())
    }

    async fn elsewhere(&mut self, sql: &str) -> anyhow::Result<()> {
        let answer = self.other.simple(sql).await?;
        anyhow::ensure!(!is_error(&answer), "{sql}: {:?}", comparable(&answer));
        Ok(())
    }

    /// How many statements the proxy's session has prepared under names of its own.
    async fn kept_count(&mut self) -> anyhow::Result<String> {
        let sql = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'cf\\_%'";
        let answer = self.through.simple(sql).await?;
        let row = answer.iter().find(|message| message.tag == b'D');
        let value = row.and_then(|row| row.values().into_iter().next().flatten());
        value.ok_or_else(|| anyhow::anyhow!("no count"))
    }
}

fn is_error(answer: &[Message]) -> bool {
    answer.iter().any(|message| message.tag == b'E')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_sent_often_is_prepared_once() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    for n in ["1", "2", "3", "4", "5", "6", "7"] {
        pair.same("SELECT $1::int + 1", &[Some(n)]).await?;
    }
    pair.same("SELECT $1::int + 1", &[None]).await?;
    pair.same("SELECT $1::int + 1", &[Some("no number")])
        .await?;
    pair.same("SELECT $1::int + 1", &[]).await?;
    pair.same("SELECT $1::int + 1", &[Some("1")]).await?;
    assert_eq!(pair.kept_count().await?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn literals_follow_the_settings_under_which_they_are_sent() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let texts = [
        "SELECT extract(month FROM '01/02/2020'::date)",
        "SELECT extract(epoch FROM '2020-01-01 00:00'::timestamptz)",
        "SELECT extract(epoch FROM '-1 2:03'::interval)",
        "SELECT '{NULL}'::text[] IS NOT DISTINCT FROM ARRAY[NULL]::text[]",
        "SELECT 1 WHERE NULL = NULL",
    ];
    for text in texts {
        pair.kept(text, &[]).await?;
    }
    pair.elsewhere(
        "CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS
         'BEGIN PERFORM set_config(''TimeZone'', ''Asia/Tokyo'', false); END'",
    )
    .await?;
    for change in [
        "SET DateStyle = 'SQL, DMY'",
        "SET TimeZone = 'America/New_York'",
        "SET IntervalStyle = 'sql_standard'",
        "SET array_nulls = off",
        "SET transform_null_equals = on",
        "SELECT set_config('DateStyle', 'SQL, MDY', false)",
        "RESET DateStyle",
        "BEGIN; SET LOCAL DateStyle = 'SQL, DMY'",
        "ROLLBACK",
        "BEGIN",
        "SAVEPOINT s",
        "SET TimeZone = 'Asia/Tokyo'",
        "ROLLBACK TO s",
        "SET LOCAL TimeZone = 'Asia/Tokyo'",
        "COMMIT",
        "DISCARD ALL",
    ] {
        pair.simple(change).await?;
        for text in texts {
            pair.kept(text, &[]).await?;
        }
    }
    // The same by the extended protocol, and where no text tells.
    for change in ["SET DateStyle = 'SQL, DMY'", "SELECT hidden()", "RESET ALL"] {
        pair.same(change, &[]).await?;
        for text in texts {
            pair.kept(text, &[]).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_in_a_literal_is_the_moment_of_its_sending() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    for text in [
        "SELECT 'now'::timestamptz(6)::text",
        "SELECT ' NOW '::timestamptz(6)::text",
        "SELECT 'now()'::timestamptz(6)::text",
        "SELECT E'\\x6eow'::timestamptz(6)::text",
        "SELECT 'no'\n'w'::timestamptz(6)::text",
        "SELECT $a$now$a$::timestamptz(6)::text",
    ] {
        let mut before = Vec::new();
        for _ in 0..4 {
            let now = comparable(&pair.through.extended(text, &[]).await?);
            assert!(now.iter().any(|line| line.starts_with('D')), "{now:?}");
            assert_ne!(now, before, "{text}");
            before = now;
        }
    }
    assert_eq!(pair.kept_count().await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_follow_the_search_path_and_new_tables() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere(
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE SCHEMA s;
         CREATE TABLE s.t (a text); INSERT INTO s.t VALUES ('other')",
    )
    .await?;
    let text = "SELECT a FROM t";
    pair.kept(text, &[]).await?;
    for change in [
        "SET search_path = s, public",
        "RESET search_path",
        "BEGIN",
        "SELECT set_config('search_path', 's', true)",
        "ROLLBACK",
        "CREATE TEMP TABLE t (a bool)",
        "INSERT INTO t VALUES (true)",
        "DROP TABLE t",
        "SELECT 7 AS a INTO TEMP t",
        "DISCARD TEMP",
    ] {
        pair.simple(change).await?;
        pair.kept(text, &[]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_sessions_do_to_a_table_is_seen_outside_a_transaction() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2)")
        .await?;
    let texts = [
        "SELECT * FROM t",
        "SELECT a FROM t",
        "UPDATE t SET b = b RETURNING *",
    ];
    for text in texts {
        pair.kept(text, &[]).await?;
    }
    assert_eq!(pair.kept_count().await?, "3");
    for change in [
        "ALTER TABLE t ADD c text DEFAULT 'new'",
        "ALTER TABLE t ALTER a TYPE bigint",
        "ALTER TABLE t RENAME a TO z",
        "ALTER TABLE t RENAME z TO a",
        "ALTER TABLE t DROP b",
        "DROP TABLE t",
        "CREATE TABLE t (a int, b int)",
    ] {
        pair.elsewhere(change).await?;
        for text in texts {
            pair.kept(text, &[]).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_list_of_columns_may_change_within_a_transaction() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere("CREATE TABLE t (a int)").await?;
    pair.kept("SELECT * FROM t", &[]).await?;
    pair.simple("BEGIN").await?;
    pair.elsewhere("ALTER TABLE t ADD b int").await?;
    pair.same("SELECT * FROM t", &[]).await?;
    pair.simple("COMMIT").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_deallocated_behind_the_scenes_are_prepared_again() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let text = "SELECT $1::text";
    for end in ["DEALLOCATE ALL", "DISCARD ALL", "SELECT 1; DEALLOCATE ALL"] {
        pair.kept(text, &[Some("x")]).await?;
        pair.simple(end).await?;
        pair.kept(text, &[Some("y")]).await?;
    }
    pair.simple(
        "CREATE FUNCTION pg_temp.hidden() RETURNS void LANGUAGE plpgsql AS
         $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    )
    .await?;
    pair.kept(text, &[Some("x")]).await?;
    pair.simple("SELECT pg_temp.hidden()").await?;
    pair.kept(text, &[Some("y")]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_transaction_fails_the_same_way() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let text = "SELECT $1::int";
    pair.kept(text, &[Some("1")]).await?;
    pair.simple("BEGIN").await?;
    pair.same(text, &[Some("2")]).await?;
    pair.same(text, &[Some("x")]).await?;
    pair.same(text, &[Some("3")]).await?;
    pair.same("ROLLBACK", &[]).await?;
    pair.kept(text, &[Some("4")]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_holds_no_more_than_the_limit() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    for round in 0..3 {
        for n in 0..130 {
            let sql = format!("SELECT {n} WHERE $1::int = {round}");
            let value = round.to_string();
            pair.same(&sql, &[Some(&value)]).await?;
            pair.same(&sql, &[Some("9")]).await?;
        }
    }
    // What has been displaced last is closed with the next statement.
    let count: usize = pair.kept_count().await?.parse()?;
    assert!((90..=100).contains(&count), "{count}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_switched_off_keeps_nothing() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let port = proxy(&pair.postgres, 0).await?;
    pair.through = RawClient::connect(port, "postgres").await?;
    pair.kept("SELECT $1::int", &[Some("1")]).await?;
    assert_eq!(pair.kept_count().await?, "0");
    Ok(())
}
