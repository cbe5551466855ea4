//! Unnamed statements through a proxy that keeps them prepared, and straight: the answers are
//! the same, whatever happens between two sights of a text.

use crossfade::config::Config;
use crossfade::server::Server;
use crossfade::session::CacheLimits;
use crossfade_testbed::Postgres;
use crossfade_tests::answer::comparable;
use crossfade_tests::protocol_scripts::messages::{bind, call, describe, execute, parse, sync};
use crossfade_tests::raw::{Message, RawClient};

/// What most drivers send for a statement with values.
fn unnamed(sql: &str, values: &[Option<&str>]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(|v| v.map(str::as_bytes)).collect();
    [
        parse("", sql),
        bind("", "", &values, 0),
        describe('P', ""),
        execute("", 0),
        sync(),
    ]
    .concat()
}

/// The same client twice: straight, and through a proxy that keeps statements.
struct Pair {
    direct: RawClient,
    through: RawClient,
    /// Does what other sessions do.
    other: RawClient,
    postgres: Postgres,
}

/// A proxy in this process that ends with it; gives its port.
async fn proxy(postgres: &Postgres, statements: usize, executions: u32) -> anyhow::Result<u16> {
    let mut config = Config::default();
    config.listen.0 = "127.0.0.1:0".to_owned();
    config.upstream.0 = postgres.address();
    config.cache.statements = statements;
    config.cache.executions = executions;
    let server = Server::bind(config).await?;
    let address: std::net::SocketAddr = server.local_addr().parse()?;
    tokio::spawn(server.run(std::future::pending()));
    Ok(address.port())
}

impl Pair {
    async fn start() -> anyhow::Result<Pair> {
        Pair::with_executions(CacheLimits::OFF.executions).await
    }

    async fn with_executions(executions: u32) -> anyhow::Result<Pair> {
        let postgres = Postgres::start().await?;
        let port = proxy(&postgres, 100, executions).await?;
        let mut pair = Pair {
            direct: RawClient::connect(postgres.port, "postgres").await?,
            through: RawClient::connect(port, "postgres").await?,
            other: RawClient::connect(postgres.port, "postgres").await?,
            postgres,
        };
        // The view's own name would have the proxy take its statements away first.
        pair.elsewhere(
            "CREATE FUNCTION kept() RETURNS bigint LANGUAGE sql AS
             'SELECT count(*) FROM pg_prepared_statements WHERE name LIKE ''cf\\_%'''",
        )
        .await?;
        Ok(pair)
    }

    /// One statement by the extended protocol on both sides.
    async fn same(&mut self, sql: &str, values: &[Option<&str>]) -> anyhow::Result<Vec<String>> {
        self.same_answers(sql, &unnamed(sql, values)).await
    }

    /// Messages that end in a Sync on both sides.
    async fn same_answers(&mut self, what: &str, sent: &[u8]) -> anyhow::Result<Vec<String>> {
        self.direct.send(sent).await?;
        self.through.send(sent).await?;
        let expected = comparable(&self.direct.until_ready().await?);
        let got = comparable(&self.through.until_ready().await?);
        anyhow::ensure!(expected == got, "{what}\n{expected:#?}\n{got:#?}");
        Ok(got)
    }

    async fn through_only(
        &mut self,
        sql: &str,
        values: &[Option<&str>],
    ) -> anyhow::Result<Vec<String>> {
        self.through.send(&unnamed(sql, values)).await?;
        Ok(comparable(&self.through.until_ready().await?))
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
        self.value("SELECT kept()").await
    }

    /// The first value that the proxy's session is answered.
    async fn value(&mut self, sql: &str) -> anyhow::Result<String> {
        let answer = self.through.simple(sql).await?;
        let row = answer.iter().find(|message| message.tag == b'D');
        let value = row.and_then(|row| row.values().into_iter().next().flatten());
        value.ok_or_else(|| anyhow::anyhow!("{sql}: no value"))
    }
}

fn says(answer: &[String], word: &str) -> bool {
    answer.iter().any(|line| line.contains(word))
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
async fn texts_that_differ_in_trace_comments_alone_are_one_statement_of_the_server()
-> anyhow::Result<()> {
    let mut pair = Pair::with_executions(1000).await?;
    pair.elsewhere(
        "CREATE FUNCTION run() RETURNS text LANGUAGE sql AS
         $$SELECT string_agg(statement || ' × ' || custom_plans + generic_plans, '; ')
           FROM pg_prepared_statements WHERE name ^@ 'cf_'$$",
    )
    .await?;
    let text = "SELECT $1::int + 1";
    for trace in 0..50 {
        let value = trace.to_string();
        let traced = format!("/* é {trace} */ {text} /*traceparent='00-{trace}-01'*/");
        pair.same(&traced, &[Some(&value)]).await?;
        // The same comment each time, as some tools write it, is another's.
        let named = "-- name: Two :one\nSELECT $1::int + 2";
        pair.same(named, &[Some(&value)]).await?;
        pair.same(&traced, &[Some("no number")]).await?;
    }
    let run = pair.value("SELECT run()").await?;
    assert!(run.contains(&format!("{text} × ")), "{run}");
    assert!(
        run.contains("-- name: Two :one\nSELECT $1::int + 2 × "),
        "{run}"
    );
    assert_eq!(pair.kept_count().await?, "2");

    // What is wrong with it stands elsewhere in each of the texts.
    pair.elsewhere("CREATE TABLE t (a int, b int)").await?;
    for in_transaction in [false, true] {
        pair.elsewhere("ALTER TABLE t DROP b, ADD b int").await?;
        let text = "SELECT a FROM t WHERE b = $1 AND a > 0";
        for trace in [1, 22, 333, 4444] {
            let traced = format!("/* {trace} */ {text} /* {trace} */");
            pair.same(&traced, &[Some("1")]).await?;
        }
        pair.elsewhere("ALTER TABLE t DROP b").await?;
        if in_transaction {
            pair.simple("BEGIN").await?;
        }
        for trace in [55555, 6] {
            let traced = format!("/* {trace} */ SELECT /* ü */ a FROM t WHERE b = $1 AND a > 0");
            let answer = pair.same(&traced, &[Some("1")]).await?;
            assert!(
                says(&answer, "42703") || says(&answer, "25P02"),
                "{answer:?}"
            );
        }
        if in_transaction {
            pair.simple("ROLLBACK").await?;
        }
        pair.elsewhere("ALTER TABLE t ADD b int").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn literals_follow_the_settings_under_which_they_are_sent() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let texts = [
        "SELECT $1::int, extract(month FROM '01/02/2020'::date)",
        "SELECT $1::int, extract(epoch FROM '2020-01-01 00:00'::timestamptz)",
        "SELECT $1::int, extract(epoch FROM '-1 2:03'::interval)",
        "SELECT $1::int, '{NULL}'::text[] IS NOT DISTINCT FROM ARRAY[NULL]::text[]",
        "SELECT $1::int WHERE NULL = NULL",
    ];
    for text in texts {
        pair.kept(text, &[Some("1")]).await?;
    }
    assert_eq!(pair.kept_count().await?, "5");
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
            pair.kept(text, &[Some("1")]).await?;
        }
    }
    // The same by the extended protocol, and where no text tells.
    for change in ["SET DateStyle = 'SQL, DMY'", "SELECT hidden()", "RESET ALL"] {
        pair.same(change, &[]).await?;
        for text in texts {
            pair.kept(text, &[Some("1")]).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_in_a_literal_is_the_moment_of_its_sending() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    for text in [
        "SELECT $1::int, 'now'::timestamptz(6)::text",
        "SELECT $1::int, ' NOW '::timestamptz(6)::text",
        "SELECT $1::int, 'now()'::timestamptz(6)::text",
        "SELECT $1::int, E'\\x6eow'::timestamptz(6)::text",
        "SELECT $1::int, 'no'\n'w'::timestamptz(6)::text",
        "SELECT $1::int, $a$now$a$::timestamptz(6)::text",
    ] {
        let mut before = Vec::new();
        for _ in 0..4 {
            let now = pair.through_only(text, &[Some("1")]).await?;
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
    let text = "SELECT a, $1::int FROM t";
    pair.kept(text, &[Some("1")]).await?;
    assert_eq!(pair.kept_count().await?, "1");
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
        pair.kept(text, &[Some("1")]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_sessions_do_to_a_table_is_seen_outside_a_transaction() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2)")
        .await?;
    let texts = [
        "SELECT * FROM t WHERE $1::int = 1",
        "SELECT a FROM t WHERE $1::int = 1",
        "UPDATE t SET b = b WHERE $1::int = 1 RETURNING *",
        "INSERT INTO t (b) VALUES ($1::int)",
    ];
    for text in texts {
        pair.kept(text, &[Some("1")]).await?;
    }
    assert_eq!(pair.kept_count().await?, "4");
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
            pair.kept(text, &[Some("1")]).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_list_of_columns_may_change_within_a_transaction() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere("CREATE TABLE t (a int)").await?;
    let text = "SELECT * FROM t WHERE $1::int = 1";
    pair.kept(text, &[Some("1")]).await?;
    assert_eq!(pair.kept_count().await?, "1");
    pair.simple("BEGIN").await?;
    pair.elsewhere("ALTER TABLE t ADD b int").await?;
    pair.same(text, &[Some("1")]).await?;
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
    let port = proxy(&pair.postgres, 0, CacheLimits::OFF.executions).await?;
    pair.through = RawClient::connect(port, "postgres").await?;
    pair.kept("SELECT $1::int", &[Some("1")]).await?;
    assert_eq!(pair.kept_count().await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_no_longer_holds_fails_before_it_is_bound() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere("CREATE TABLE t (a int, b int)").await?;
    let text = "INSERT INTO t (a, b) VALUES ($1, 2)";
    pair.kept(text, &[Some("1")]).await?;
    pair.elsewhere("ALTER TABLE t DROP b").await?;
    // Some drivers ask for the parameters' types first; nothing tells them of an error there.
    let asked = [parse("", text), describe('S', ""), sync()].concat();
    let answer = pair.same_answers("Describe", &asked).await?;
    assert!(says(&answer, "42703"), "{answer:?}");
    pair.same_answers("Parse alone", &[parse("", text), sync()].concat())
        .await?;
    pair.same(text, &[Some("1")]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_execution_is_planned_for_its_values() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.elsewhere("CREATE TABLE none (a int)").await?;
    // A plan for all values would leave the division to rows that never come.
    let text = "SELECT 1 / $1::int FROM none";
    for _ in 0..8 {
        pair.same(text, &[Some("1")]).await?;
    }
    for _ in 0..8 {
        let answer = pair.same(text, &[Some("0")]).await?;
        assert!(says(&answer, "22012"), "{answer:?}");
    }
    assert_eq!(pair.kept_count().await?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_declared_immutable_and_is_not_is_asked_each_time() -> anyhow::Result<()>
{
    let mut pair = Pair::start().await?;
    pair.elsewhere(
        "CREATE TABLE setting (v int); INSERT INTO setting VALUES (0);
         CREATE FUNCTION lies() RETURNS int IMMUTABLE LANGUAGE plpgsql AS
         'BEGIN RETURN (SELECT v FROM setting); END'",
    )
    .await?;
    for _ in 0..4 {
        pair.elsewhere("UPDATE setting SET v = v + 1").await?;
        pair.same("SELECT lies()", &[]).await?;
        pair.same("SELECT lies(), $1::int", &[Some("1")]).await?;
    }
    assert_eq!(pair.kept_count().await?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_of_a_text_come_at_each_sight_of_it() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let text = format!("SELECT $1::int AS {}", "a".repeat(70));
    for _ in 0..5 {
        let answer = pair.same(&text, &[Some("1")]).await?;
        assert!(answer[0].starts_with('N'), "{answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_of_prepared_statements_shows_what_the_client_has() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let text = "SELECT $1::int";
    let look = "SELECT name, statement FROM pg_prepared_statements ORDER BY name";
    pair.same_answers("named", &[parse("mine", "SELECT 1"), sync()].concat())
        .await?;
    pair.same_answers("named", &[parse("look", look), sync()].concat())
        .await?;
    for _ in 0..2 {
        pair.kept(text, &[Some("1")]).await?;
        assert_eq!(pair.kept_count().await?, "1");
        pair.simple(look).await?;
        pair.kept(text, &[Some("1")]).await?;
        pair.same(look, &[]).await?;
        pair.kept(text, &[Some("1")]).await?;
        let by_name = [bind("", "look", &[], 0), execute("", 0), sync()].concat();
        pair.same_answers("by name", &by_name).await?;
        let again = [bind("", "", &[Some(b"7")], 0), execute("", 0), sync()].concat();
        pair.same_answers("the unnamed statement is still there", &again)
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_by_function_call_is_a_setting() -> anyhow::Result<()> {
    const SET_CONFIG: u32 = 2078;
    let mut pair = Pair::start().await?;
    let text = "SELECT $1::int WHERE NULL = NULL";
    pair.kept(text, &[Some("1")]).await?;
    assert_eq!(pair.kept_count().await?, "1");
    let set = call(SET_CONFIG, &[b"transform_null_equals", b"on", &[0]]);
    for _ in 0..2 {
        pair.same_answers("set_config", &set).await?;
        let answer = pair.same(text, &[Some("1")]).await?;
        assert!(
            answer.iter().any(|line| line.starts_with('D')),
            "{answer:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_operator_who_wants_it_gets_one_plan_for_all_values() -> anyhow::Result<()> {
    let text = "SELECT a FROM t WHERE a = $1";
    for (executions, generic) in [(CacheLimits::OFF.executions, false), (1000, true)] {
        let mut pair = Pair::with_executions(executions).await?;
        pair.elsewhere(
            "CREATE TABLE t AS SELECT a FROM generate_series(1, 1000) a;
             CREATE INDEX ON t (a); ANALYZE t;
             CREATE FUNCTION generic() RETURNS bigint LANGUAGE sql AS
             'SELECT coalesce(sum(generic_plans), 0)::bigint FROM pg_prepared_statements'",
        )
        .await?;
        for value in 0..20 {
            pair.same(text, &[Some(&value.to_string())]).await?;
        }
        assert_eq!(pair.kept_count().await?, "1");
        let plans = pair.value("SELECT generic()").await?;
        assert_eq!(plans != "0", generic, "{executions}: {plans}");
    }
    Ok(())
}

/// PostgreSQL does not notice it for prepared statements either: this is why the cache is off
/// unless asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_sessions_make_of_a_name_is_noticed_after_five_executions() -> anyhow::Result<()>
{
    for (made, text, value) in [
        (
            "CREATE TABLE s.t AS SELECT 'hides' AS a",
            "SELECT a::text, $1::int FROM t",
            "1",
        ),
        (
            "ALTER TABLE t ALTER a TYPE bigint",
            "SELECT count(*) FROM t WHERE a = $1",
            "5000000000",
        ),
    ] {
        let mut pair = Pair::start().await?;
        pair.elsewhere("CREATE SCHEMA s; CREATE TABLE t AS SELECT 1 AS a")
            .await?;
        pair.simple("SET search_path = s, public").await?;
        pair.same(text, &[Some("1")]).await?;
        pair.same(text, &[Some("1")]).await?;
        pair.elsewhere(made).await?;
        pair.direct.send(&unnamed(text, &[Some(value)])).await?;
        let expected = comparable(&pair.direct.until_ready().await?);
        let mut as_expected = Vec::new();
        for _ in 0..8 {
            as_expected.push(pair.through_only(text, &[Some(value)]).await? == expected);
        }
        let old = [false; 4];
        let new = [true; 4];
        assert_eq!(as_expected, [old, new].concat(), "{made}");
    }
    Ok(())
}
