//! `crossfade demo` as a test of everything at once, and of what it leaves behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use crossfade_tests::binary;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A directory for temporary files that the server's own user can reach as well.
fn temporary() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn demo(dir: &Path, args: &[&str]) -> Child {
    Command::new(binary::crossfade())
        .arg("demo")
        .args(args)
        .env("TMPDIR", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Processes whose command line names the directory: servers, proxies, commands.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(dir))
        .collect()
}

fn assert_nothing_left(dir: &Path) {
    let files: Vec<_> = dir.read_dir().unwrap().flatten().collect();
    assert!(files.is_empty(), "left behind: {files:?}");
    assert_eq!(processes_of(dir), Vec::<String>::new());
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
}

#[tokio::test]
async fn a_table_moves_through_every_phase_and_no_client_notices() {
    let dir = temporary();
    let args = ["--rows", "1000", "--seconds-per-phase", "0.4"];
    let output = demo(dir.path(), &args).wait_with_output().await.unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for line in ["client errors", "missing", "extra", "different"] {
        let summary = text
            .lines()
            .rev()
            .find(|said| said.trim_start().starts_with(line))
            .unwrap_or_else(|| panic!("no `{line}` in:\n{text}"));
        assert!(summary.ends_with(" 0"), "{summary}");
    }
    assert!(text.contains("unified_only -> retired"), "{text}");
    assert!(text.contains("unified_read -> dual_read"), "{text}");
    assert_nothing_left(dir.path());
}

/// Plays a shipped migration in short: under its application's statements every answer is the one that a database
/// left alone gives, in every phase.
async fn plays(migration: &str) {
    let dir = temporary();
    let args = [
        "--migration",
        migration,
        "--rows",
        "200",
        "--seconds-per-phase",
        "0.4",
        "--json",
    ];
    let output = demo(dir.path(), &args).wait_with_output().await.unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for phase in summary["phases"].as_array().unwrap() {
        assert!(phase["statements"].as_u64().unwrap() > 0, "{phase}\n{text}");
        assert_eq!(phase["refused"], 0, "{text}");
        assert_eq!(phase["different"], 0, "{text}");
    }
    assert_eq!(summary["phases"].as_array().unwrap().len(), 7);
    assert!(summary["rows_compared"].as_u64().unwrap() > 600, "{text}");
    assert_nothing_left(dir.path());
}

#[tokio::test]
async fn agents_move_under_what_postgrest_sends() {
    plays("iso_agents").await;
}

#[tokio::test]
async fn settings_are_split_under_what_sqlalchemy_sends() {
    plays("user_settings").await;
}

#[tokio::test]
async fn users_are_merged_under_what_django_sends() {
    plays("enhanced_user").await;
}

#[tokio::test]
async fn owners_and_customers_become_users_under_what_prisma_sends() {
    plays("studio_customers").await;
}

#[tokio::test]
async fn tenants_tables_become_one_under_what_django_tenants_sends() {
    plays("tenant_schemas").await;
}

#[tokio::test]
async fn the_migrations_are_listed_and_another_one_is_told_which_there_are() {
    let dir = temporary();
    let listed = demo(dir.path(), &["--list"])
        .wait_with_output()
        .await
        .unwrap();
    for name in [
        "iso_agents",
        "user_settings",
        "enhanced_user",
        "studio_customers",
        "tenant_schemas",
    ] {
        assert!(text(&listed).contains(name), "{}", text(&listed));
    }
    let none = demo(dir.path(), &["--migration", "nothing"])
        .wait_with_output()
        .await
        .unwrap();
    assert!(!none.status.success());
    let said = text(&none);
    assert!(
        said.contains("`nothing` is no shipped migration") && said.contains("studio_customers"),
        "{said}"
    );
}

#[tokio::test]
async fn an_interrupted_demo_leaves_neither_processes_nor_files() {
    let dir = temporary();
    let mut child = demo(dir.path(), &["--rows", "1000"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // In the middle of things: both tables are written, a command is running.
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("crossfade backfill") {
            break;
        }
    }
    assert!(
        processes_of(dir.path()).len() >= 2,
        "nothing is running yet"
    );
    let pid = child.id().unwrap().to_string();
    let kill = Command::new("sh")
        .args(["-c", "kill -INT $0", &pid])
        .status()
        .await
        .unwrap();
    assert!(kill.success());
    let status = child.wait().await.unwrap();
    assert_eq!(status.code(), Some(130));
    assert_nothing_left(dir.path());
}
