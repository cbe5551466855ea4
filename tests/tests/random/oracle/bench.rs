//! One case on every side: straight, and by each kind of lens in each phase.

use std::fmt;

use anyhow::Context;
use crossfade_tests::generate::Case;
use crossfade_tests::oracle::{AGENTS, EDGES, Kind};
use crossfade_tests::sides::{self, Sides};
use crossfade_tests::{Proxy, World, newer};
use futures_util::future::join_all;
use rewrite_rules::Phase;

use crate::differential::run::{Difference, Looks, MORE, Side, Step, compare, shown};

/// Everything that the unified table has but times and ids that nobody gave: what a lens puts where legacy
/// has no column, and the rows that legacy readers do not see, are the same by either kind.
const UNIFIED: &str = "SELECT ROW(CASE WHEN id::text LIKE '00000000%' THEN id END, clerk_user_id, email, full_name, \
    margin_type, margin_value, is_active, metadata, role, avatar_url, phone, timezone, preferences, last_login_at)::text \
    FROM users ORDER BY email";

/// Where in [`Bench::sides`].
pub type At = (Kind, Phase);

pub struct Bench {
    /// The server's major version.
    pub server: u32,
    /// How many each side has been sent.
    pub statements: usize,
    _world: World,
    straight: Side,
    sides: Vec<(At, Proxy, Side)>,
}

/// A statement that Crossfade refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    pub kind: Kind,
    pub phase: Phase,
    /// Its place in the case.
    pub at: usize,
    pub sqlstate: String,
    /// In the words of docs/limits.md.
    pub what: String,
}

/// An answer, or rows behind it, that are not PostgreSQL's.
pub struct Wrong {
    pub side: At,
    pub difference: Difference,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {} in {}", self.side.0, self.difference)
    }
}

/// What is wrong, once for all sides on which it is the same.
pub fn told(wrong: &[Wrong]) -> String {
    let mut found: Vec<(String, String)> = Vec::new();
    for Wrong { side, difference } in wrong {
        let what = difference.to_string();
        let what = what.split_once('\n').map_or("", |(_phase, what)| what);
        let side = format!("by {} in {}", side.0, side.1);
        match found.iter_mut().find(|(_, known)| known == what) {
            Some((sides, _)) => *sides += &format!(", {side}"),
            None => found.push((side, what.to_owned())),
        }
    }
    let lines = found
        .iter()
        .map(|(sides, what)| format!("{sides}:\n{what}\n"));
    lines.collect()
}

/// An error that is not told as PostgreSQL tells it.
pub struct Otherwise {
    pub wrong: Wrong,
    pub statement: String,
    /// SQLSTATE and message, and where in the statement.
    pub straight: String,
    pub told: String,
}

#[derive(Default)]
pub struct Outcome {
    pub refusals: Vec<Refusal>,
    pub otherwise: Vec<Otherwise>,
    /// Those of them that one kind of lens alone has in a phase.
    pub by_one: Vec<Refusal>,
    pub wrong: Vec<Wrong>,
}

impl Outcome {
    /// What is wrong, errors told otherwise among it.
    pub fn all_wrong(self) -> impl Iterator<Item = Wrong> {
        let told = self.otherwise.into_iter().map(|otherwise| otherwise.wrong);
        self.wrong.into_iter().chain(told)
    }
}

impl Bench {
    pub async fn start() -> anyhow::Result<Bench> {
        let more = format!("{MORE} {EDGES}");
        let world = match newer::postgresql() {
            Some(binaries) => World::start_filled_from(binaries, AGENTS, &more).await?,
            None => World::start_filled(AGENTS, &more).await?,
        };
        world.database("straight").await?;
        let mut straight = Side::open(&world, world.postgres.port, "straight").await?;
        let legacy = Sides {
            legacy: true,
            unified: false,
        };
        straight.direct.batch_execute(&sides::probe(legacy)).await?;
        let told = straight.direct.query_one("SHOW server_version_num", &[]);
        let told: String = told.await?.get(0);
        straight.begin().await?;
        let mut prepared = Vec::new();
        for kind in Kind::ALL {
            prepared.push((kind, kind.prepared(&world).await?));
        }
        let opened = prepared.iter().flat_map(|(kind, prepared)| {
            let phases = Phase::ALL.into_iter();
            phases.map(|phase| open(&world, (*kind, prepared), phase))
        });
        let sides = join_all(opened).await;
        Ok(Bench {
            server: told.parse::<u32>()? / 10_000,
            statements: 0,
            sides: sides.into_iter().collect::<anyhow::Result<_>>()?,
            straight,
            _world: world,
        })
    }

    /// Runs a case everywhere, and leaves every side with the rows that it began with.
    pub async fn run(&mut self, case: &Case) -> anyhow::Result<Outcome> {
        self.statements += case.statements.len();
        let sides = self.sides.iter_mut().map(|(_, _, side)| side);
        let all = std::iter::once(&mut self.straight).chain(sides);
        let mut answers = join_all(all.map(|side| side_of(side, case)))
            .await
            .into_iter();
        let expected = answers.next().context("the straight database ran")??;
        let mut outcome = Outcome::default();
        let mut unified: Vec<(At, Vec<String>)> = Vec::new();
        for ((at, _, _), got) in self.sides.iter().zip(answers) {
            let (kind, phase) = *at;
            let got = got.with_context(|| format!("{kind} {phase}: {:?}", case.statements))?;
            let judged = judge(*at, case, &expected.0, &got.0);
            let to_compare = judged.refusals.is_empty() && judged.wrong.is_empty();
            outcome.refusals.extend(judged.refusals);
            outcome.otherwise.extend(judged.otherwise);
            outcome.wrong.extend(judged.wrong);
            if to_compare {
                unified.push((*at, got.1));
            }
        }
        for refusal in &outcome.refusals {
            let mut others = outcome.refusals.iter();
            let both = others.any(|other| {
                other.phase == refusal.phase && other.kind != refusal.kind && other.at == refusal.at
            });
            if !both {
                outcome.by_one.push(refusal.clone());
            }
        }
        outcome.wrong.extend(apart(case, &unified));
        Ok(outcome)
    }

    /// The same on one side only; what is wrong there.
    pub async fn run_on(&mut self, only: At, case: &Case) -> anyhow::Result<Option<Difference>> {
        let expected = side_of(&mut self.straight, case).await?;
        let side = self.sides.iter_mut().find(|(at, _, _)| *at == only);
        let (_, _, side) = side.context("a side of the bench")?;
        let got = side_of(side, case).await?;
        let judged = judge(only, case, &expected.0, &got.0);
        let first = judged.all_wrong().next();
        Ok(first.map(|wrong| wrong.difference))
    }

    pub fn log(&self, wrong: &Wrong) -> String {
        let side = self.sides.iter().find(|(at, _, _)| *at == wrong.side);
        side.map(|(_, proxy, _)| proxy.log()).unwrap_or_default()
    }
}

async fn open(
    world: &World,
    (kind, prepared): (Kind, &str),
    phase: Phase,
) -> anyhow::Result<(At, Proxy, Side)> {
    let database = format!("{kind}_in_{phase}");
    let proxy = kind.in_phase(world, (prepared, &database), phase).await?;
    let mut side = Side::open(world, proxy.port, &database).await?;
    let kept = Sides {
        legacy: phase.writes_both() || phase == Phase::LegacyOnly,
        unified: phase != Phase::LegacyOnly,
    };
    side.direct.batch_execute(&sides::probe(kept)).await?;
    side.begin().await?;
    Ok(((kind, phase), proxy, side))
}

/// What a side answers, and what is in the unified table behind it.
async fn side_of(side: &mut Side, case: &Case) -> anyhow::Result<(Vec<Step>, Vec<String>)> {
    let steps = side.steps(case, Looks::Always).await?;
    let unified = match case.writes {
        true => side.direct.query(UNIFIED, &[]).await?,
        false => Vec::new(),
    };
    side.begin_again(case).await?;
    Ok((steps, unified.iter().map(|row| row.get(0)).collect()))
}

fn judge(side: At, case: &Case, expected: &[Step], got: &[Step]) -> Outcome {
    let (kind, phase) = side;
    let refused = got.iter().enumerate().find_map(|(at, step)| {
        let wanted = expected.get(at).and_then(|step| error(&step.answer));
        let (sqlstate, message) = error(&step.answer)?;
        let at_run_time = ["0A000", "55000"].contains(&sqlstate) && wanted.is_none();
        let what = match &step.refused {
            Some(what) => what.clone(),
            None if at_run_time => message.to_owned(),
            None => return None,
        };
        Some(Refusal {
            kind,
            phase,
            at,
            sqlstate: sqlstate.to_owned(),
            what,
        })
    });
    let upto = refused.as_ref().map_or(got.len(), |refusal| refusal.at);
    let (mut wrong, mut otherwise) = (Vec::new(), Vec::new());
    let mut from = 0;
    // Behind two errors that are not the same the rest still has its say.
    while from < upto {
        let rest = Case {
            statements: case.statements[from..].to_vec(),
            writes: case.writes,
        };
        let wanted = expected.get(from..).unwrap_or_default();
        let Some(difference) = compare(phase, &rest, wanted, &got[from..upto]) else {
            break;
        };
        let at = from + difference.statements.len() - 1;
        let told = |steps: &[Step]| steps.get(at).and_then(|step| whole_error(&step.answer));
        let (Some(straight), Some(told)) = (told(expected), told(got)) else {
            wrong.push(Wrong { side, difference });
            break;
        };
        otherwise.push(Otherwise {
            wrong: Wrong { side, difference },
            statement: case.statements[at].sql.clone(),
            straight,
            told,
        });
        from = at + 1;
    }
    Outcome {
        refusals: refused.into_iter().collect(),
        otherwise,
        wrong,
        by_one: Vec::new(),
    }
}

/// An answer's error: SQLSTATE, message and place.
fn whole_error(answer: &[String]) -> Option<String> {
    let mut lines = answer.iter();
    let told = lines.find_map(|line| line.strip_prefix("E ERROR | "))?;
    Some(told.to_owned())
}

/// SQLSTATE and message of an answer's error.
fn error(answer: &[String]) -> Option<(&str, &str)> {
    let mut lines = answer.iter();
    let told = lines.find_map(|line| line.strip_prefix("E ERROR | "))?;
    let (sqlstate, rest) = told.split_once(" | ")?;
    Some((sqlstate, rest.split(" | ").next().unwrap_or(rest)))
}

/// Where the two kinds have left other unified rows in one phase.
fn apart(case: &Case, unified: &[(At, Vec<String>)]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for ((kind, phase), rows) in unified {
        if *kind != Kind::Steps {
            continue;
        }
        let columns = unified
            .iter()
            .find(|(at, _)| *at == (Kind::Columns, *phase));
        let Some((_, columns)) = columns.filter(|(_, columns)| columns != rows) else {
            continue;
        };
        let only = |these: &[String], those: &[String]| {
            let lines = these.iter().filter(|line| !those.contains(line)).take(6);
            lines.cloned().collect::<Vec<_>>().join("\n")
        };
        wrong.push(Wrong {
            side: (*kind, *phase),
            difference: Difference {
                phase: *phase,
                statements: case.statements.iter().map(shown).collect(),
                expected: format!("unified rows by columns\n{}", only(columns, rows)),
                got: format!("unified rows by steps\n{}", only(rows, columns)),
            },
        });
    }
    wrong
}
