//! A command that sleeps behind its look at the phase, as on a machine that swaps, while others take steps: it writes
//! nothing by what is over.

use crossfade::fault;
use crossfade_tests::control::{Running, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const UNTIE: &str = "\
    ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey; \
    ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey";
const DELETE: &str = "DELETE FROM iso_agents WHERE clerk_user_id = 'user_2'";
const CHANGE: &str = "UPDATE iso_agents SET full_name = 'Changed' WHERE clerk_user_id = 'user_3'";
const INSERT: &str = "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('user_late', 'late@example.com', 'Late')";
/// How many rows of the unified table have missed what the client did there.
const UNDONE: &str = "SELECT count(*) FROM users WHERE clerk_user_id = 'user_2' \
    OR clerk_user_id = 'user_3' AND full_name <> 'Changed'";
const CLOSED: &str = "NOT EXISTS (SELECT FROM crossfade.epochs WHERE closed_at IS NULL \
    AND epoch < (SELECT max(epoch) FROM crossfade.epochs))";

struct Place {
    proxy: Proxy,
    through: Client,
    direct: Client,
    _world: World,
}

impl Place {
    async fn served(name: &str) -> Place {
        let world = World::start().await.unwrap();
        world.database(name).await.unwrap();
        let proxy = Proxy::with_rules(&world.postgres, name, Phase::LegacyOnly).unwrap();
        let proxy = proxy.serve().await.unwrap();
        Place {
            through: proxy.client().await.unwrap(),
            direct: world.client(&world.postgres.url(name)).await.unwrap(),
            proxy,
            _world: world,
        }
    }

    async fn steps(&self, commands: &[&str]) {
        for command in commands {
            let mut args: Vec<&str> = command.split(' ').collect();
            args.insert(1, "iso_agents");
            self.proxy.crossfade(&args).await.unwrap();
        }
    }

    /// Past all gates, and until the proxy has seen to it that nobody can write as before.
    async fn turned(&self, phase: Phase) {
        self.proxy.turn_to("iso_agents", phase).await.unwrap();
        until(&self.direct, CLOSED).await.unwrap();
    }

    async fn sleeps(&self, command: &str, point: &str) -> Running {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.insert(1, "iso_agents");
        let stops = [(fault::STOP_VARIABLE, point)];
        let running = Running::start_with(&self.proxy.config(), &args, &stops).unwrap();
        running.until_stopped().await.unwrap();
        running
    }
}

async fn is_refused(running: Running, phase: Phase) {
    running.go_on().unwrap();
    let ended = running.end().await.unwrap();
    assert!(!ended.status.success(), "{ended:#?}");
    let told = format!("iso_agents is in {phase} now");
    assert!(ended.errors.contains(&told), "{ended:#?}");
}

#[tokio::test]
async fn a_backfill_that_slept_does_not_copy_over_what_unified_took_alone() {
    let place = Place::served("slept").await;
    place
        .steps(&["advance", "backfill", "verify", "advance", "advance"])
        .await;
    let asleep = place
        .sleeps("backfill --restart", fault::BACKFILL_DRAINED)
        .await;
    place.steps(&["advance"]).await;
    place.direct.batch_execute(UNTIE).await.unwrap();
    place.steps(&["advance"]).await;
    place.through.execute(DELETE, &[]).await.unwrap();
    place.through.execute(CHANGE, &[]).await.unwrap();
    place.steps(&["rollback"]).await;
    is_refused(asleep, Phase::UnifiedRead).await;
    assert_eq!(number(&place.direct, UNDONE).await.unwrap(), 0);
    // Nor does it say that it was complete, or that it began.
    place
        .steps(&["backfill --reverse", "verify", "rollback"])
        .await;
}

#[tokio::test]
async fn a_backfill_that_slept_over_legacy_only_is_void_and_copies_nothing() {
    let place = Place::served("slept_void").await;
    place.steps(&["advance"]).await;
    let asleep = place.sleeps("backfill", fault::BACKFILL_BEGUN).await;
    place.steps(&["rollback"]).await;
    is_refused(asleep, Phase::LegacyOnly).await;
    let copied = "SELECT count(*) FROM users";
    assert_eq!(number(&place.direct, copied).await.unwrap(), 0);
    let complete = "SELECT count(*) FROM crossfade.backfill WHERE state <> 'void'";
    assert_eq!(number(&place.direct, complete).await.unwrap(), 0);
}

#[tokio::test]
async fn a_reverse_backfill_that_slept_removes_nothing_from_legacy_once_that_leads_again() {
    for point in [fault::BACKFILL_DRAINED, fault::BACKFILL_BEGUN] {
        let place = Place::served("slept_back").await;
        place
            .steps(&[
                "advance", "backfill", "verify", "advance", "advance", "advance",
            ])
            .await;
        let asleep = place.sleeps("backfill --reverse", point).await;
        for phase in [Phase::DualRead, Phase::ShadowRead, Phase::DualWrite] {
            place.turned(phase).await;
        }
        place.turned(Phase::LegacyOnly).await;
        place.through.execute(INSERT, &[]).await.unwrap();
        is_refused(asleep, Phase::LegacyOnly).await;
        let there = "SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'user_late'";
        assert_eq!(number(&place.direct, there).await.unwrap(), 1, "{point}");
    }
}

#[tokio::test]
async fn a_repair_that_slept_does_not_put_back_what_it_had_found() {
    let place = Place::served("slept_repair").await;
    place
        .steps(&["advance", "backfill", "verify", "advance", "advance"])
        .await;
    let differs = "UPDATE users SET full_name = 'Otherwise' WHERE clerk_user_id = 'user_3'; \
        DELETE FROM users WHERE clerk_user_id = 'user_2'";
    place.direct.batch_execute(differs).await.unwrap();
    let asleep = place
        .sleeps("verify --repair", fault::REPAIR_COMPARED)
        .await;
    place.turned(Phase::UnifiedRead).await;
    place.turned(Phase::UnifiedOnly).await;
    place.through.execute(CHANGE, &[]).await.unwrap();
    is_refused(asleep, Phase::UnifiedOnly).await;
    assert_eq!(number(&place.direct, UNDONE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_backfill_that_slept_over_a_step_within_its_phases_goes_on() {
    let place = Place::served("slept_on").await;
    place.steps(&["advance"]).await;
    let asleep = place.sleeps("backfill", fault::BACKFILL_BEGUN).await;
    place.turned(Phase::ShadowRead).await;
    asleep.go_on().unwrap();
    let ended = asleep.end().await.unwrap();
    assert!(ended.status.success(), "{ended:#?}");
    place.steps(&["verify", "advance"]).await;
}
