//! Rows that the new application hides from legacy readers, or deletes: what becomes of them in the
//! legacy table is what the rule file says, and nothing goes that nobody deleted.

use crossfade_testbed::iso_agents;
use crossfade_tests::answer::comparable;
use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::raw::RawClient;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const RULES: &str = include_str!("../../../rewrite-rules/rules/iso_agents.toml");

struct Sides {
    world: World,
    proxy: Proxy,
    direct: Client,
}

/// A migration whose rule file says this of hidden rows, if it says anything.
async fn sides(phase: Phase, when_hidden: Option<&str>) -> anyhow::Result<Sides> {
    let world = World::start().await?;
    world.database("moved").await?;
    let direct = world.postgres.connect("moved").await?;
    iso_agents::carry_over(&direct).await?;
    let proxy = Proxy::with_config(&world.postgres, "moved", "")?;
    let said = when_hidden.map_or(String::new(), |word| format!("when_hidden = \"{word}\"\n"));
    let rules = RULES.replace("when_hidden = \"keep\"\n", &said).replace(
        "\nphase = \"legacy_only\"\n",
        &format!("\nphase = \"{phase}\"\n"),
    );
    proxy.write_rules("iso_agents", &rules)?;
    proxy.crossfade(&["prepare"]).await?;
    let proxy = proxy.serve().await?;
    Ok(Sides {
        world,
        proxy,
        direct,
    })
}

impl Sides {
    async fn run(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut client = RawClient::connect(self.proxy.port, "moved").await?;
        Ok(comparable(&client.simple(sql).await?))
    }

    async fn count(&self, from: &str) -> anyhow::Result<i64> {
        let sql = format!("SELECT count(*) FROM {from}");
        Ok(self.direct.query_one(&sql, &[]).await?.get(0))
    }

    /// Agents whose unified rows are gone for legacy readers, their legacy rows, their client profiles,
    /// and the keys in the ledger.
    async fn state(&self) -> anyhow::Result<[i64; 4]> {
        let agents = "email IN ('agent.1@example.com', 'agent.11@example.com')";
        let profiles = "client_profiles WHERE iso_agent_id IN (md5('iso_agent 1')::uuid, md5('iso_agent 11')::uuid)";
        Ok([
            self.count(&format!("users WHERE role <> 'customer' AND {agents}"))
                .await?,
            self.count(&format!("iso_agents WHERE {agents}")).await?,
            self.count(profiles).await?,
            self.count("crossfade.divergence").await?,
        ])
    }
}

const DUAL: [Phase; 4] = [
    Phase::DualWrite,
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
];

const HIDE: &str = "UPDATE users SET role = 'customer' WHERE email = 'agent.1@example.com'";
const DELETE: &str = "DELETE FROM users WHERE email = 'agent.11@example.com' RETURNING role";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_new_application_hides_or_deletes_stays_in_legacy_unless_the_rules_say_more()
-> anyhow::Result<()> {
    for when_hidden in [None, Some("keep")] {
        for phase in DUAL {
            let sides = sides(phase, when_hidden).await?;
            assert_eq!(sides.run(HIDE).await?[0], "C UPDATE 1", "{phase}");
            assert_eq!(sides.state().await?, [1, 2, 2, 1], "{phase}");
            let deleted = sides.run(DELETE).await?;
            assert_eq!(deleted[2], "C DELETE 1", "{phase}: {deleted:?}");
            // Once unified leads, a deleted row is gone on both sides.
            let expected = match phase {
                Phase::UnifiedRead => [0, 1, 1, 1],
                _while_legacy_leads => [0, 2, 2, 2],
            };
            assert_eq!(sides.state().await?, expected, "{phase}");
            let told =
                "SELECT DISTINCT sqlstate || ' ' || left(reason, 4) FROM crossfade.divergence";
            let told: String = sides.direct.query_one(told, &[]).await?.get(0);
            assert_eq!(told, "CF003 kept", "{phase}");
            // It is there again as soon as the new application shows it, with what it set.
            sides
                .run("UPDATE users SET role = 'admin', full_name = 'Back' WHERE email = 'agent.1@example.com'")
                .await?;
            let back = "iso_agents WHERE email = 'agent.1@example.com' AND role = 'admin' AND full_name = 'Back'";
            assert_eq!(sides.count(back).await?, 1, "{phase}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_row_is_removed_or_refused_where_the_rules_say_so() -> anyhow::Result<()> {
    for phase in DUAL {
        let removing = sides(phase, Some("remove")).await?;
        assert_eq!(removing.run(HIDE).await?[0], "C UPDATE 1", "{phase}");
        assert_eq!(removing.run(DELETE).await?[2], "C DELETE 1", "{phase}");
        assert_eq!(removing.state().await?, [0, 0, 0, 0], "{phase}");

        let refusing = sides(phase, Some("refuse")).await?;
        let refused = refusing.run(HIDE).await?;
        assert!(
            refused[0].contains("55000") && refused[0].contains("would not be there any more"),
            "{phase}: {refused:?}"
        );
        assert_eq!(refusing.state().await?, [2, 2, 2, 0], "{phase}");
        let deleted = refusing.run(DELETE).await?;
        let expected = match phase {
            Phase::UnifiedRead => [1, 1, 1, 0],
            _while_legacy_leads => {
                assert!(deleted[0].contains("55000"), "{phase}: {deleted:?}");
                [2, 2, 2, 0]
            }
        };
        assert_eq!(refusing.state().await?, expected, "{phase}");
        // A row that legacy has no more is nobody's to keep.
        let mut old = RawClient::connect(refusing.world.postgres.port, "moved").await?;
        old.simple("DELETE FROM iso_agents WHERE email = 'agent.2@example.com'")
            .await?;
        let hidden = refusing
            .run("UPDATE users SET role = 'customer' WHERE email = 'agent.2@example.com'")
            .await?;
        assert_eq!(hidden[0], "C UPDATE 1", "{phase}");
    }
    Ok(())
}

/// The statement's snapshot shows the row as it was before the other hid it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_shown_again_by_whoever_waited_for_its_hiding_reaches_legacy()
-> anyhow::Result<()> {
    for phase in DUAL {
        let sides = sides(phase, Some("remove")).await?;
        let (first, second) = (sides.proxy.client().await?, sides.proxy.client().await?);
        let process = pid(&second).await?;
        first.batch_execute(&format!("BEGIN; {HIDE}")).await?;
        let show = "UPDATE users SET role = 'operator' WHERE email = 'agent.1@example.com'";
        let (shown, waited) = tokio::join!(second.batch_execute(show), async {
            until_blocked(&sides.direct, process).await?;
            first.batch_execute("COMMIT").await?;
            anyhow::Ok(())
        });
        waited?;
        shown?;
        let there = "iso_agents WHERE email = 'agent.1@example.com' AND role = 'operator'";
        assert_eq!(sides.count(there).await?, 1, "{phase}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_asks_what_becomes_of_hidden_rows_where_foreign_keys_refer_to_them()
-> anyhow::Result<()> {
    let asks = "does not say what becomes of a row there";
    for (when_hidden, asked) in [(None, true), (Some("keep"), false)] {
        let sides = sides(Phase::DualWrite, when_hidden).await?;
        let said = match sides.proxy.crossfade(&["check", "iso_agents"]).await {
            Ok(said) => said,
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(said.contains(asks), asked, "{said}");
    }
    Ok(())
}
