//! One case on every side. A case runs inside of a transaction that is rolled back, each statement
//! behind a savepoint, so that all sides begin with the same rows again.

use std::time::Duration;

use anyhow::{Context, ensure};
use crossfade_testbed::binaries::Binaries;
use crossfade_tests::answer::comparable;
use crossfade_tests::newer;
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::twin::{Case, Twin};
use rewrite_rules::Phase;

use super::grammar::{self, NOTES_DDL, Table};

/// A split table, and how its test sees it.
pub struct Subject {
    pub table: &'static Table,
    pub case: Case,
    /// Before anything moves: few rows.
    pub few: &'static str,
    /// The legacy rows as the unified tables have them.
    pub unified: &'static str,
    /// Draws the ids of new rows.
    pub sequence: &'static str,
}

/// Nothing of the grammar takes a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// In each of them something else becomes of a write.
pub const PHASES: [Phase; 4] = [
    Phase::DualWrite,
    Phase::DualRead,
    Phase::UnifiedRead,
    Phase::UnifiedOnly,
];

pub struct Sides {
    /// The server's major version.
    pub server: u32,
    straight: RawClient,
    through: Vec<(Phase, RawClient, Twin)>,
}

/// What one side said to a statement, and what it has afterwards.
pub struct Step {
    pub answer: Vec<String>,
    pub refused: Option<String>,
    /// The legacy table's rows, and unified's.
    pub rows: [Vec<String>; 2],
}

impl Sides {
    pub async fn start(subject: &Subject) -> anyhow::Result<Sides> {
        let newer = newer::postgresql();
        let mut through = Vec::new();
        for phase in PHASES {
            let twin = subject.twin(newer.clone(), phase).await?;
            through.push((phase, twin.raw().await?, twin));
        }
        let straight = through[0].2.raw_alone().await?;
        let version = through[0]
            .2
            .alone
            .query_one(
                "SELECT current_setting('server_version_num')::int / 10000",
                &[],
            )
            .await?;
        Ok(Sides {
            server: u32::try_from(version.get::<_, i32>(0))?,
            straight,
            through,
        })
    }

    pub async fn straight(&mut self, case: &grammar::Case) -> anyhow::Result<Vec<Step>> {
        run(&mut self.straight, case).await.context("straight")
    }

    pub async fn through(
        &mut self,
        phase: Phase,
        case: &grammar::Case,
    ) -> anyhow::Result<Vec<Step>> {
        let side = self.through.iter_mut().find(|side| side.0 == phase);
        let side = side.context("a phase of PHASES")?;
        run(&mut side.1, case).await.context(phase.name())
    }
}

impl Subject {
    async fn twin(&self, newer: Option<Binaries>, phase: Phase) -> anyhow::Result<Twin> {
        let twin = match newer {
            Some(binaries) => Twin::start_from_as_owner(self.case, binaries).await?,
            None => Twin::start_as_owner(self.case).await?,
        };
        let seen = |side: &str, rows: &str| {
            format!(
                "CREATE FUNCTION probe_{side}() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN \
                 RETURN QUERY SELECT to_jsonb(r)::text FROM {rows} AS r; END $$; "
            )
        };
        let begin = format!(
            "CREATE FUNCTION probe_begin(n integer) RETURNS bigint LANGUAGE sql AS \
             $$ SELECT setval('{}', n) $$; ",
            self.sequence
        );
        for (client, unified) in [(&twin.alone, self.table.name), (&twin.direct, self.unified)] {
            for sql in [
                self.few,
                NOTES_DDL,
                &begin,
                &seen("legacy", self.table.name),
                &seen("unified", unified),
            ] {
                client.batch_execute(sql).await?;
            }
        }
        twin.prepare().await?;
        twin.carry_to(phase).await?;
        Ok(twin)
    }
}

async fn run(session: &mut RawClient, case: &grammar::Case) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    told(session, case.begin).await?;
    for (at, statement) in case.statements.iter().enumerate() {
        let begin = format!("SELECT probe_begin({}); SAVEPOINT s", 5000 + at * 50);
        told(session, &begin).await?;
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, async {
            match &statement.bound {
                Some(bound) => session.extended(&statement.sql, bound).await,
                None => session.simple(&statement.sql).await,
            }
        });
        let messages = answered.await.context(statement.sql.clone())??;
        let fails = messages.iter().any(|message| message.tag == b'E');
        if fails {
            told(session, "ROLLBACK TO SAVEPOINT s").await?;
        }
        let refused = messages
            .iter()
            .filter(|message| message.field(b'C').is_some_and(|code| code == "0A000"))
            .find_map(|message| message.field(b'M'));
        steps.push(Step {
            answer: reduced(&messages),
            refused,
            rows: [
                rows(session, "legacy").await?,
                rows(session, "unified").await?,
            ],
        });
    }
    // What a COMMIT would have looked at.
    let end = session.simple("SET CONSTRAINTS ALL IMMEDIATE").await?;
    if let Some(last) = steps.last_mut() {
        last.answer.extend(comparable(&end));
    }
    session.simple("ROLLBACK").await?;
    Ok(steps)
}

async fn told(session: &mut RawClient, sql: &str) -> anyhow::Result<()> {
    let messages = session.simple(sql).await?;
    ensure!(
        !messages.iter().any(|message| message.tag == b'E'),
        "{sql}: {:?}",
        comparable(&messages)
    );
    Ok(())
}

async fn rows(session: &mut RawClient, side: &str) -> anyhow::Result<Vec<String>> {
    let messages = session
        .simple(&format!("SELECT * FROM probe_{side}()"))
        .await?;
    let mut rows: Vec<String> = messages
        .iter()
        .filter(|message| message.tag == b'D')
        .map(|message| format!("{:?}", message.values()))
        .collect();
    rows.sort();
    Ok(rows)
}

/// What must be equal: rows in any order, none before an error.
fn reduced(messages: &[Message]) -> Vec<String> {
    let told: Vec<String> = comparable(messages).into_iter().map(own_types).collect();
    let fails = told.iter().any(|line| line.starts_with("E "));
    if fails {
        let mut lines = told.into_iter();
        let error = lines.find(|line| line.starts_with("E "));
        return error.into_iter().collect();
    }
    let (mut rows, mut said): (Vec<String>, Vec<String>) =
        told.into_iter().partition(|line| line.starts_with("D "));
    rows.sort();
    said.append(&mut rows);
    said
}

/// A table's row type has another number in each database.
fn own_types(line: String) -> String {
    if !line.starts_with("T ") {
        return line;
    }
    let parts = line.split(", ").map(|part| match part.parse::<u32>() {
        Ok(16_384..) => "own",
        Ok(_) | Err(_) => part,
    });
    parts.collect::<Vec<_>>().join(", ")
}
