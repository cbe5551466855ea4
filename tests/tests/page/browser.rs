//! The page in a browser, where there is one: driven without scripts through a refusal, an advance and a rollback, and looked
//! at by axe (WCAG AA) in light and dark, wide and narrow.

use std::path::Path;
use std::process::Stdio;

use crossfade_tests::control::until;
use crossfade_tests::program::node_command;
use crossfade_tests::visit::{PASSWORD, PageFiles};
use crossfade_tests::world::CLERK;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const BROWSERS: [&str; 3] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
];

fn has_browser() -> bool {
    let has = std::env::var_os("CROSSFADE_CHROMIUM").is_some()
        || BROWSERS.iter().any(|path| Path::new(path).exists());
    if !has {
        println!("skipped: there is no Chromium here");
    }
    has
}

async fn served(world: &World, name: &str, phase: Phase, files: &PageFiles) -> Proxy {
    world
        .in_phase_with(name, phase, &files.config)
        .await
        .unwrap()
}

/// What the script has printed; `answers` is told each line, and what it gives back is said to the script.
async fn drive(
    what: &str,
    files: &PageFiles,
    mut answers: impl AsyncFnMut(&str) -> bool,
) -> String {
    let url = format!("http://localhost:{}", files.port);
    let pictures = std::env::var("CROSSFADE_PAGE_PICTURES").unwrap_or_default();
    let mut command = node_command("page.mjs", &[what, &url, "ann", PASSWORD, &pictures]).unwrap();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        println!("{line}");
        said += &line;
        said.push('\n');
        if answers(&line).await {
            stdin.write_all(b"done\n").await.unwrap();
        }
    }
    drop(stdin);
    let ended = child.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{errors}");
    for wrong in [
        "error:",
        "console:",
        "asks elsewhere:",
        "axe:",
        "too wide:",
        "few rules",
    ] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(wrong)).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
    said
}

#[tokio::test]
async fn an_operator_without_scripts_is_refused_advances_and_rolls_back() {
    if !has_browser() {
        return;
    }
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let _proxy = served(&world, "driven", Phase::LegacyOnly, &files).await;
    let operator = world.client(&world.postgres.url("driven")).await.unwrap();
    let registered = "to_regclass('crossfade.instances') IS NOT NULL AND EXISTS (SELECT FROM crossfade.instances)";
    until(&operator, registered).await.unwrap();
    let refuse = format!("REVOKE INSERT ON users FROM {CLERK}");
    operator.batch_execute(&refuse).await.unwrap();
    let said = drive("operate", &files, async |line| {
        let asked = line == "grant";
        if asked {
            let grant = format!("GRANT INSERT ON users TO {CLERK}");
            operator.batch_execute(&grant).await.unwrap();
        }
        asked
    })
    .await;
    assert!(
        said.contains("says: rollback dual_write → legacy_only: done."),
        "{said}"
    );
    let steps = "SELECT string_agg(concat_ws(' ', kind, from_phase, os_user, reason), ', ' ORDER BY id) \
        FROM crossfade.events WHERE to_phase IS NOT NULL";
    let steps: String = operator.query_one(steps, &[]).await.unwrap().get(0);
    let expected =
        "advance legacy_only ann (page) agreed, rollback dual_write ann (page) once more";
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn with_scripts_the_page_looks_again_by_itself_until_it_is_told_not_to() {
    if !has_browser() {
        return;
    }
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let _proxy = served(&world, "live", Phase::DualWrite, &files).await;
    let said = drive("live", &files, async |_| false).await;
    for line in [
        "keeps its place: /migrations/iso_agents/advance",
        "may be stopped: true",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

/// With something of everything on it: `CROSSFADE_PAGE_PICTURES` names a directory for pictures of it.
#[tokio::test]
async fn the_page_can_be_read_by_everybody_in_light_and_dark_wide_and_narrow() {
    if !has_browser() {
        return;
    }
    let world = World::start().await.unwrap();
    let files = PageFiles::new("show_values = true").unwrap();
    let proxy = served(&world, "seen", Phase::DualWrite, &files).await;
    let operator = world.client(&world.postgres.url("seen")).await.unwrap();
    operator
        .batch_execute(
            "UPDATE users SET full_name = 'Somebody Else' WHERE clerk_user_id = 'user_2'; \
             DELETE FROM users WHERE clerk_user_id = 'user_3'; \
             INSERT INTO crossfade.divergence (migration, legacy_table, key, reason, sqlstate, times) \
             SELECT 'iso_agents', '\"public\".\"iso_agents\"', to_jsonb(ARRAY[id::text]), \
             'duplicate key value violates unique constraint \"users_email_key\"', '23505', 3 \
             FROM iso_agents WHERE clerk_user_id = 'user_2'",
        )
        .await
        .unwrap();
    let _not_clean = proxy.crossfade(&["verify", "iso_agents"]).await;
    let back = ["rollback", "iso_agents"];
    proxy.crossfade(&back).await.unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    operator
        .batch_execute(
            "INSERT INTO crossfade.backfill (migration, legacy_table, run, state, chunk_rows, rows_estimated, rows_done, \
             rows_put, rows_per_second_max) VALUES ('iso_agents', '\"public\".\"iso_agents\"', gen_random_uuid(), \
             'running', 512, 60000, 21500, 20300, 5000); \
             INSERT INTO crossfade.work (work, migration, pid, began) \
             SELECT 'backfill', 'iso_agents', pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        )
        .await
        .unwrap();
    let client = proxy.client().await.unwrap();
    client
        .batch_execute("BEGIN; SET LOCAL application_name = 'night report'; SELECT * FROM iso_agents WHERE email = 'x'")
        .await
        .unwrap();
    let said = drive("look", &files, async |_| false).await;
    assert_eq!(said.matches("looked at ").count(), 24, "{said}");
}
