//! `crossfade infer` drafts a rule file that, once decided, fits; `crossfade explain` shows what a
//! statement becomes.

use crossfade_tests::{World, binary, control};
use rewrite_rules::Phase;

/// What only somebody who knows the application can say: what stands in the draft, what is decided.
const DECISIONS: [(&str, &str); 4] = [
    ("# visible = \"…\"", "visible = \"role <> 'customer'\""),
    (
        "role = { type = \"public.user_role\", default = \"'iso_agent'::public.user_role\" }",
        "role = { type = \"public.user_role\", default = \"'iso_agent'\", values = { iso_agent = \"sales_rep\", admin = \"admin\", operator = \"operator\" } }",
    ),
    (
        "# DECIDE: phone of a copied row; left out: NULL.",
        "phone = \"metadata->>'phone'\"",
    ),
    (
        "# DECIDE: timezone of a copied row; left out: its default, 'UTC'::character varying.",
        "timezone = \"coalesce(nullif(metadata->>'timezone', ''), 'UTC')\"",
    ),
];

async fn crossfade(args: &[&str]) -> anyhow::Result<String> {
    let output = tokio::process::Command::new(binary::crossfade())
        .args(args)
        .output()
        .await?;
    let said = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{args:?}: {said}{errors}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_was_decided_passes_the_check() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("drafted", Phase::LegacyOnly).await?;
    let url = world.postgres.url("drafted");
    let arguments = [
        "infer",
        "--legacy",
        "iso_agents",
        "--unified",
        "public.users",
        "--control",
        &url,
    ];
    let mut draft = crossfade(&arguments).await?;
    for expected in [
        "key     = [\"id\"]",
        "id = { type = \"uuid\", default = \"gen_random_uuid()\" }",
        "updated_at = { type = \"timestamp with time zone\", default = \"now()\", set_by_trigger = true }",
        "# In use: admin, iso_agent, operator.",
        "iso_agents_pkey = \"users_pkey\"",
        "iso_agents_email_key = \"users_email_key\"",
    ] {
        assert!(draft.contains(expected), "{expected}\nis not in\n{draft}");
    }
    for (drafted, decided) in DECISIONS {
        assert!(draft.contains(drafted), "{drafted}\nis not in\n{draft}");
        draft = draft.replace(drafted, decided);
    }
    std::fs::write(proxy.rule_file(), &draft)?;
    let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
    let said = &checked.output;
    assert_eq!(
        checked.status.code(),
        Some(0),
        "{said}\n{}\n{draft}",
        checked.errors
    );
    assert!(said.contains("iso_agents: 0 errors"), "{said}");
    assert!(
        said.contains("301 rows read back as they were put"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_was_not_read_through_does_not_pass() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("drafted", Phase::LegacyOnly).await?;
    let operator = world.postgres.connect("drafted").await?;
    operator
        .batch_execute(
            "ALTER TABLE users ADD must int NOT NULL; ALTER TABLE iso_agents ADD own text",
        )
        .await?;
    let url = world.postgres.url("drafted");
    let arguments = [
        "infer",
        "--legacy",
        "public.iso_agents",
        "--unified",
        "users",
        "--control",
        &url,
    ];
    let draft = crossfade(&arguments).await?;
    assert!(
        draft.contains("own = { type = \"text\", unified = \"DECIDE\" }"),
        "{draft}"
    );
    assert!(draft.contains("must = \"DECIDE\""), "{draft}");
    std::fs::write(proxy.rule_file(), &draft)?;
    let checked = control::run(&proxy.config(), &["check", "iso_agents"]).await?;
    assert_ne!(
        checked.status.code(),
        Some(0),
        "{}\n{draft}",
        checked.output
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_every_phase_and_the_servers_plan() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("explained", Phase::DualWrite).await?;
    let url = world.postgres.url("explained");
    let rules = proxy.rules_dir();
    let rules = rules.to_str().expect("a path of ours");
    let sql = "UPDATE iso_agents SET full_name = $1 WHERE id = $2";
    let said = crossfade(&[
        "explain",
        "--rules",
        rules,
        "--plan",
        "--role",
        "app",
        "--control",
        &url,
        sql,
    ])
    .await?;
    assert!(said.starts_with("-- legacy_only\npasses through"), "{said}");
    for phase in Phase::ALL {
        assert!(said.contains(phase.name()), "{phase}\n{said}");
    }
    assert!(
        said.contains("after   {+WITH cf_new AS (+}UPDATE"),
        "{said}"
    );
    assert!(
        said.contains("plan    ") && said.contains("Index Scan"),
        "{said}"
    );
    assert!(!said.contains("no plan"), "{said}");
    let sent = crossfade(&[
        "explain",
        "--rules",
        rules,
        "--phase",
        "unified_only",
        "--plain",
        sql,
    ])
    .await?;
    assert!(
        sent.starts_with("UPDATE \"public\".\"users\" AS cf_u SET"),
        "{sent}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_nothing_of_several_statements() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("planned", Phase::DualWrite).await?;
    let operator = world.postgres.connect("planned").await?;
    let url = world.postgres.url("planned");
    let rules = proxy.rules_dir();
    let rules = rules.to_str().expect("a path of ours");
    let sql = "SELECT 1 FROM iso_agents; CREATE TABLE made (); COMMIT";
    let said = crossfade(&[
        "explain",
        "--rules",
        rules,
        "--plan",
        "--role",
        "app",
        "--control",
        &url,
        sql,
    ])
    .await?;
    assert!(
        said.contains("no plan: cannot insert multiple commands"),
        "{said}"
    );
    let made = "SELECT count(*) FROM pg_class WHERE relname = 'made'";
    assert_eq!(control::number(&operator, made).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_and_indexes_do_not_mislead_a_draft() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("odd").await?;
    let operator = world.postgres.connect("odd").await?;
    operator
        .batch_execute(
            "CREATE TABLE old (\"pr(ice\" int, id int, UNIQUE (id)); \
             CREATE TABLE new (\"pr(ice\" int, id int); \
             CREATE UNIQUE INDEX ON new (id) INCLUDE (\"pr(ice\"); \
             CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN NEW.\"pr(ice\" := 1; RETURN NEW; END'; \
             CREATE TRIGGER stamp BEFORE UPDATE ON old FOR EACH ROW EXECUTE FUNCTION stamp(); \
             CREATE TRIGGER stamp BEFORE UPDATE ON new FOR EACH ROW EXECUTE FUNCTION stamp()",
        )
        .await?;
    let url = world.postgres.url("odd");
    let draft = crossfade(&[
        "infer",
        "--legacy",
        "old",
        "--unified",
        "new",
        "--control",
        &url,
    ])
    .await?;
    let column = "\"pr(ice\" = { type = \"integer\", set_by_trigger = true }";
    assert!(draft.contains(column), "{draft}");
    // The index holds another column, and is unique on the key all the same.
    assert!(
        !draft.contains("no unique index on exactly these"),
        "{draft}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_says_what_fills_a_column_and_what_stands_between_two_types() -> anyhow::Result<()>
{
    let world = World::start().await?;
    world.database("filled_in").await?;
    let operator = world.postgres.connect("filled_in").await?;
    operator
        .batch_execute(
            "CREATE DOMAIN zip AS varchar(5) CHECK (VALUE ~ '^VALUE?[0-9]+$'); \
             CREATE TABLE staff (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             nr integer GENERATED BY DEFAULT AS IDENTITY, pay numeric(6,2), zip zip, sent timestamp, born date, \
             kind integer, yearly numeric(9,2) GENERATED ALWAYS AS (pay * 12) STORED); \
             CREATE TABLE people (id bigint PRIMARY KEY, nr integer, pay numeric(6,2), zip text, sent timestamptz, \
             born text, kind text, yearly numeric(9,2) GENERATED ALWAYS AS (pay * 12) STORED)",
        )
        .await?;
    let url = world.postgres.url("filled_in");
    let arguments = [
        "infer",
        "--legacy",
        "staff",
        "--unified",
        "people",
        "--control",
        &url,
    ];
    let draft = crossfade(&arguments).await?;
    for expected in [
        "id = { type = \"integer GENERATED ALWAYS AS IDENTITY\", unified_type = \"bigint\" }",
        "nr = { type = \"integer GENERATED BY DEFAULT AS IDENTITY\" }",
        "zip = { type = \"public.zip\", unified_type = \"text\", \
         holds = \"char_length(\\\"zip\\\") <= 5 AND ((\\\"zip\\\")::text ~ '^VALUE?[0-9]+$'::text)\" }",
        "cast = \"at time zone 'DECIDE'\" }",
        "cast = { unified = \"DECIDE\", legacy = \"DECIDE\" } }",
        "kind = { type = \"integer\", unified_type = \"text\", holds = \"DECIDE\" }",
        "yearly = { type = \"numeric(9,2) GENERATED ALWAYS AS ((pay * (12)::numeric)) STORED\", \
         unified_type = \"numeric(9,2) GENERATED ALWAYS AS ((pay * (12)::numeric)) STORED\" }",
    ] {
        assert!(draft.contains(expected), "{expected}\nis not in\n{draft}");
    }
    Ok(())
}
