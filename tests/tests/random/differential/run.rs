//! One case on every side, and what differs.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use crossfade_tests::answer::comparable;
use crossfade_tests::generate::{Case, Protocol, Statement};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::{self, Sides};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

use super::coverage::{Coverage, refusal};

/// One of each kind of edge row.
pub const AGENTS: u32 = 115;
/// No statement of the grammar takes a second; a server or proxy that does not answer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Rows whose ids the grammar knows, rows that only the unified side has, unique indexes that are no
/// constraints, and no foreign keys on the legacy table: they would act on one side only in the phases
/// that no longer write it.
pub const MORE: &str = "\
    ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey;
    ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey;
    INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role)
    SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, 'fix_' || n,
           'fix.' || n || '@example.com', 'Fix ' || n,
           (ARRAY['admin', 'operator', 'iso_agent'])[1 + n % 3]::user_role
      FROM generate_series(1, 9) AS n;
    CREATE UNIQUE INDEX iso_agents_lower ON iso_agents (lower(email));
    CREATE UNIQUE INDEX users_lower ON users (lower(email)) WHERE role <> 'customer';
    CREATE UNIQUE INDEX iso_agents_some ON iso_agents (clerk_user_id text_pattern_ops)
        WHERE role = 'iso_agent' AND is_active;
    CREATE UNIQUE INDEX users_some ON users (clerk_user_id text_pattern_ops)
        WHERE role = 'sales_rep' AND is_active;
    INSERT INTO users (clerk_user_id, email, full_name)
    SELECT 'customer_' || n, 'customer.' || n || '@example.com', 'Customer ' || n
      FROM generate_series(1, 3) AS n;";

pub struct Bench {
    /// The server's major version.
    pub server: u32,
    world: World,
    straight: Side,
    phases: Vec<(Phase, Proxy, Side)>,
}

/// A session, and the superuser's way to the same database.
pub struct Side {
    port: u16,
    database: String,
    session: RawClient,
    pub direct: tokio_postgres::Client,
    /// The rows that it began with, once somebody has asked for them, and those behind the last case.
    rows: [Option<Vec<String>>; 2],
}

/// What one side answered to a statement, and the rows seen after it.
pub struct Step {
    pub answer: Vec<String>,
    seen: Option<Vec<String>>,
    pub refused: Option<String>,
}

/// Behind which statements of a case that writes the rows are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// The last two: inside a transaction, and after its end.
    AtTheEnd,
    Always,
}

pub struct Difference {
    pub phase: Phase,
    pub statements: Vec<String>,
    pub expected: String,
    pub got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.phase)?;
        for statement in &self.statements {
            writeln!(f, "    {statement}")?;
        }
        write!(
            f,
            "PostgreSQL:\n{}\nCrossfade:\n{}",
            self.expected, self.got
        )
    }
}

impl Side {
    pub async fn open(world: &World, port: u16, database: &str) -> anyhow::Result<Side> {
        Ok(Side {
            port,
            database: database.to_owned(),
            session: RawClient::connect(port, database).await?,
            direct: world.postgres.connect(database).await?,
            rows: [None, None],
        })
    }

    /// Looks at the rows that the side begins with: a case behind which they are the same needs no others.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        self.rows[0] = Some(self.seen().await?);
        Ok(())
    }

    /// Runs a case from the rows that the side began with, and leaves it with them.
    async fn run(&mut self, case: &Case) -> anyhow::Result<Vec<Step>> {
        let steps = self.steps(case, Looks::AtTheEnd).await?;
        self.begin_again(case).await?;
        Ok(steps)
    }

    /// Runs a case; nothing is left open behind it.
    pub async fn steps(&mut self, case: &Case, looks: Looks) -> anyhow::Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut status = b'I';
        self.rows[1] = None;
        for (at, statement) in case.statements.iter().enumerate() {
            let answered =
                tokio::time::timeout(ANSWER_TIMEOUT, send(&mut self.session, statement)).await;
            let messages = match answered {
                Ok(Ok(messages)) => messages,
                Ok(Err(error)) => {
                    self.session = RawClient::connect(self.port, &self.database).await?;
                    steps.push(Step {
                        answer: vec![format!("{error:#}")],
                        seen: None,
                        refused: None,
                    });
                    break;
                }
                Err(_elapsed) => {
                    self.session = RawClient::connect(self.port, &self.database).await?;
                    steps.push(Step {
                        answer: vec!["no answer".to_owned()],
                        seen: None,
                        refused: None,
                    });
                    break;
                }
            };
            status = messages
                .last()
                .and_then(|ready| ready.body.first().copied())
                .unwrap_or(b'I');
            let refused = messages.iter().find_map(refusal);
            let now = looks == Looks::Always || at + 2 >= case.statements.len();
            let look = case.writes && now && status != b'E';
            let stop = refused.is_some();
            let seen = if look && !stop {
                Some(self.seen().await?)
            } else {
                None
            };
            steps.push(Step {
                answer: reduced(&messages, statement, case.writes),
                seen,
                refused,
            });
            if stop {
                break;
            }
        }
        if status != b'I' {
            self.session.simple("ROLLBACK").await?;
        } else if steps.len() == case.statements.len() {
            self.rows[1] = steps.last().and_then(|step| step.seen.clone());
        }
        Ok(steps)
    }

    /// Brings back the rows that the side began with.
    pub async fn begin_again(&mut self, case: &Case) -> anyhow::Result<()> {
        let [began, now] = &self.rows;
        let same = began.is_some() && began == now;
        if case.writes && !same {
            self.session.simple("DISCARD TEMP").await?;
            self.direct
                .batch_execute("SELECT probe.reset()")
                .await
                .context("reset")?;
        }
        Ok(())
    }

    async fn seen(&mut self) -> anyhow::Result<Vec<String>> {
        let messages = self
            .session
            .simple("SELECT side, told FROM probe.seen()")
            .await?;
        let mut rows: Vec<String> = messages
            .iter()
            .filter(|message| matches!(message.tag, b'D' | b'E'))
            .map(|message| match message.tag {
                b'D' => message
                    .values()
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" "),
                _ => format!("{message:?}"),
            })
            .collect();
        rows.sort();
        Ok(rows)
    }
}

async fn send(session: &mut RawClient, statement: &Statement) -> anyhow::Result<Vec<Message>> {
    if let Some(data) = &statement.data {
        return session.copy_in(&statement.sql, data).await;
    }
    match statement.protocol {
        Protocol::Simple => session.simple(&statement.sql).await,
        Protocol::Extended { binary_results } => {
            let values: Vec<(Option<&[u8]>, bool)> = statement
                .parameters
                .iter()
                .map(|parameter| (parameter.value.as_deref(), parameter.binary))
                .collect();
            session
                .extended_in_formats(&statement.sql, &values, binary_results)
                .await
        }
    }
}

/// What must be equal: rows in their order only where there is one, none of a plan, and none
/// before an error, whose moment is the plan's choice.
fn reduced(messages: &[Message], statement: &Statement, writes: bool) -> Vec<String> {
    let mut told = comparable(messages);
    // Which branches of a UNION are left is the plan's choice, and with them a portal's modifiers.
    if statement.constructs.contains("set operation")
        && let Some(bound) = told.iter().position(|line| line == "2 []")
    {
        let (before, mut behind) = (told[..bound].to_vec(), told.split_off(bound));
        behind.retain(|line| !line.starts_with("T "));
        told = [before, behind].concat();
    }
    let fails = told.iter().any(|line| line.starts_with("E "));
    let explains = statement.constructs.contains("EXPLAIN");
    let mut lines: Vec<String> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    for line in told {
        let row = line.starts_with("D ") || line.starts_with("d ");
        if row {
            rows.push(line);
            continue;
        }
        // Ids that a default has drawn have no order in common.
        let drawn = writes && rows.iter().any(|row| row.contains("<id>"));
        if !statement.ordered || drawn {
            rows.sort();
        }
        if !explains && !fails {
            lines.append(&mut rows);
        }
        rows.clear();
        // Whether an error comes at Bind or at Execute is the planner's choice as well.
        if !fails || line.starts_with(['C', 'E', 'N', 'Z']) {
            lines.push(line);
        }
    }
    lines
}

/// The error and the transaction's state alone: a text of several statements that cannot be
/// rewritten fails as a whole, without the results of those before.
fn only_error(answer: &[String]) -> Vec<&String> {
    let error = answer.iter().position(|line| line.starts_with("E "));
    error.map_or_else(Vec::new, |at| answer[at..].iter().collect())
}

/// A value of the wrong type meets the mapping of its values before its column: where an INSERT has
/// several rows or a query it cannot be told which value it was.
fn is_mapped_mismatch(sql: &str, wanted: &[String], got: &[String]) -> bool {
    if !sql.to_ascii_uppercase().contains("INSERT") {
        return false;
    }
    let has = |answer: &[String], start: &str| answer.iter().any(|line| line.starts_with(start));
    has(wanted, "E ERROR | 42804 | column \"role\"")
        && has(got, "E ERROR | 42883 | operator does not exist")
}

/// Of two errors Crossfade tells the one that it finds itself, before the server has run anything.
/// PostgreSQL comes to it later: behind another one in the same statement's analysis, or in a
/// statement behind the one that failed.
fn is_told_first(statement: &Statement, wanted: &[String], got: &[String]) -> bool {
    let ours = [
        "0A000 | source for a multiple-column UPDATE item",
        "42703 | column \"nothing\" of relation \"iso_agents\"",
        "42601 | INSERT has more",
    ];
    let (Some(wanted), Some(got)) = (Failure::of(wanted), Failure::of(got)) else {
        return false;
    };
    // PostgreSQL parses before it looks at the transaction; but not everything may be passed to it.
    let aborted = wanted.is("42601") && got.is("25P02") && may_end(&statement.sql);
    let found_early = ours.iter().any(|ours| got.told.starts_with(ours));
    if aborted || !found_early || got.told == wanted.told {
        return aborted;
    }
    let begins = |position: usize| {
        let mut later = statement.later.iter().rev();
        later.find(|start| **start < position).copied()
    };
    let behind = got.position.and_then(begins);
    match (behind, wanted.position) {
        // In a statement behind the one that failed; an error of a value has no place.
        (Some(start), Some(failed)) if failed <= start => true,
        (Some(_), None) => true,
        // In the same one, by its analysis: types, names, and constants that are no such value.
        (Some(_) | None, _) => got.is("0A000") && (wanted.is("42") || wanted.is("22")),
    }
}

/// Whether a text may end a transaction.
fn may_end(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let ends = ["commit", "end", "rollback", "prepare"];
    ends.iter().any(|word| sql.contains(word))
}

/// An answer's error.
struct Failure<'a> {
    /// From its SQLSTATE on.
    told: &'a str,
    position: Option<usize>,
}

impl<'a> Failure<'a> {
    fn of(answer: &'a [String]) -> Option<Failure<'a>> {
        let mut lines = answer.iter();
        let told = lines.find_map(|line| line.strip_prefix("E ERROR | "))?;
        let position = told.split(" | ").nth(2).and_then(|at| at.parse().ok());
        Some(Failure { told, position })
    }

    fn is(&self, sqlstate: &str) -> bool {
        self.told.starts_with(sqlstate)
    }
}

impl Bench {
    pub async fn start() -> anyhow::Result<Bench> {
        let world = World::start_filled(AGENTS, MORE).await?;
        world.database("straight").await?;
        let straight = Side::open(&world, world.postgres.port, "straight").await?;
        let both = Sides {
            legacy: true,
            unified: false,
        };
        straight.direct.batch_execute(&sides::probe(both)).await?;
        let told = straight.direct.query_one("SHOW server_version_num", &[]);
        let told: String = told.await?.get(0);
        let mut phases = Vec::new();
        for phase in Phase::ALL {
            let database = format!("in_{phase}");
            let proxy = world.in_phase(&database, phase).await?;
            let side = Side::open(&world, proxy.port, &database).await?;
            let kept = Sides {
                legacy: phase.writes_both() || phase == Phase::LegacyOnly,
                unified: phase != Phase::LegacyOnly,
            };
            side.direct.batch_execute(&sides::probe(kept)).await?;
            phases.push((phase, proxy, side));
        }
        Ok(Bench {
            server: told.parse::<u32>()? / 10_000,
            world,
            straight,
            phases,
        })
    }

    /// Runs a case everywhere; one difference for each phase that has one.
    pub async fn run(
        &mut self,
        case: &Case,
        mut coverage: Option<&mut Coverage>,
    ) -> anyhow::Result<Vec<Difference>> {
        let mut phases: Vec<Phase> = Vec::new();
        let mut runs = vec![self.straight.run(case)];
        for (phase, _, side) in &mut self.phases {
            phases.push(*phase);
            runs.push(side.run(case));
        }
        let mut answers = futures_util::future::join_all(runs).await.into_iter();
        let expected = answers.next().context("the straight database ran")??;
        let mut differences = Vec::new();
        for (phase, got) in phases.into_iter().zip(answers) {
            let got = got.with_context(|| format!("{phase}: {:?}", case.statements))?;
            if let Some(coverage) = coverage.as_deref_mut() {
                for (statement, step) in case.statements.iter().zip(&got) {
                    coverage.count(phase, &statement.constructs, step.refused.as_deref());
                }
            }
            differences.extend(compare(phase, case, &expected, &got));
        }
        Ok(differences)
    }

    /// The same in one phase only.
    pub async fn run_in(&mut self, only: Phase, case: &Case) -> anyhow::Result<Option<Difference>> {
        let expected = self.straight.run(case).await?;
        for (phase, _, side) in &mut self.phases {
            if *phase == only {
                let got = side.run(case).await?;
                return Ok(compare(only, case, &expected, &got));
            }
        }
        Ok(None)
    }

    pub fn log(&self, phase: Phase) -> String {
        let _server = &self.world;
        let proxy = self.phases.iter().find(|found| found.0 == phase);
        proxy.map(|found| found.1.log()).unwrap_or_default()
    }
}

pub fn compare(phase: Phase, case: &Case, expected: &[Step], got: &[Step]) -> Option<Difference> {
    for (at, step) in got.iter().enumerate() {
        if step.refused.is_some() {
            return None;
        }
        let told = |expected: String, got: String| Difference {
            phase,
            statements: case.statements[..=at].iter().map(shown).collect(),
            expected,
            got,
        };
        let Some(wanted) = expected.get(at) else {
            return Some(told("nothing".to_owned(), step.answer.join("\n")));
        };
        let several = case.statements[at]
            .constructs
            .contains("several statements");
        let failed_whole = several
            && step
                .answer
                .first()
                .is_some_and(|line| line.starts_with("E "))
            && only_error(&wanted.answer) == only_error(&step.answer);
        // Constants are computed by the plan, in places that are not the same.
        let statement = &case.statements[at];
        let failed = Failure::of(&wanted.answer);
        let planned = statement.constructs.contains("EXPLAIN")
            && failed.is_some_and(|failure| failure.is("22"))
            && step.answer.iter().any(|line| line == "C EXPLAIN");
        let excused = failed_whole
            || planned
            || is_mapped_mismatch(&case.statements[at].sql, &wanted.answer, &step.answer)
            || is_told_first(&case.statements[at], &wanted.answer, &step.answer);
        if wanted.answer != step.answer && !excused {
            let (wanted, got) = unlike(&wanted.answer, &step.answer);
            return Some(told(wanted, got));
        }
        // One transaction failed and the other goes on, or ended before what failed as a whole: what
        // comes behind has nothing to be compared with.
        let apart = planned && wanted.answer.last() != step.answer.last();
        if apart || failed_whole && may_end(&statement.sql) {
            return None;
        }
        if let (Some(wanted), Some(seen)) = (&wanted.seen, &step.seen) {
            // Side 3 is the unified one, 2 the legacy one; the straight database has only 2.
            let truth: Vec<&str> = wanted.iter().map(|row| row.as_str()).collect();
            let agents: Vec<&str> = truth
                .iter()
                .filter_map(|row| row.strip_prefix("2 "))
                .collect();
            let mut wrong: Vec<String> = Vec::new();
            for side in ["2 ", "3 "] {
                let rows: Vec<&str> = seen
                    .iter()
                    .filter_map(|row| row.strip_prefix(side))
                    .collect();
                if !rows.is_empty() || agents.is_empty() {
                    let (only_wanted, only_got) = unlike(&owned(&agents), &owned(&rows));
                    if !only_wanted.is_empty() || !only_got.is_empty() {
                        wrong.push(format!(
                            "side {side}lacks\n{only_wanted}\nand has\n{only_got}"
                        ));
                    }
                }
            }
            let others = |rows: &[String]| -> Vec<String> {
                rows.iter()
                    .filter(|row| !row.starts_with(['2', '3']))
                    .cloned()
                    .collect()
            };
            if others(wanted) != others(seen) {
                let (a, b) = unlike(&others(wanted), &others(seen));
                wrong.push(format!("neighbours lack\n{a}\nand have\n{b}"));
            }
            if !wrong.is_empty() {
                return Some(told("other rows afterwards".to_owned(), wrong.join("\n")));
            }
        }
    }
    None
}

fn owned(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

pub fn shown(statement: &Statement) -> String {
    let parameters: Vec<String> = statement
        .parameters
        .iter()
        .map(|p| match &p.value {
            None => "NULL".to_owned(),
            Some(bytes) => String::from_utf8_lossy(bytes).escape_debug().to_string(),
        })
        .collect();
    let data = statement.data.as_deref().unwrap_or_default();
    format!(
        "{:?} {} {parameters:?} {data}",
        statement.protocol, statement.sql
    )
}

/// The lines that only one of two answers has.
fn unlike(wanted: &[String], got: &[String]) -> (String, String) {
    const LINES_MAX: usize = 6;
    let only = |a: &[String], b: &[String], sign: &str| {
        let lines: Vec<String> = a
            .iter()
            .filter(|line| !b.contains(line))
            .take(LINES_MAX)
            .map(|line| format!("{sign} {}", line.chars().take(400).collect::<String>()))
            .collect();
        lines.join("\n")
    };
    let (a, b) = (only(wanted, got, "-"), only(got, wanted, "+"));
    if a.is_empty() && b.is_empty() && wanted != got {
        return (
            format!("{wanted:?}").chars().take(900).collect(),
            format!("{got:?}").chars().take(900).collect(),
        );
    }
    (a, b)
}
