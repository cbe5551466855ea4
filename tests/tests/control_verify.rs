//! Verify: exact counts, and an exit code that a script can rely on.

use crossfade_tests::control;
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
