//! One case on every side.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, ensure};
use crossfade_tests::Proxy;
use crossfade_tests::generate::{Case, Protocol, Statement};
use crossfade_tests::raw::{Message, RawClient};
use rewrite_rules::Phase;

use super::compare::{Difference, Step, compare, reduced};
use super::coverage::{Coverage, refusal};
use super::subject::{Ground, Subject};

/// No statement of the grammar takes a second; a server or proxy that does not answer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is asked whether a session waits: no event tells it.
const LOOK: Duration = Duration::from_millis(2);

pub struct Bench {
    pub subject: Subject,
    /// The server's major version.
    pub server: u32,
    ground: Ground,
    straight: Side,
    phases: Vec<(Phase, Proxy, Side)>,
}

/// Behind which statements of a case that writes the rows are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// The last two: inside a transaction, and after its end.
    AtTheEnd,
    Always,
}

/// Two sessions, and the superuser's way to the same database.
pub struct Side {
    subject: Subject,
    session: Session,
    other: Session,
    pub direct: tokio_postgres::Client,
    /// The rows that it began with, once somebody has asked for them, and those behind the last case.
    rows: [Option<Vec<String>>; 2],
}

/// The rows of the side, and what a text that failed has left prepared.
const SEEN: &str = "SELECT side::text, told FROM probe.seen() UNION ALL \
    SELECT 'prepared', name FROM pg_prepared_statements WHERE name LIKE 'made%'";

struct Session {
    port: u16,
    database: String,
    client: RawClient,
    /// The server's process.
    process: i32,
    /// What ReadyForQuery said last.
    status: u8,
}

impl Session {
    async fn open(port: u16, database: &str) -> anyhow::Result<Session> {
        let mut client = RawClient::connect(port, database).await?;
        let told = client.simple("SELECT pg_backend_pid()").await?;
        let row = told.iter().find(|message| message.tag == b'D');
        let process = row.and_then(|row| row.values().into_iter().next().flatten());
        Ok(Session {
            port,
            database: database.to_owned(),
            client,
            process: process.context("a process")?.parse()?,
            status: b'I',
        })
    }

    /// What a statement is answered; with a new session if it ended this one.
    async fn step(&mut self, statement: &Statement, writes: bool) -> anyhow::Result<Step> {
        let answered =
            tokio::time::timeout(ANSWER_TIMEOUT, send(&mut self.client, statement)).await;
        let said = match answered {
            Ok(Ok(messages)) => {
                let ready = messages.last().and_then(|ready| ready.body.first());
                self.status = ready.copied().unwrap_or(b'I');
                return Ok(Step {
                    refused: messages.iter().find_map(refusal),
                    answer: reduced(&messages, statement, writes),
                    seen: None,
                });
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_elapsed) => "no answer".to_owned(),
        };
        *self = Session::open(self.port, &self.database).await?;
        Ok(Step {
            answer: vec![said],
            seen: None,
            refused: None,
        })
    }

    /// Brings it back to where a case begins.
    async fn rest(&mut self, discard: Option<&str>) -> anyhow::Result<()> {
        if self.status != b'I' {
            self.client.simple("ROLLBACK").await?;
            self.status = b'I';
        }
        if let Some(discard) = discard {
            self.client.simple(discard).await?;
        }
        Ok(())
    }
}

impl Side {
    pub async fn open(
        subject: Subject,
        ground: &Ground,
        port: u16,
        database: &str,
    ) -> anyhow::Result<Side> {
        Ok(Side {
            subject,
            session: Session::open(port, database).await?,
            other: Session::open(port, database).await?,
            direct: ground.postgres().connect(database).await?,
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
        self.rows[1] = None;
        for (at, statement) in case.statements.iter().enumerate() {
            let last = at + 1 == case.statements.len();
            if last && let Some(waiting) = &case.waiting {
                self.meet(statement, waiting, &mut steps).await?;
                break;
            }
            self.subject.begin(&self.direct, at).await?;
            let mut step = self.session.step(statement, case.writes).await?;
            let now = looks == Looks::Always || at + 2 >= case.statements.len();
            let look = case.writes && now;
            if look && self.session.status != b'E' && step.refused.is_none() {
                step.seen = Some(self.seen().await?);
            }
            let stop = step.refused.is_some();
            steps.push(step);
            if stop {
                break;
            }
        }
        if self.session.status == b'I' && steps.len() == case.statements.len() {
            self.rows[1] = steps.last().and_then(|step| step.seen.clone());
        }
        self.session.rest(None).await?;
        if case.waiting.is_some() {
            self.other.rest(None).await?;
        }
        Ok(steps)
    }

    /// Brings back the rows that the side began with.
    pub async fn begin_again(&mut self, case: &Case) -> anyhow::Result<()> {
        let [began, now] = &self.rows;
        let same = began.is_some() && began == now;
        let left = now.iter().flatten();
        for name in left.filter_map(|line| line.strip_prefix("prepared ")) {
            self.session
                .client
                .simple(&format!("DEALLOCATE {name}"))
                .await?;
        }
        if case.writes && !same {
            let discard = Some(self.subject.discard());
            self.session.rest(discard).await?;
            if case.waiting.is_some() {
                self.other.rest(discard).await?;
            }
            self.direct
                .batch_execute("SELECT probe.reset()")
                .await
                .context("reset")?;
        }
        Ok(())
    }

    /// The second session begins, and the first ends its transaction once it is waited for.
    async fn meet(
        &mut self,
        end: &Statement,
        waiting: &[Statement],
        steps: &mut Vec<Step>,
    ) -> anyhow::Result<()> {
        self.subject.begin(&self.direct, steps.len()).await?;
        let (session, other, direct) = (&mut self.session, &mut self.other, &self.direct);
        let (first, second) = (session.process, other.process);
        let mut second_steps = {
            let mut all = pin!(async {
                let mut steps = Vec::new();
                for statement in waiting {
                    steps.push(other.step(statement, true).await?);
                }
                anyhow::Ok(steps)
            });
            tokio::select! {
                done = &mut all => {
                    steps.push(session.step(end, true).await?);
                    done?
                }
                waits = until_waiting(direct, second, first) => {
                    waits?;
                    steps.push(session.step(end, true).await?);
                    all.await?
                }
            }
        };
        let refused = second_steps.iter().any(|step| step.refused.is_some());
        if self.session.status != b'E' && !refused {
            let seen = self.seen().await?;
            if let Some(last) = second_steps.last_mut() {
                last.seen = Some(seen);
            }
        }
        steps.append(&mut second_steps);
        Ok(())
    }

    async fn seen(&mut self) -> anyhow::Result<Vec<String>> {
        let messages = self.session.client.simple(SEEN).await?;
        let failed = messages.iter().find(|message| message.tag == b'E');
        ensure!(failed.is_none(), "the rows cannot be seen: {failed:?}");
        let rows = messages.iter().filter(|message| message.tag == b'D');
        let mut rows: Vec<String> = rows
            .map(|row| {
                let values: Vec<String> = row.values().into_iter().flatten().collect();
                values.join(" ")
            })
            .collect();
        rows.sort();
        Ok(rows)
    }
}

/// Until a process waits for another's lock.
async fn until_waiting(
    direct: &tokio_postgres::Client,
    waiting: i32,
    holding: i32,
) -> anyhow::Result<()> {
    let sql = format!("SELECT {holding} = ANY (pg_blocking_pids({waiting}))");
    while !direct.query_one(&sql, &[]).await?.get::<_, bool>(0) {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
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

impl Bench {
    pub async fn start(subject: Subject) -> anyhow::Result<Bench> {
        let ground = subject.ground().await?;
        let database = subject.straight(&ground).await?;
        let port = ground.postgres().port;
        let straight = Side::open(subject, &ground, port, &database).await?;
        let told = straight.direct.query_one("SHOW server_version_num", &[]);
        let told: String = told.await?.get(0);
        let mut phases = Vec::new();
        for phase in Phase::ALL {
            let (database, proxy) = subject.in_phase(&ground, phase).await?;
            let side = Side::open(subject, &ground, proxy.port, &database).await?;
            phases.push((phase, proxy, side));
        }
        Ok(Bench {
            subject,
            server: told.parse::<u32>()? / 10_000,
            ground,
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
        if let Some(coverage) = coverage.as_deref_mut() {
            for (statement, step) in case.all().zip(&expected) {
                coverage.did(&statement.constructs, step.fails());
            }
        }
        let mut differences = Vec::new();
        for (phase, got) in phases.into_iter().zip(answers) {
            let got = got.with_context(|| format!("{phase}: {:?}", case.statements))?;
            if let Some(coverage) = coverage.as_deref_mut() {
                for (statement, step) in case.all().zip(&got) {
                    coverage.count(phase, &statement.constructs, step.refused.as_deref());
                }
            }
            differences.extend(compare(self.subject, phase, case, &expected, &got));
        }
        Ok(differences)
    }

    /// The same in one phase only.
    pub async fn run_in(&mut self, only: Phase, case: &Case) -> anyhow::Result<Option<Difference>> {
        let expected = self.straight.run(case).await?;
        for (phase, _, side) in &mut self.phases {
            if *phase == only {
                let got = side.run(case).await?;
                return Ok(compare(self.subject, only, case, &expected, &got));
            }
        }
        Ok(None)
    }

    pub fn log(&self, phase: Phase) -> String {
        let _server = &self.ground;
        let proxy = self.phases.iter().find(|found| found.0 == phase);
        proxy.map(|found| found.1.log()).unwrap_or_default()
    }
}
