//! Queries by key that the proxy answers from statements kept prepared, and the same straight: message for message, in
//! every phase, in and outside of transaction blocks, whatever comes between.

use crossfade_tests::Proxy;
use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::protocol_scripts::messages::{bind, describe, execute, parse, query, sync};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use rewrite_rules::Phase;

/// The same client twice, on two databases with the same rows.
struct Pair {
    phase: Phase,
    straight: RawClient,
    through: RawClient,
    world: World,
    _proxy: Proxy,
    ids: Vec<String>,
}

impl Pair {
    async fn start(phase: Phase) -> anyhow::Result<Pair> {
        Pair::start_with(phase, "").await
    }

    async fn start_with(phase: Phase, more: &str) -> anyhow::Result<Pair> {
        let world = World::start().await?;
        world.database("straight").await?;
        let proxy = world.in_phase_with("moved", phase, more).await?;
        let mut pair = Pair {
            phase,
            straight: RawClient::connect(world.postgres.port, "straight").await?,
            through: RawClient::connect(proxy.port, "moved").await?,
            world,
            _proxy: proxy,
            ids: Vec::new(),
        };
        // The view's own name would have the proxy take its statements away first.
        pair.both(
            "CREATE FUNCTION kept() RETURNS text LANGUAGE sql AS
             'SELECT count(*) || '' '' || coalesce(sum(custom_plans + generic_plans), 0)
              FROM pg_prepared_statements WHERE name LIKE ''cf\\_%'''",
        )
        .await?;
        let rows = pair
            .straight
            .simple("SELECT id FROM iso_agents WHERE is_active ORDER BY email LIMIT 8")
            .await?;
        let rows = rows.iter().filter(|message| message.tag == b'D');
        pair.ids = rows
            .filter_map(|row| row.values().into_iter().next().flatten())
            .collect();
        Ok(pair)
    }

    async fn both(&mut self, sql: &str) -> anyhow::Result<()> {
        for database in ["straight", "moved"] {
            let client = self.world.postgres.connect(database).await?;
            client.batch_execute(sql).await?;
        }
        Ok(())
    }

    /// One Query on both sides; gives the answer.
    async fn same(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        self.same_messages(sql, &query(sql)).await
    }

    async fn same_messages(&mut self, what: &str, sent: &[u8]) -> anyhow::Result<Vec<String>> {
        self.straight.send(sent).await?;
        self.through.send(sent).await?;
        let expected = shown(&self.straight.until_ready().await?);
        let got = shown(&self.through.until_ready().await?);
        anyhow::ensure!(
            expected == got,
            "{} {what}\n{expected:#?}\n{got:#?}",
            self.phase
        );
        Ok(got)
    }

    /// How many statements are kept, and how often they ran.
    async fn kept(&mut self) -> anyhow::Result<(u32, u32)> {
        let answer = self.through.simple("SELECT kept()").await?;
        let row = answer.iter().find(|message| message.tag == b'D');
        let value = row.and_then(|row| row.values().into_iter().next().flatten());
        let value = value.unwrap_or_default();
        let (count, runs) = value.split_once(' ').unwrap_or(("", ""));
        Ok((count.parse()?, runs.parse()?))
    }

    async fn same_rows(&self) -> anyhow::Result<()> {
        let legacy = self.world.postgres.connect("straight").await?;
        let moved = self.world.postgres.connect("moved").await?;
        let truth = state(&legacy, "iso_agents").await;
        if self.phase.writes_both() {
            assert_eq!(state(&moved, "iso_agents").await, truth, "{}", self.phase);
            assert_eq!(differences(&moved).await, 0, "{}", self.phase);
        }
        assert_eq!(state(&moved, AS_LEGACY).await, truth, "{}", self.phase);
        Ok(())
    }
}

/// What a client can see, with what is usually left out: a CONTEXT would tell of parameters.
fn shown(answer: &[Message]) -> Vec<String> {
    let mut all = comparable(answer);
    let errors = answer.iter().filter(|message| message.tag == b'E');
    all.extend(errors.map(|error| format!("{:?}", [b'W', b'H'].map(|code| error.field(code)))));
    all
}

/// By key, with places for a number that differs each time, for an id, and for one that is the number's own.
const FORMS: [&str; 19] = [
    "SELECT id, email, full_name, role, is_active FROM iso_agents WHERE id = '{id}'",
    "SELECT * FROM iso_agents WHERE id = '{id}'",
    "SELECT a.email, a.margin_value, 1, 'x' FROM public.iso_agents AS a WHERE a.id = '{id}'::uuid AND a.email <> '{n}' ORDER BY 1 LIMIT 21",
    "SELECT \"iso_agents\".\"id\", \"iso_agents\".\"metadata\" FROM \"iso_agents\" WHERE ('{id}' = \"iso_agents\".\"id\" AND \"iso_agents\".\"is_active\") LIMIT 1;",
    "SELECT count FROM iso_agents WHERE id = '{id}'",
    "SELECT email FROM iso_agents WHERE id = '{id}' AND no_column = 'é{n}'",
    "SELECT email FROM iso_agents WHERE id = '{id}' AND margin_value = 'é{n}'",
    "UPDATE iso_agents SET full_name = 'it''s é {n}', margin_value = {n} WHERE id = '{id}'",
    "UPDATE iso_agents SET margin_value = {n}.125, metadata = '{\"a\": {n}}' WHERE id = '{id}'",
    "UPDATE public.iso_agents AS a SET full_name = full_name || 'x', email = '{n}@example.com' WHERE a.id = '{id}'::uuid AND role = 'iso_agent'",
    "UPDATE iso_agents SET clerk_user_id = 'c {n}', role = 'operator', is_active = true WHERE id = '{id}'",
    "UPDATE iso_agents SET margin_value = 'é', full_name = '{n}' WHERE id = '{id}'",
    "UPDATE iso_agents SET email = NULL, full_name = '{n}' WHERE id = '{id}'",
    "UPDATE iso_agents SET email = 'taken@example.com', full_name = '{n}' WHERE id = '{id}'",
    "UPDATE iso_agents SET full_name = '{n}' WHERE id = '{id}' RETURNING email, full_name AS n, role, 7",
    "UPDATE iso_agents SET email = 'taken@example.com', full_name = '{n}' WHERE id = '{id}' RETURNING id",
    "DELETE FROM iso_agents WHERE id = '{new}' AND full_name <> '{id}' RETURNING *",
    "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('{new}', 'k {n}', 'k{n}@example.com', '{id}')",
    "INSERT INTO iso_agents AS a (email, id, full_name, clerk_user_id, margin_value, role) \
     VALUES ('r{n}@example.com', '{new}', 'é', 'r {n}', {n}, 'admin') RETURNING a.id, a.role, margin_value + 1",
];

fn filled(form: &str, n: usize, id: &str) -> String {
    let new = format!("00000000-0000-4000-9000-{n:012}");
    let form = form.replace("{n}", &n.to_string());
    form.replace("{id}", id).replace("{new}", &new)
}

async fn forms_in(phase: Phase) -> anyhow::Result<()> {
    let mut pair = Pair::start(phase).await?;
    let ids = pair.ids.clone();
    pair.same(&format!(
        "UPDATE iso_agents SET email = 'taken@example.com' WHERE id = '{}'",
        ids[7]
    ))
    .await?;
    for form in FORMS {
        for (n, id) in ids.iter().enumerate().take(6) {
            pair.same(&filled(form, n + 1, id)).await?;
        }
        // No row, and values that its type does not take: each is told as if it had been read.
        pair.same(&filled(form, 7, "00000000-0000-4000-8000-00000000abcd"))
            .await?;
        // Of two errors in one text another may be told, kept or not.
        let wrong_ids = if form.contains("margin_value = 'é'") {
            0..0
        } else {
            0..3
        };
        for wrong in ["no uuid", "{00000000-0000-4000-8000-00000000abcd}", ""][wrong_ids].iter() {
            pair.same(&filled(form, 8, wrong)).await?;
        }
        pair.same(&filled(form, 123_456_789, &ids[0])).await?;
        pair.same(&filled(form, 12_345_678_901, &ids[0])).await?;
        for end in ["COMMIT", "ROLLBACK"] {
            pair.same("BEGIN").await?;
            for (n, id) in ids.iter().enumerate().take(3) {
                pair.same(&filled(form, n + 11, id)).await?;
            }
            pair.same("SAVEPOINT s").await?;
            if !form.contains("margin_value = 'é'") {
                pair.same(&filled(form, 99, "no uuid")).await?;
            }
            pair.same(&filled(form, 14, &ids[3])).await?;
            pair.same("ROLLBACK TO s").await?;
            pair.same(&filled(form, 15, &ids[4])).await?;
            pair.same(end).await?;
        }
        pair.same("DELETE FROM iso_agents WHERE id = '00000000-0000-4000-8000-00000000abce'")
            .await?;
    }
    let (count, runs) = pair.kept().await?;
    if phase != Phase::LegacyOnly {
        assert!(
            count >= 5 && runs >= 50,
            "{phase}: {count} kept, {runs} executions"
        );
    }
    pair.same_rows().await
}

macro_rules! phases {
    ($($test:ident: $phase:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() -> anyhow::Result<()> {
            forms_in(Phase::$phase).await
        }
    )*};
}

phases! {
    queries_by_key_are_answered_alike_in_dual_write: DualWrite,
    queries_by_key_are_answered_alike_in_dual_read: DualRead,
    queries_by_key_are_answered_alike_in_unified_read: UnifiedRead,
    queries_by_key_are_answered_alike_in_unified_only: UnifiedOnly,
}

const READ: &str = "SELECT id, email FROM iso_agents WHERE id = '{id}'";
const WRITE: &str = "UPDATE iso_agents SET full_name = '{n}' WHERE id = '{id}'";

async fn keep(pair: &mut Pair) -> anyhow::Result<()> {
    let ids = pair.ids.clone();
    for (n, id) in ids.iter().enumerate().take(5) {
        for form in [READ, WRITE] {
            pair.same(&filled(form, n, id)).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_text_each_time_is_kept_as_well_and_one_that_changes_is_prepared_once()
-> anyhow::Result<()> {
    let mut pair = Pair::start(Phase::UnifiedRead).await?;
    let id = pair.ids[0].clone();
    for _ in 0..9 {
        pair.same(&filled(READ, 0, &id)).await?;
    }
    let (count, runs) = pair.kept().await?;
    assert!(count == 1 && runs >= 5, "{count} {runs}");
    for n in 0..40 {
        pair.same(&filled(WRITE, n, &id)).await?;
    }
    let (count, runs) = pair.kept().await?;
    assert!(count == 2 && runs >= 40, "{count} {runs}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_query_ends_is_ended_and_what_follows_it_finds_nothing_of_ours() -> anyhow::Result<()>
{
    let mut pair = Pair::start(Phase::UnifiedRead).await?;
    keep(&mut pair).await?;
    let id = pair.ids[0].clone();
    let by_key = filled(WRITE, 5, &id);
    for block in [false, true] {
        if block {
            pair.same("BEGIN").await?;
        }
        // An unnamed statement and its portal, then a Query, then both again.
        let unnamed = [
            parse("", "SELECT $1::int + 1"),
            bind("", "", &[Some(b"1")], 0),
            execute("", 0),
            sync(),
        ]
        .concat();
        for again in [
            [bind("", "", &[Some(b"1")], 0), execute("", 0), sync()].concat(),
            [execute("", 0), sync()].concat(),
            [describe('P', ""), sync()].concat(),
            [describe('S', ""), sync()].concat(),
        ] {
            pair.same("SAVEPOINT s").await?;
            pair.same_messages("unnamed", &unnamed).await?;
            pair.same(&by_key).await?;
            pair.same_messages("unnamed again", &again).await?;
            pair.same("ROLLBACK TO s").await?;
        }
        // What a statement has open cannot be changed in its block.
        pair.same(&filled(READ, 0, &id)).await?;
        pair.both("CREATE TABLE IF NOT EXISTS beside (a int)")
            .await?;
        pair.same("ALTER TABLE beside ADD b int, DROP a").await?;
        if block {
            pair.same("ROLLBACK").await?;
        }
    }
    // Several at once, with and without a Sync between.
    let by_key = query(&filled(READ, 0, &id));
    for several in [
        [by_key.clone(), by_key.clone()].concat(),
        [by_key.clone(), query("SELECT 1/0"), by_key.clone()].concat(),
    ] {
        pair.straight.send(&several).await?;
        pair.through.send(&several).await?;
        for _ in 0..several
            .windows(5)
            .filter(|w| w[0] == b'Q' && w[1..4] == [0, 0, 0])
            .count()
        {
            let expected = shown(&pair.straight.until_ready().await?);
            assert_eq!(shown(&pair.through.until_ready().await?), expected);
        }
    }
    // What is skipped after an error stays skipped up to the client's own Sync.
    let skipped = [parse("", "SELECT no_column"), by_key.clone(), sync()].concat();
    pair.same_messages("skipped", &skipped).await?;
    let unsynced = [
        parse("", "SELECT 1"),
        bind("", "", &[], 0),
        execute("", 0),
        by_key,
    ]
    .concat();
    pair.same_messages("behind an open segment", &unsynced)
        .await?;
    pair.same_messages("its end", &sync()).await?;
    pair.same_rows().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_or_changes_statements_is_followed() -> anyhow::Result<()> {
    let mut pair = Pair::start(Phase::UnifiedRead).await?;
    pair.both(
        "CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS
         'BEGIN EXECUTE ''DEALLOCATE ALL''; END'",
    )
    .await?;
    for change in [
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "SELECT hidden()",
        "SET search_path = public",
        "SET TimeZone = 'Asia/Tokyo'",
        "SET DateStyle = 'SQL, DMY'",
        "SET standard_conforming_strings = off",
        "SET client_encoding = 'LATIN1'",
        "RESET ALL",
        "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan",
        "COMMIT",
        "SET plan_cache_mode = force_generic_plan",
        "SELECT * FROM pg_prepared_statements",
        "SET default_transaction_read_only = on",
        "SET default_transaction_read_only = off",
    ] {
        keep(&mut pair).await?;
        pair.same(change).await?;
    }
    keep(&mut pair).await?;
    // By the extended protocol too, prepared before anything was kept.
    let (count, _) = pair.kept().await?;
    assert_eq!(count, 2);
    pair.same_rows().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_changed_by_a_statement_that_was_prepared_first_is_seen() -> anyhow::Result<()> {
    let mut pair = Pair::start(Phase::UnifiedRead).await?;
    let set = "SET DateStyle = 'SQL, DMY'";
    pair.same_messages("prepare", &[parse("s", set), sync()].concat())
        .await?;
    let form = "SELECT created_at > '01/02/2020' FROM iso_agents WHERE id = '{id}'";
    let ids = pair.ids.clone();
    for id in &ids[..5] {
        pair.same(&filled(form, 0, id)).await?;
    }
    assert_eq!(pair.kept().await?.0, 1);
    let run = [bind("", "s", &[], 0), execute("", 0), sync()].concat();
    pair.same_messages("run", &run).await?;
    assert_eq!(
        pair.kept().await?.0,
        1,
        "it is closed with the next that is kept"
    );
    let months = "SELECT created_at, '01/02/2020'::date FROM iso_agents WHERE id = '{id}'";
    for id in &ids[..5] {
        pair.same(&filled(form, 0, id)).await?;
        pair.same(&filled(months, 0, id)).await?;
    }
    pair.same("SET DateStyle = 'SQL, MDY'").await?;
    for id in &ids[..5] {
        pair.same(&filled(months, 0, id)).await?;
    }
    Ok(())
}

/// What is found wrong when a transaction ends comes in place of the end of its last statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_commit_comes_instead_of_the_end() -> anyhow::Result<()> {
    let mut pair = Pair::start(Phase::UnifiedRead).await?;
    let table = |name: &str| {
        format!(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE NOTICE ''looked at''; IF NEW.full_name = ''bad'' THEN RAISE ''late''; END IF; RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON {name} DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION late()"
        )
    };
    let straight = pair.world.postgres.connect("straight").await?;
    straight.batch_execute(&table("iso_agents")).await?;
    let moved = pair.world.postgres.connect("moved").await?;
    moved.batch_execute(&table("users")).await?;
    keep(&mut pair).await?;
    let ids = pair.ids.clone();
    let form = "UPDATE iso_agents SET full_name = '{id}', margin_value = 1 WHERE id = '{n}'";
    for (n, value) in ["good", "good", "good", "bad", "good", "bad"]
        .iter()
        .enumerate()
    {
        let sql = form.replace("{id}", value).replace("{n}", &ids[n]);
        let answer = pair.same(&sql).await?;
        let failed = answer.iter().any(|line| line.contains("late"));
        assert_eq!(failed, *value == "bad", "{answer:?}");
    }
    pair.same_rows().await
}

/// Outside of a block the Query is said again; what another session changed goes unseen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sessions_changes_are_seen() -> anyhow::Result<()> {
    let mut pair = Pair::start(Phase::UnifiedOnly).await?;
    keep(&mut pair).await?;
    let straight = pair.world.postgres.connect("straight").await?;
    let moved = pair.world.postgres.connect("moved").await?;
    for change in [
        "ALTER TABLE {t} ALTER COLUMN email TYPE varchar(300)",
        "ALTER TABLE {t} ADD COLUMN more int",
        "ALTER TABLE {t} ALTER COLUMN email TYPE text, DROP COLUMN more",
        "ANALYZE {t}",
    ] {
        straight
            .batch_execute(&change.replace("{t}", "iso_agents"))
            .await?;
        moved.batch_execute(&change.replace("{t}", "users")).await?;
        let ids = pair.ids.clone();
        for id in &ids[..4] {
            let sql = filled(READ, 1, id);
            pair.straight.send(&query(&sql)).await?;
            pair.through.send(&query(&sql)).await?;
            let expected = pair.straight.until_ready().await?;
            let got = pair.through.until_ready().await?;
            let rows = |answer: &[Message]| -> Vec<String> {
                let all = comparable(answer).into_iter();
                all.filter(|line| !line.starts_with('T')).collect()
            };
            assert_eq!(rows(&got), rows(&expected), "{change}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_where_the_operator_says_so() -> anyhow::Result<()> {
    if std::env::var("CROSSFADE_TEST_CACHE").is_ok() {
        return Ok(());
    }
    let mut pair = Pair::start_with(Phase::UnifiedRead, "[cache]\nrewritten = 0\n").await?;
    keep(&mut pair).await?;
    keep(&mut pair).await?;
    assert_eq!(pair.kept().await?, (0, 0));
    Ok(())
}

/// How many rows a value has decides the plan: the server makes one for each value, as without a proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_by_key_is_planned_for_its_values_each_time() -> anyhow::Result<()> {
    let mut pair = Pair::start(Phase::UnifiedRead).await?;
    let ids = pair.ids.clone();
    for (n, id) in ids.iter().enumerate().take(6) {
        for form in [
            "SELECT count(*) FROM iso_agents WHERE role = 'admin' AND margin_value <> {n}",
            "SELECT email FROM iso_agents WHERE email = 'agent.{n}@example.com'",
            "SELECT email FROM iso_agents WHERE id = '{id}' OR email = '{n}'",
            "SELECT lower(email) FROM iso_agents WHERE id = '{id}'",
            "UPDATE iso_agents SET full_name = '{n}' WHERE email = 'agent.{n}@example.com'",
            "UPDATE iso_agents SET full_name = '{n}' WHERE id = '{id}' RETURNING lower(email)",
            "SELECT email FROM iso_agents WHERE id = '{id}'; SELECT {n}",
        ] {
            pair.same(&filled(form, n, id)).await?;
        }
    }
    assert_eq!(pair.kept().await?, (0, 0));
    pair.same_rows().await
}

fn unnamed(sql: &str, values: &[Option<&str>]) -> Vec<u8> {
    let values: Vec<_> = values
        .iter()
        .map(|value| value.map(str::as_bytes))
        .collect();
    [
        parse("", sql),
        bind("", "", &values, 0),
        describe('P', ""),
        execute("", 0),
        sync(),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unnamed_statements_by_key_are_kept_as_well() -> anyhow::Result<()> {
    for phase in [
        Phase::DualWrite,
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
    ] {
        let mut pair = Pair::start(phase).await?;
        let ids = pair.ids.clone();
        const UNNAMED: [&str; 4] = [
            "SELECT id, email, role FROM iso_agents WHERE id = $1",
            "SELECT * FROM iso_agents a WHERE $1::uuid = a.id AND email IS NOT NULL",
            "UPDATE iso_agents SET full_name = 'x', margin_value = margin_value + 1 WHERE id = $1",
            "SELECT no_column FROM iso_agents WHERE id = $1",
        ];
        for (at, sql) in UNNAMED.iter().enumerate() {
            for begin in ["SELECT 1", "BEGIN"] {
                pair.same(begin).await?;
                for (n, id) in ids.iter().enumerate() {
                    let traced = format!("{sql} /* {n} */");
                    let text = if n % 2 == 0 { sql } else { traced.as_str() };
                    pair.same_messages(text, &unnamed(text, &[Some(id)]))
                        .await?;
                }
                if begin == "BEGIN" {
                    pair.same("COMMIT").await?;
                }
                for wrong in [None, Some("no uuid")] {
                    pair.same_messages(sql, &unnamed(sql, &[wrong])).await?;
                }
                pair.same_messages(sql, &unnamed(sql, &[])).await?;
            }
            let (count, _) = pair.kept().await?;
            // What is tried first is kept beside what is sent otherwise: in a block, with a comment.
            let kept = match phase {
                Phase::DualWrite => [1, 2, 4, 4],
                Phase::DualRead => [2, 4, 5, 5],
                _ => [1, 2, 3, 3],
            }[at];
            assert_eq!(count, kept, "{phase} {sql}");
        }
        pair.same_rows().await?;
    }
    Ok(())
}
