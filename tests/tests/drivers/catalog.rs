//! Clients that look a table up in the catalog find a retired one as they found it before: psql, pg_dump, SQLAlchemy, Alembic,
//! Django and `information_schema`, straight and through Crossfade, after the table was dropped.

use std::collections::BTreeMap;
use std::process::Output;

use crossfade_tests::program::installed;
use crossfade_tests::retired::Retired;
use crossfade_tests::{World, python};
use tokio::process::Command;

/// What `catalog.py` says of each step.
async fn looked_up(url: &str) -> BTreeMap<String, String> {
    let said = python("catalog.py", &[url]).await.unwrap();
    assert!(said.succeeded, "{}", said.errors);
    let lines = said.output.lines().map(|line| {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        (told["step"].as_str().unwrap().to_owned(), line.to_owned())
    });
    let lines: BTreeMap<String, String> = lines.collect();
    assert_eq!(lines.len(), 11, "{}", said.output);
    lines
}

#[track_caller]
fn alike(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    differ: &[(&str, &str)],
) {
    for (step, line) in before {
        let found = &after[step];
        match differ.iter().find(|(known, _)| known == step) {
            Some((_, says)) => assert!(found.contains(says), "{found}"),
            None => assert_eq!(found, line, "{step}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orms_find_a_dropped_table_in_the_catalog_as_it_was() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "looked_up").await.unwrap();
    // Django's own tables are made.
    looked_up(&world.direct_url("looked_up")).await;
    let before = looked_up(&world.direct_url("looked_up")).await;
    let told = |step: &str, says: &str| assert!(before[step].contains(says), "{}", before[step]);
    told("SQLAlchemy: Inspector", "agents_region");
    told("SQLAlchemy: create_all", "\"told\": []");
    told("Alembic: autogenerate", "\"told\": []");
    told("Django: inspectdb", "upper_name");
    told("Django: migrate --check", "\"told\": \"");
    told("information_schema.columns", "email");
    assert!(it.retire(&[]).await.unwrap().status.success());
    // It reads a row, to see the columns of the result.
    let reads = [(
        "Django: inspectdb",
        "what bears its name is an empty stand-in",
    )];
    let straight = looked_up(&world.direct_url("looked_up")).await;
    alike(&before, &straight, &reads);
    it.drop_table().await.unwrap();
    alike(&before, &looked_up(&it.proxy.url()).await, &[]);
    alike(
        &before,
        &looked_up(&world.direct_url("looked_up")).await,
        &[],
    );
}

async fn program(world: &World, name: &str, args: &[&str]) -> Output {
    let mut command = Command::new(installed(&world.postgres.bin(name)));
    command
        .args(args)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

async fn says(world: &World, name: &str, args: &[&str]) -> Vec<String> {
    let output = program(world, name, args).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {errors}");
    let output = String::from_utf8_lossy(&output.stdout);
    let lines = output.lines().map(str::trim_end);
    // A dump has a random word in it, since some minor releases.
    let lines =
        lines.filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.map(str::to_owned).collect()
}

/// The lines of one that are not in the other.
fn without(lines: &[String], others: &[String]) -> Vec<String> {
    let missing = lines.iter().filter(|line| !others.contains(line));
    missing.cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_and_pg_dump_show_a_dropped_table_with_a_policy_and_a_trigger_more() {
    let world = World::start().await.unwrap();
    let it = Retired::start(&world, "shown").await.unwrap();
    let straight = world.direct_url("shown");
    let described = async |url: &str| says(&world, "psql", &["-X", "-c", "\\d+ agents", url]).await;
    let dumped = async |more: &[&str]| {
        let args = [&["--table", "agents", straight.as_str()], more].concat();
        says(&world, "pg_dump", &args).await
    };
    let whole = async |more: &[&str]| {
        let args = [&["--schema", "public", straight.as_str()], more].concat();
        let output = program(&world, "pg_dump", &args).await;
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (shown, dump) = (described(&straight).await, dumped(&["--schema-only"]).await);
    assert!(shown.len() > 20 && dump.len() > 40, "{shown:#?}{dump:#?}");
    assert!(it.retire(&[]).await.unwrap().status.success());
    // On probation its owner dumps the data of neither table, unless it is told to leave them out.
    assert!(
        whole(&[])
            .await
            .contains("permission denied for table cf_retired_agents")
    );
    let without_it = ["--exclude-table=public.cf_retired_agents"];
    assert!(
        whole(&without_it)
            .await
            .contains("row-level security policy")
    );
    let without_data = [without_it[0], "--exclude-table-data=public.agents"];
    assert_eq!(whole(&without_data).await, "");
    it.drop_table().await.unwrap();
    assert_eq!(whole(&[]).await, "");

    let now = described(&straight).await;
    assert_eq!(described(&it.proxy.url()).await, now);
    assert_eq!(without(&shown, &now), [""; 0], "{now:#?}");
    let more = without(&now, &shown);
    let (policy, trigger) = ("POLICY \"crossfade_stand_in\"", "crossfade_stand_in BEFORE");
    assert_eq!(more.len(), 5, "{more:#?}");
    assert!(more[0].starts_with("Policies:"), "{more:#?}");
    assert!(
        more[1].contains(policy) && more[4].contains(trigger),
        "{more:#?}"
    );

    let now = dumped(&["--schema-only"]).await;
    let words = [
        "crossfade_stand_in",
        "ROW LEVEL SECURITY",
        "ROW SECURITY",
        "agents_nr_seq",
    ];
    for line in without(&now, &dump).iter().chain(&without(&dump, &now)) {
        assert!(
            words.iter().any(|word| line.contains(word)),
            "{line}: {now:#?}"
        );
    }
}
