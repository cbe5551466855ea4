//! Leaving legacy behind: the way back rehearsed, what touches the table around the proxies, then
//! probation with a way back, and what speaks against a drop.

use crossfade_tests::control::{Ended, number, run};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// A migration that has come to `unified_only`, its operator's connection beside it.
async fn left_behind(world: &World, name: &str) -> (Proxy, Client) {
    let proxy = world.in_phase(name, Phase::LegacyOnly).await.unwrap();
    let operator = world.postgres.connect(name).await.unwrap();
    operator
        .batch_execute(
            "ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey; \
             ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey; \
             CREATE ROLE reporter; GRANT SELECT ON iso_agents, users TO reporter; \
             GRANT UPDATE (full_name) ON iso_agents TO reporter WITH GRANT OPTION; \
             GRANT INSERT, UPDATE ON iso_agents, users TO reporter",
        )
        .await
        .unwrap();
    for command in [
        "advance", "backfill", "verify", "advance", "advance", "advance", "advance",
    ] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    (proxy, operator)
}

async fn retire(proxy: &Proxy, more: &[&str]) -> Ended {
    let args = [&["retire", "iso_agents"], more].concat();
    run(&proxy.config(), &args).await.unwrap()
}

#[track_caller]
fn says(ended: &Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:#?}");
    for text in texts {
        let said = ended.output.contains(text) || ended.errors.contains(text);
        assert!(said, "`{text}`: {ended:#?}");
    }
}

/// Who may do what on a table and its columns.
async fn rights(operator: &Client) -> Vec<String> {
    let sql = "SELECT format('%s %s %s %s', a.grantee::regrole, a.privilege_type, a.is_grantable, name) \
         FROM (SELECT relacl AS acl, '' AS name FROM pg_class WHERE oid = 'iso_agents'::regclass \
         UNION ALL SELECT attacl, attname FROM pg_attribute WHERE attrelid = 'iso_agents'::regclass) \
         AS t, aclexplode(t.acl) AS a ORDER BY 1";
    let rows = operator.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_on_probation_is_missed_by_whoever_needs_it_and_comes_back_with_all_its_rights() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = left_behind(&world, "probation").await;
    says(&retire(&proxy, &[]).await, 1, &["is in unified_only"]);
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let before = rights(&operator).await;
    assert!(before.len() > 3, "{before:?}");

    let dry = retire(&proxy, &["--dry-run"]).await;
    let rename = "ALTER TABLE \"public\".\"iso_agents\" RENAME TO \"cf_retired_iso_agents\";";
    says(&dry, 0, &["FROM reporter CASCADE;", rename]);
    assert_eq!(rights(&operator).await, before);

    let aside = retire(&proxy, &[]).await;
    says(&aside, 0, &["it is called public.cf_retired_iso_agents"]);
    // Through Crossfade the name still means what it meant.
    let through = proxy.client().await.unwrap();
    let rows = number(&through, "SELECT count(*) FROM iso_agents").await;
    assert!(rows.unwrap() > 0);
    // Whoever goes around it is told so, the owner too.
    let owner = world.client(&world.direct_url("probation")).await.unwrap();
    for (sql, sqlstate) in [
        ("SELECT FROM iso_agents", "55000"),
        ("UPDATE iso_agents SET full_name = 'x'", "55000"),
        ("SELECT FROM cf_retired_iso_agents", "42501"),
    ] {
        let error = owner.execute(sql, &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), sqlstate, "{sql}");
    }
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    let line = "public.iso_agents is called public.cf_retired_iso_agents";
    assert!(status.contains(line), "{status}");
    let back = run(&proxy.config(), &["rollback", "iso_agents"]).await;
    says(&back.unwrap(), 1, &["retire iso_agents --undo"]);

    says(
        &retire(&proxy, &["--undo"]).await,
        0,
        &["its name and its rights back"],
    );
    assert_eq!(rights(&operator).await, before);
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    let noted = "SELECT count(*) FROM crossfade.events WHERE kind IN ('retire', 'retire --undo')";
    assert_eq!(number(&operator, noted).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_drop_come_only_after_days_in_which_nobody_touched_the_table() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = left_behind(&world, "evidence").await;
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    retire(&proxy, &[]).await;
    // Its own looks are not held against the table.
    for _ in 0..2 {
        let early = retire(&proxy, &[]).await;
        says(
            &early,
            1,
            &["of 7 days; its ", "rows are what they were", "missing 0"],
        );
        assert!(!early.output.contains("DROP"), "{early:#?}");
    }
    let week = "UPDATE crossfade.retirements SET untouched_since = now() - interval '8 days'";
    operator.batch_execute(week).await.unwrap();
    let drop = "DROP TABLE public.cf_retired_iso_agents;";
    says(
        &retire(&proxy, &[]).await,
        0,
        &["untouched for 8 d of 7 days", drop],
    );
    let there = "SELECT count(*) FROM cf_retired_iso_agents";
    assert!(
        number(&operator, there).await.unwrap() > 0,
        "it is not dropped"
    );

    // That was a scan around Crossfade.
    let flush = "SELECT pg_stat_force_next_flush()";
    operator.batch_execute(flush).await.unwrap();
    says(
        &retire(&proxy, &[]).await,
        1,
        &["TOUCHED since the last look: 1 scans and 0 written rows"],
    );
    operator.batch_execute(week).await.unwrap();
    says(&retire(&proxy, &[]).await, 0, &[drop]);

    // A write that the counters forgot is in the rows.
    operator
        .batch_execute(
            "UPDATE cf_retired_iso_agents SET full_name = 'late' WHERE clerk_user_id = 'user_1'; \
             SELECT pg_stat_reset()",
        )
        .await
        .unwrap();
    retire(&proxy, &[]).await;
    operator.batch_execute(week).await.unwrap();
    says(
        &retire(&proxy, &[]).await,
        1,
        &["rows are NOT what they were"],
    );

    operator
        .batch_execute("DROP TABLE cf_retired_iso_agents CASCADE")
        .await
        .unwrap();
    says(
        &retire(&proxy, &[]).await,
        0,
        &["its legacy tables are gone"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_drop_can_be_run_and_the_old_name_is_used_on() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = left_behind(&world, "dropped").await;
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    retire(&proxy, &[]).await;
    let week = "UPDATE crossfade.retirements SET untouched_since = now() - interval '8 days'";
    operator.batch_execute(week).await.unwrap();
    let said = retire(&proxy, &[]).await;
    let mut lines = said.output.lines();
    let told = lines.any(|line| line.ends_with("to drop it, run:"));
    assert!(told, "{said:#?}");
    let words: Vec<&str> = lines.collect();
    operator.batch_execute(&words.join("\n")).await.unwrap();
    says(
        &retire(&proxy, &[]).await,
        0,
        &["its legacy tables are gone"],
    );
    let application = proxy.client().await.unwrap();
    // Some of these call functions of the lens.
    for sql in [
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('late', 'late@example.com', 'Late') \
         ON CONFLICT DO NOTHING",
        "UPDATE iso_agents SET full_name = 'Later' WHERE clerk_user_id = 'late'",
        "DELETE FROM iso_agents WHERE clerk_user_id = 'late'",
        "TRUNCATE iso_agents CASCADE",
    ] {
        application
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_step_what_legacy_could_no_longer_hold_is_counted_and_tried() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = left_behind(&world, "rehearsed").await;
    let dry = async || {
        let ended = run(&proxy.config(), &["advance", "iso_agents", "--dry-run"]).await;
        ended.unwrap()
    };
    says(&dry().await, 0, &["met: legacy can hold every unified row"]);
    // A row that goes and leaves its e-mail address to another is in nobody's way.
    operator
        .batch_execute(
            "ALTER TABLE iso_agents ADD CONSTRAINT held CHECK (full_name <> 'unholdable'); \
             DELETE FROM users WHERE clerk_user_id = 'user_1'; \
             INSERT INTO users (clerk_user_id, email, full_name, role) VALUES \
             ('a', 'agent.1@example.com', 'holdable', 'sales_rep'), \
             ('b', 'b@example.com', 'unholdable', 'admin'), \
             ('c', 'c@example.com', 'wordless', 'iso_agent')",
        )
        .await
        .unwrap();
    says(
        &dry().await,
        0,
        &[
            "1 rows of public.users have role = 'iso_agent', for which public.iso_agents has no word",
            "public.iso_agents lacks 2 rows and has 0 otherwise",
            "of 2 of these that were tried public.iso_agents refuses 1: ",
            "violates check constraint \"held\"",
        ],
    );
    let tried = "SELECT count(*) FROM iso_agents WHERE clerk_user_id IN ('a', 'b')";
    assert_eq!(number(&operator, tried).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_table_ranges_are_rehearsed_and_it_says_so() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = left_behind(&world, "large").await;
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let small = config.replace("[gates]", "[gates]\nrehearsal_rows_max = 100");
    assert_ne!(config, small);
    std::fs::write(proxy.config(), small).unwrap();
    operator
        .batch_execute(
            "ALTER TABLE iso_agents ADD CONSTRAINT held CHECK (full_name NOT LIKE '%!'); \
             UPDATE users SET full_name = full_name || '!'",
        )
        .await
        .unwrap();
    let ended = run(&proxy.config(), &["advance", "iso_agents", "--dry-run"]).await;
    let ended = ended.unwrap();
    says(
        &ended,
        0,
        &[
            "rows were looked at, in ",
            "violates check constraint \"held\"",
        ],
    );
    // Some of them, and all of these differ.
    let line = ended.output.lines().find(|line| line.contains("looked at"));
    let number_before = |text: &str| -> i64 {
        let before = line.unwrap().split(text).next().unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let looked = number_before(" of about");
    assert!((50..=150).contains(&looked), "{line:?}");
    let told = format!("public.iso_agents lacks 0 rows and has {looked} otherwise");
    says(&ended, 0, &[&told]);
}

/// A legacy table whose schema has a dot in its name.
const DOTTED: &str = "[migration]\nname = \"dotted\"\nphase = \"retired\"\n\
    [[table]]\nlegacy = \"\\\"my.schema\\\".old\"\nunified = \"public.new\"\nkey = [\"id\"]\n\
    [table.columns]\nid = \"integer NOT NULL\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_no_superuser_retires_its_table_and_brings_it_back() {
    let world = World::start().await.unwrap();
    world.database("owned").await.unwrap();
    let operator = world.postgres.connect("owned").await.unwrap();
    operator
        .batch_execute(
            "CREATE ROLE reader; CREATE SCHEMA \"my.schema\" AUTHORIZATION app; SET ROLE app; \
             CREATE TABLE \"my.schema\".old (id int PRIMARY KEY); CREATE TABLE new (id int PRIMARY KEY); \
             INSERT INTO \"my.schema\".old VALUES (1); INSERT INTO new VALUES (1); \
             GRANT SELECT ON \"my.schema\".old TO reader",
        )
        .await
        .unwrap();
    let flush = "SELECT pg_stat_force_next_flush()";
    operator.batch_execute(flush).await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, "owned", "").unwrap();
    proxy.write_rules("dotted", DOTTED).unwrap();
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let owner = config.replace(&world.postgres.url("owned"), &world.direct_url("owned"));
    assert_ne!(config, owner);
    std::fs::write(proxy.config(), owner).unwrap();
    let rights = async || -> String {
        let sql = "SELECT relacl::text FROM pg_class WHERE oid = '\"my.schema\".old'::regclass";
        operator.query_one(sql, &[]).await.unwrap().get(0)
    };
    let before = rights().await;
    let retire = async |more: &[&str]| {
        let args = [&["retire", "dotted"], more].concat();
        run(&proxy.config(), &args).await.unwrap()
    };
    proxy.crossfade(&["prepare"]).await.unwrap();
    says(&retire(&[]).await, 0, &["is on probation"]);
    // It is looked at, by a role that has given its own rights away.
    says(
        &retire(&[]).await,
        1,
        &["its 1 rows are what they were", "missing 0"],
    );
    operator
        .batch_execute(
            "UPDATE crossfade.retirements SET untouched_since = now() - interval '8 days'",
        )
        .await
        .unwrap();
    let drop = "DROP TABLE \"my.schema\".\"cf_retired_old\";";
    says(&retire(&[]).await, 0, &[drop]);
    says(
        &retire(&["--undo"]).await,
        0,
        &["its name and its rights back"],
    );
    assert_eq!(rights().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_around_the_proxies_is_counted_and_holds_up_the_retirement() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = left_behind(&world, "around").await;
    let around = async || {
        let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
        let line = status
            .lines()
            .find(|line| line.contains("around the proxies"));
        line.unwrap_or_else(|| panic!("{status}")).to_owned()
    };
    // Neither the clients of a proxy nor Crossfade's own commands are around the proxies.
    let through = proxy.client().await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'x' WHERE clerk_user_id = 'user_1'";
    assert_eq!(through.execute(write, &[]).await.unwrap(), 1);
    // Counting begins once every session's process has told what it did.
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(!status.contains("around the proxies"), "{status}");
    operator
        .batch_execute("UPDATE crossfade.left_behind SET since = now() - interval '2 minutes'")
        .await
        .unwrap();
    around().await;
    run(&proxy.config(), &["verify", "iso_agents"])
        .await
        .unwrap();
    let line = around().await;
    assert!(line.contains("0 scans and 0 written rows"), "{line}");

    let flush = "SELECT pg_stat_force_next_flush()";
    assert_eq!(operator.execute(write, &[]).await.unwrap(), 1);
    operator.batch_execute(flush).await.unwrap();
    let line = around().await;
    assert!(line.contains("1 scans and 1 written rows"), "{line}");
    let held = run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    says(
        &held,
        1,
        &[
            "around the proxies     NOT met",
            "1 written rows",
            "find the writer",
        ],
    );
}
