//! One script straight to a database that was left alone and through Crossfade in a few phases, and what
//! differs.

use std::collections::BTreeMap;
use std::fmt;

use crossfade_tests::names::{FUNCTIONS, Step};
use crossfade_tests::sides::AS_LEGACY;
use crossfade_tests::{Proxy, World};
use futures_util::future::try_join_all;
use rewrite_rules::Phase;

use super::side::{Played, Side};

const AGENTS: u32 = 9;
/// Writes that pass by the rules leave the sides apart in the first two, and change what nobody reads any
/// more in the last, where such reads are stale as well.
const PHASES: [Phase; 3] = [Phase::DualWrite, Phase::UnifiedRead, Phase::UnifiedOnly];

const MORE: &str = r#"
    ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey;
    ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey;
    CREATE SCHEMA other;
    CREATE SCHEMA tenant2;
    DO $$ BEGIN
        IF to_regrole('tenant') IS NULL THEN CREATE ROLE tenant; END IF;
    END $$;
    CREATE SCHEMA tenant;
    CREATE TABLE other.iso_agents (clerk_user_id text, email text, full_name text);
    INSERT INTO other.iso_agents SELECT n, 'agent.' || n || '@example.com', 'Other ' || n FROM generate_series(1, 5) AS n;
    CREATE TABLE tenant.iso_agents AS TABLE other.iso_agents;
    CREATE TABLE "ISO_AGENTS" AS TABLE other.iso_agents;
    CREATE TABLE "iso agents" AS TABLE other.iso_agents;
    CREATE TABLE notes (id int PRIMARY KEY, msg text);
    INSERT INTO notes VALUES (1, 'one'), (2, 'two');
    GRANT ALL ON SCHEMA other, tenant, tenant2, public TO PUBLIC;
    GRANT ALL ON ALL TABLES IN SCHEMA other, tenant, public TO PUBLIC;"#;

pub struct Bench {
    _world: World,
    straight: Side,
    moved: Vec<(Phase, Proxy, Side)>,
    /// What came of the scripts, by phase.
    pub counts: BTreeMap<&'static str, [u32; 2]>,
}

pub struct Difference {
    phase: Phase,
    step: String,
    expected: String,
    got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            phase,
            step,
            expected,
            got,
        } = self;
        write!(
            f,
            "{phase}, {step}\nPostgreSQL:\n{expected}\nCrossfade:\n{got}"
        )
    }
}

impl Bench {
    pub async fn start() -> anyhow::Result<Bench> {
        let more = format!("{MORE}{FUNCTIONS}");
        let world = World::start_filled(AGENTS, &more).await?;
        world.database("straight").await?;
        let mut straight = Side {
            port: world.postgres.port,
            database: "straight",
            direct: world.postgres.connect("straight").await?,
            rows: "public.iso_agents",
            begun: Vec::new(),
        };
        straight.keep(&["public.iso_agents"]).await?;
        let mut moved = Vec::new();
        for phase in PHASES {
            let database = phase.name();
            let proxy = world.in_phase(database, phase).await?;
            let direct = world.postgres.connect(database).await?;
            direct.batch_execute(GRANTS).await?;
            if !phase.writes_both() {
                let stale = "UPDATE iso_agents SET full_name = 'stale'";
                direct.batch_execute(stale).await?;
            }
            let mut side = Side {
                port: proxy.port,
                database,
                direct,
                rows: AS_LEGACY,
                begun: Vec::new(),
            };
            side.keep(&["public.iso_agents", "public.users"]).await?;
            moved.push((phase, proxy, side));
        }
        Ok(Bench {
            _world: world,
            straight,
            moved,
            counts: BTreeMap::new(),
        })
    }

    /// The first difference in each phase.
    pub async fn run(&mut self, script: &[Step]) -> anyhow::Result<Vec<Difference>> {
        let expected = self.straight.play(script, None).await?;
        let expected = &expected;
        let moved = self.moved.iter().map(async |(phase, _, side)| {
            let got = side.play(script, Some(expected)).await?;
            let apart = side.apart(*phase).await?;
            side.bring_back(&got).await?;
            anyhow::Ok((*phase, got, apart))
        });
        let played = try_join_all(moved).await?;
        self.straight.bring_back(expected).await?;
        let mut found = Vec::new();
        for (phase, got, apart) in played {
            let counts = self.counts.entry(phase.name()).or_default();
            counts[usize::from(got.refused)] += 1;
            found.extend(difference(phase, script, expected, &got, apart));
        }
        Ok(found)
    }

    pub fn log(&self) -> String {
        self.moved.iter().map(|(_, proxy, _)| proxy.log()).collect()
    }
}

const GRANTS: &str = "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC";

fn difference(
    phase: Phase,
    script: &[Step],
    expected: &Played,
    got: &Played,
    apart: Option<String>,
) -> Option<Difference> {
    let told = |step: String, expected: &str, got: &str| Difference {
        phase,
        step,
        expected: expected.to_owned(),
        got: got.to_owned(),
    };
    if let Some(apart) = apart {
        let answers = got.answers.iter().map(|answer| answer.join("\n"));
        let answers = answers.collect::<Vec<_>>().join("\n--\n");
        return Some(told(
            "the sides".to_owned(),
            "in step",
            &format!("{apart}\n{answers}"),
        ));
    }
    let compared = got.answers.len() - usize::from(got.refused);
    let mut steps = script
        .iter()
        .zip(&expected.answers)
        .zip(&got.answers)
        .take(compared);
    let differs = steps.find(|((_, expected), got)| expected != got);
    if let Some(((step, expected), got)) = differs {
        return Some(told(
            step.to_string(),
            &expected.join("\n"),
            &got.join("\n"),
        ));
    }
    let same = got.refused || expected.state == got.state;
    (!same).then(|| {
        let expected = format!("{:#?}", expected.state);
        told(
            "the rows".to_owned(),
            &expected,
            &format!("{:#?}", got.state),
        )
    })
}
