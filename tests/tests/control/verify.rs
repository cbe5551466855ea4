//! Verify: exact counts, and an exit code that a script can rely on.

use crossfade_tests::control::{self, Running, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use serde_json::Value;

#[tokio::test]
async fn planted_differences_are_counted_exactly_and_named() {
    let world = World::start().await.unwrap();
    world.database("planted").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "planted", Phase::DualWrite).unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let clean = control::run(&proxy.config(), &["verify", "iso_agents", "--json"])
        .await
        .unwrap();
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");

    let client = world.client(&world.postgres.url("planted")).await.unwrap();
    client
        .batch_execute(
            // The trigger would change updated_at as well.
            "ALTER TABLE users DISABLE TRIGGER USER; \
             DELETE FROM users WHERE clerk_user_id IN ('user_1', 'user_2'); \
             INSERT INTO users (clerk_user_id, email, full_name, role) VALUES \
             ('e1', 'e1@example.com', 'extra', 'admin'), ('e2', 'e2@example.com', 'extra', 'operator'), \
             ('e3', 'e3@example.com', 'extra', 'sales_rep'), \
             ('hidden', 'hidden@example.com', 'not extra', 'customer'); \
             UPDATE users SET full_name = full_name || ' ' WHERE clerk_user_id = 'user_3'; \
             UPDATE users SET full_name = 'x', margin_type = NULL WHERE clerk_user_id = 'user_4'; \
             UPDATE users SET metadata = '{\"timezone\": \"UTC\"}' WHERE clerk_user_id = 'user_11'; \
             UPDATE users SET role = 'admin' WHERE clerk_user_id = 'user_12'; \
             UPDATE users SET phone = '1', timezone = 'x' WHERE clerk_user_id = 'user_13'",
        )
        .await
        .unwrap();
    let found = control::run(
        &proxy.config(),
        &["verify", "iso_agents", "--json", "--samples", "2"],
    )
    .await
    .unwrap();

    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let report: Value = serde_json::from_str(&found.output).unwrap();
    for (kind, count) in [("missing", 2), ("extra", 3), ("different", 4)] {
        assert_eq!(report[kind], count, "{kind}");
    }
    let table = &report["tables"][0];
    let columns: Vec<(&str, i64)> = table["different_columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (
                c["column"].as_str().unwrap(),
                c["different"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            ("full_name", 2),
            ("role", 1),
            ("margin_type", 1),
            ("metadata", 1)
        ]
    );
    assert_eq!(table["samples"].as_array().unwrap().len(), 6);
    let whole = |name: &str| {
        let columns = table["totals"].as_array().unwrap();
        columns
            .iter()
            .find(|c| c["column"] == name)
            .unwrap()
            .clone()
    };
    let nulls = &whole("margin_type")["nulls"];
    let of = |side: &str| {
        let read = if side == "users" {
            " WHERE role <> 'customer'"
        } else {
            ""
        };
        format!("SELECT count(*) FROM (SELECT * FROM {side}{read}) AS t WHERE margin_type IS NULL")
    };
    for (at, side) in ["iso_agents", "users"].into_iter().enumerate() {
        let counted = control::number(&client, &of(side)).await.unwrap();
        assert_eq!(nulls[at], counted, "{side}");
    }
    assert!(whole("margin_value")["totals"][0].is_string());
    assert!(whole("full_name")["totals"][0].is_null());

    let page = proxy.rules_dir().join("report.html");
    let args = [
        "verify",
        "iso_agents",
        "--workers",
        "2",
        "--html",
        page.to_str().unwrap(),
    ];
    let text = control::run(&proxy.config(), &args).await.unwrap();
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(
        html.contains("NOT clean") && html.ends_with("</html>\n"),
        "{html}"
    );
    for word in ["<script", "<link", "src=", "http"] {
        assert!(!html.contains(word), "{word}: {html}");
    }
    assert!(
        text.output
            .contains("role: legacy 'iso_agent', unified 'admin'"),
        "{text:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_verified_is_neither_clean_nor_different() {
    let world = World::start().await.unwrap();
    world.database("unverified").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "unverified", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let unknown = control::run(&proxy.config(), &["verify", "other"])
        .await
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        unknown.errors.contains("they have: iso_agents"),
        "{unknown:?}"
    );
    let client = world
        .client(&world.postgres.url("unverified"))
        .await
        .unwrap();
    client.batch_execute("DROP TABLE users").await.unwrap();
    let broken = control::run(&proxy.config(), &["verify", "iso_agents"])
        .await
        .unwrap();
    assert_eq!(broken.status.code(), Some(2));
    assert!(broken.errors.contains("42P01"), "{broken:?}");
}

#[tokio::test]
async fn a_repaired_row_is_clean_although_a_trigger_stamps_it() {
    let world = World::start().await.unwrap();
    world.database("repaired").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "repaired", Phase::DualWrite).unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let client = world.client(&world.postgres.url("repaired")).await.unwrap();
    client
        .batch_execute("UPDATE users SET full_name = 'x' WHERE clerk_user_id = 'user_3'")
        .await
        .unwrap();
    let restart = ["backfill", "iso_agents", "--restart"];
    proxy.crossfade(&restart).await.unwrap();
    // The trigger of `users` stamps the repaired row; the copy brings the time of its source along.
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    let repaired = "SELECT count(*) FROM users WHERE full_name = 'x'";
    assert_eq!(control::number(&client, repaired).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_verify_by_ranges_goes_on_where_it_stopped() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("ranges", Phase::DualWrite).await.unwrap();
    let client = world.client(&world.postgres.url("ranges")).await.unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let total = "SELECT count(*) FROM iso_agents";
    let total = number(&client, total).await.unwrap();

    // Sixty rows in a second, a fifth of them at once.
    let args = ["verify", "iso_agents", "--by-ranges"];
    let slow = [&args[..], &["--throttle", "60"]].concat();
    let verify = Running::start(&proxy.config(), &slow).unwrap();
    let begun = "SELECT to_regclass('crossfade.verify_progress') IS NOT NULL \
         AND EXISTS (SELECT FROM crossfade.verify_progress WHERE last_key IS NOT NULL)";
    until(&client, begun).await.unwrap();
    verify.kill().await.unwrap();
    let passed = "SELECT count(*) FROM iso_agents, crossfade.verify_progress \
         WHERE id <= (last_key->>0)::uuid";
    let passed = number(&client, passed).await.unwrap();
    assert!((1..total).contains(&passed), "{passed} of {total}");

    // What it has passed it does not see again; what is ahead of it, it does.
    let plant = "UPDATE users SET full_name = 'planted' WHERE id = (SELECT id FROM iso_agents, \
         crossfade.verify_progress WHERE id OP (last_key->>0)::uuid ORDER BY id LIMIT 1)";
    for operator in ["<=", ">"] {
        let plant = plant.replace("OP", operator);
        assert_eq!(client.execute(&plant, &[]).await.unwrap(), 1);
    }
    // Unified rows above the last legacy key are looked at as well.
    client
        .batch_execute(
            "INSERT INTO users (id, clerk_user_id, email, full_name, role) VALUES \
             ('ffffffff-ffff-4fff-bfff-ffffffffffff', 'x', 'x@example.com', 'extra', 'admin')",
        )
        .await
        .unwrap();
    let ended = control::run(&proxy.config(), &args).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.errors.contains("goes on after"), "{ended:#?}");
    for text in [
        format!("public.iso_agents ({total} rows)"),
        "missing 0   extra 1   different 1".to_owned(),
        "full_name differs in 1 rows".to_owned(),
    ] {
        assert!(ended.output.contains(&text), "{text}: {ended:#?}");
    }
    let anew = control::run(&proxy.config(), &args).await.unwrap();
    assert!(anew.output.contains("extra 1   different 2"), "{anew:#?}");
    let recorded = "SELECT count(*) FROM crossfade.verifications WHERE NOT clean";
    assert_eq!(number(&client, recorded).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuous_verify_finds_what_goes_wrong_between_two_passes() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("again", Phase::DualWrite).await.unwrap();
    let client = world.client(&world.postgres.url("again")).await.unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let verify = Running::start(&proxy.config(), &["verify", "iso_agents", "--continuous"]);
    let verify = verify.unwrap();
    let found = |clean: &str, times: u32| {
        format!("SELECT count(*) >= {times} FROM crossfade.verifications WHERE {clean}")
    };
    until(&client, &found("clean", 2)).await.unwrap();
    let plant = "DELETE FROM users WHERE clerk_user_id = 'user_7'";
    assert_eq!(client.execute(plant, &[]).await.unwrap(), 1);
    until(
        &client,
        &found("NOT clean AND missing = 1 AND different = 0", 2),
    )
    .await
    .unwrap();
    // Pass after pass that finds the same is one event.
    let events = "SELECT count(*) FROM crossfade.events WHERE kind = 'verify'";
    assert_eq!(number(&client, events).await.unwrap(), 2);
    // It outlives its connection, and goes on to find what happens meanwhile.
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = 'crossfade verify' AND datname = current_database()";
    assert_eq!(number(&client, cut).await.unwrap(), 1);
    let plant = "UPDATE users SET full_name = 'meanwhile' WHERE clerk_user_id = 'user_8'";
    assert_eq!(client.execute(plant, &[]).await.unwrap(), 1);
    until(&client, &found("missing = 1 AND different = 1", 2))
        .await
        .unwrap();
    verify.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_were_compared_by_other_rules_are_compared_again() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("changed", Phase::DualWrite).await.unwrap();
    let client = world.client(&world.postgres.url("changed")).await.unwrap();
    // Rows that a mapping makes the same, and another one does not.
    let file = proxy.rule_file();
    let rules = std::fs::read_to_string(&file).unwrap();
    let name = "full_name     = { type = \"text\" }";
    let blind = rules.replace(name, "full_name = { type = \"text\", verify = false }");
    assert_ne!(blind, rules);
    std::fs::write(&file, &blind).unwrap();
    proxy.crossfade(&["apply"]).await.unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    client
        .batch_execute("UPDATE users SET full_name = full_name || ' (unlike)'")
        .await
        .unwrap();
    let args = ["verify", "iso_agents", "--by-ranges"];
    let slow = [&args[..], &["--throttle", "60"]].concat();
    let verify = Running::start(&proxy.config(), &slow).unwrap();
    let begun = "SELECT EXISTS (SELECT FROM crossfade.verify_progress WHERE last_key IS NOT NULL)";
    until(&client, begun).await.unwrap();
    verify.kill().await.unwrap();
    std::fs::write(&file, &rules).unwrap();
    proxy.crossfade(&["apply"]).await.unwrap();
    let total = "SELECT count(*) FROM iso_agents";
    let total = number(&client, total).await.unwrap();
    let ended = control::run(&proxy.config(), &args).await.unwrap();
    for text in [
        "its rules have changed since; begins anew".to_owned(),
        format!("full_name differs in {total} rows"),
    ] {
        let said = ended.errors.contains(&text) || ended.output.contains(&text);
        assert!(said, "`{text}`: {ended:#?}");
    }
}
