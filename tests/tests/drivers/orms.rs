//! Django's ORM, alone and with django-tenants, SQLAlchemy and Prisma make the same series of steps on a database that was left alone and through
//! Crossfade, in every phase of a migration: what they print of each step must be the same, and so must the
//! tables be at the end. What is not the same is listed, and must differ as long as it is.

mod known;
mod program;

use std::collections::BTreeMap;
use std::fmt::Write;

use crossfade_tests::twin::Twin;
use rewrite_rules::Phase;

use known::Listed;
use program::Program;

/// An ORM with one of its drivers.
#[derive(Clone, Copy, Debug)]
struct Orm {
    program: Program,
    driver: &'static str,
}

/// What came of each step, in the steps' order.
type Lines = Vec<(String, String)>;

async fn steps(orm: Orm, url: &str, phase: Phase, chosen: &str) -> Lines {
    let tag = (phase as usize + 1).to_string();
    let args = [orm.driver, url, &tag, chosen];
    let said = orm.program.run(&args).await.unwrap();
    assert!(said.succeeded, "{orm:?} in {phase}:\n{}", said.errors);
    let lines = said.output.lines().map(|line| {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        (told["step"].as_str().unwrap().to_owned(), line.to_owned())
    });
    lines.collect()
}

/// The steps whose lines differ, with both lines.
async fn differences(
    twin: &Twin,
    orm: Orm,
    phase: Phase,
    chosen: &str,
) -> BTreeMap<String, String> {
    let [alone, through] = twin.urls();
    let expected = steps(orm, &alone, phase, chosen).await;
    let found = steps(orm, &through, phase, chosen).await;
    assert!(expected.len() > 1, "{orm:?} in {phase} made no steps");
    let names =
        |lines: &Lines| -> Vec<String> { lines.iter().map(|(step, _)| step.clone()).collect() };
    assert_eq!(names(&expected), names(&found), "{orm:?} in {phase}");
    let pairs = expected.into_iter().zip(found);
    let differing = pairs.filter(|((_, expected), (_, found))| expected != found);
    differing
        .map(|((step, expected), (_, found))| {
            (step, format!("  straight {expected}\n  through  {found}\n"))
        })
        .collect()
}

fn names(listed: &[Listed]) -> String {
    let steps: Vec<&str> = listed.iter().map(|listed| listed.step).collect();
    steps.join(",")
}

/// A step that no gate holds up but that of coverage, which has seen a statement that will be refused.
async fn advance(twin: &Twin, phase: Phase) {
    let Err(held_up) = twin.advance(phase).await else {
        return;
    };
    let said = format!("{held_up:#}");
    let unmet = said.lines().filter(|line| line.contains(" NOT met"));
    let unmet: Vec<&str> = unmet.collect();
    let by_coverage = unmet.iter().all(|gate| gate.starts_with("coverage "));
    assert!(by_coverage && !unmet.is_empty(), "{phase}: {said}");
    let forced = "advance --force --reason listed";
    twin.crossfade(forced).await.unwrap();
}

/// What the tables say that they should not: those that the application sees, legacy itself while it is written, and
/// both sides against each other.
async fn tables_apart(twin: &Twin, orm: Orm, phase: Phase) -> Vec<String> {
    let mut apart = Vec::new();
    for table in orm.program.tables() {
        let rows = format!("SELECT * FROM {table} ORDER BY 1, 2");
        apart.extend(twin.same(&rows).await.err());
        if phase.writes_both() {
            apart.extend(twin.equal(table, table).await.err());
        }
    }
    if phase.writes_both() {
        apart.extend(twin.crossfade("verify").await.err());
    }
    apart.iter().map(|error| format!("{error:#}")).collect()
}

/// A migration's way through the phases, each of them visited by `visit`.
async fn walk(orm: Orm, last: Phase, visit: impl AsyncFn(&Twin, Phase)) {
    let twin = orm.program.start().await.unwrap();
    twin.prepare().await.unwrap();
    for phase in Phase::ALL.into_iter().filter(|phase| *phase <= last) {
        match phase {
            Phase::LegacyOnly => {}
            Phase::DualWrite => {
                advance(&twin, phase).await;
                twin.crossfade("backfill").await.unwrap();
                twin.crossfade("verify").await.unwrap();
            }
            Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead => {
                if orm.program.makes_tables() {
                    // Those that have come since are copied as well, as far as the gate knows.
                    twin.crossfade("backfill").await.unwrap();
                    twin.crossfade("verify").await.unwrap();
                }
                advance(&twin, phase).await;
            }
            Phase::UnifiedOnly => {
                let turn = orm.program.turn_references();
                twin.direct.batch_execute(turn).await.unwrap();
                advance(&twin, phase).await;
            }
            Phase::Retired => {
                advance(&twin, phase).await;
                let operator = twin.superuser().await.unwrap();
                operator
                    .batch_execute(orm.program.drop_tables())
                    .await
                    .unwrap();
            }
        }
        visit(&twin, phase).await;
    }
}

/// Makes all steps but those that are known to differ, in some phases of the way to the last of them.
async fn same_in(orm: Orm, phases: &[Phase]) {
    let wrong = std::cell::RefCell::new(String::new());
    walk(orm, *phases.last().unwrap(), async |twin, phase| {
        if !phases.contains(&phase) {
            return;
        }
        let chosen = format!("but:{}", names(&known::steps(orm.program, phase)));
        for (step, lines) in differences(twin, orm, phase, &chosen).await {
            let _ = writeln!(wrong.borrow_mut(), "{phase}: {step}\n{lines}");
        }
        for complaint in tables_apart(twin, orm, phase).await {
            let _ = writeln!(wrong.borrow_mut(), "{phase}: {complaint}");
        }
    })
    .await;
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{orm:?}\n{wrong}");
}

/// Makes the steps that are known to differ: who mends one has to take it off the list.
async fn listed_steps_differ(orm: Orm) {
    let mut mended = String::new();
    for phase in Phase::ALL {
        let listed = known::steps(orm.program, phase);
        if listed.is_empty() {
            continue;
        }
        let twin = orm.program.start().await.unwrap();
        twin.prepare().await.unwrap();
        if phase != Phase::LegacyOnly {
            twin.carry_to(phase).await.unwrap();
        }
        if phase == Phase::Retired {
            let operator = twin.superuser().await.unwrap();
            operator
                .batch_execute(orm.program.drop_tables())
                .await
                .unwrap();
        }
        let chosen = format!("only:{}", names(&listed));
        let found = differences(&twin, orm, phase, &chosen).await;
        let alike = listed
            .into_iter()
            .filter(|listed| !found.contains_key(listed.step));
        for Listed { step, because } in alike {
            let _ = writeln!(mended, "{step} in {phase} ({because})");
        }
    }
    assert!(
        mended.is_empty(),
        "{orm:?}: these differ no more, take them off the list in orms/known.rs:\n{mended}"
    );
}

const DJANGO: Orm = Orm {
    program: Program::Django,
    driver: "psycopg",
};

const SQLALCHEMY: Orm = Orm {
    program: Program::SqlAlchemy,
    driver: "psycopg",
};

/// With as many connections as a server takes.
const PRISMA: Orm = Orm {
    program: Program::Prisma,
    driver: "pool",
};

const DJANGO_TENANTS: Orm = Orm {
    program: Program::DjangoTenants,
    driver: "psycopg",
};

/// Where each direction of writes is met for the first time.
const A_FEW: [Phase; 2] = [Phase::DualWrite, Phase::UnifiedRead];

#[tokio::test(flavor = "multi_thread")]
async fn djangos_orm_does_not_notice_a_phase_of_either_direction() {
    same_in(DJANGO, &A_FEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_does_not_notice_a_phase_of_either_direction() {
    same_in(SQLALCHEMY, &A_FEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prisma_does_not_notice_a_phase_of_either_direction() {
    same_in(PRISMA, &A_FEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn django_tenants_does_not_notice_a_phase_of_either_direction() {
    same_in(DJANGO_TENANTS, &A_FEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn django_tenants_makes_every_step_in_every_phase() {
    same_in(DJANGO_TENANTS, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn django_tenants_makes_every_step_in_every_phase_with_psycopg2() {
    let driver = "psycopg2";
    let orm = Orm {
        driver,
        ..DJANGO_TENANTS
    };
    same_in(orm, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prisma_makes_every_step_in_every_phase() {
    same_in(PRISMA, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prisma_makes_every_step_in_every_phase_on_one_connection() {
    let driver = "one";
    same_in(Orm { driver, ..PRISMA }, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn djangos_orm_makes_every_step_in_every_phase() {
    same_in(DJANGO, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn djangos_orm_makes_every_step_in_every_phase_with_parameters_bound_by_the_server() {
    let driver = "psycopg-bound";
    same_in(Orm { driver, ..DJANGO }, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn djangos_orm_makes_every_step_in_every_phase_with_psycopg2() {
    let driver = "psycopg2";
    same_in(Orm { driver, ..DJANGO }, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_makes_every_step_in_every_phase() {
    same_in(SQLALCHEMY, &Phase::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_makes_every_step_in_every_phase_with_asyncpg() {
    let driver = "asyncpg";
    same_in(
        Orm {
            driver,
            ..SQLALCHEMY
        },
        &Phase::ALL,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_makes_every_step_in_every_phase_with_pg8000() {
    let driver = "pg8000";
    same_in(
        Orm {
            driver,
            ..SQLALCHEMY
        },
        &Phase::ALL,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_steps_of_djangos_orm_differ_still() {
    listed_steps_differ(DJANGO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_steps_of_sqlalchemy_differ_still() {
    listed_steps_differ(SQLALCHEMY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_steps_of_prisma_differ_still() {
    listed_steps_differ(PRISMA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_steps_of_django_tenants_differ_still() {
    listed_steps_differ(DJANGO_TENANTS).await;
}
