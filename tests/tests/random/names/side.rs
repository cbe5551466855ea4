//! One database, a session for each script, and what its tables hold.

use std::time::Duration;

use anyhow::Context;
use crossfade_tests::answer::comparable;
use crossfade_tests::names::{PREPARED, Step, Way};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::differences;
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// No statement of the generator takes a second; a server or proxy that does not answer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Tables that are called like the managed one.
const OTHERS: [&str; 5] = [
    "other.iso_agents",
    "tenant.iso_agents",
    "\"ISO_AGENTS\"",
    "\"iso agents\"",
    "notes",
];

/// A database, and the superuser's way to it.
pub struct Side {
    pub port: u16,
    pub database: &'static str,
    pub direct: Client,
    /// The managed table's rows as legacy readers see them.
    pub rows: &'static str,
    pub begun: Vec<Option<String>>,
}

/// What a script came to.
pub struct Played {
    pub answers: Vec<Vec<String>>,
    /// The last of them is a refusal.
    pub refused: bool,
    pub state: Vec<Option<String>>,
}

impl Side {
    /// Keeps what the tables hold.
    pub async fn keep(&mut self, managed: &[&str]) -> anyhow::Result<()> {
        let tables = managed.iter().chain(&OTHERS);
        let mut sql = "CREATE SCHEMA kept; ".to_owned();
        let mut back = String::new();
        for (at, table) in tables.enumerate() {
            sql += &format!("CREATE TABLE kept.t{at} AS TABLE {table}; ");
            back += &format!("DELETE FROM {table}; INSERT INTO {table} TABLE kept.t{at}; ");
        }
        sql += &format!(
            "CREATE FUNCTION kept.back() RETURNS void LANGUAGE plpgsql \
             SET session_replication_role = replica AS $$ BEGIN {back} END $$"
        );
        self.direct.batch_execute(&sql).await?;
        self.begun = self.state().await?;
        Ok(())
    }

    /// All rows of the managed table, and of what is called like it.
    async fn state(&self) -> anyhow::Result<Vec<Option<String>>> {
        let told = |relation: &str| {
            format!(
                "(SELECT string_agg(concat_ws('|', to_jsonb(a) ->> 'clerk_user_id', to_jsonb(a) ->> 'email', \
                 to_jsonb(a) ->> 'full_name', to_jsonb(a) ->> 'msg'), ' ' \
                 ORDER BY to_jsonb(a) ->> 'email', to_jsonb(a) ->> 'msg') FROM (SELECT * FROM {relation}) AS a)"
            )
        };
        let relations = [self.rows].into_iter().chain(OTHERS).map(told);
        let sql = format!("SELECT {}", relations.collect::<Vec<_>>().join(", "));
        let row = self.direct.query_one(&sql, &[]).await?;
        Ok((0..row.len()).map(|at| row.get(at)).collect())
    }

    /// What no script may do: the legacy table is in step, or as it was when nobody writes it any more.
    pub async fn apart(&self, phase: Phase) -> anyhow::Result<Option<String>> {
        if phase.writes_both() {
            let rows = differences(&self.direct).await;
            return Ok((rows > 0).then(|| format!("{rows} rows differ")));
        }
        let sql = "SELECT count(*) FROM (TABLE public.iso_agents EXCEPT TABLE kept.t0) AS a";
        let changed: i64 = self.direct.query_one(sql, &[]).await?.get(0);
        let sql = "SELECT count(*) FROM public.iso_agents";
        let rows: i64 = self.direct.query_one(sql, &[]).await?.get(0);
        let sql = "SELECT count(*) FROM kept.t0";
        let kept: i64 = self.direct.query_one(sql, &[]).await?.get(0);
        let same = changed == 0 && rows == kept;
        Ok((!same).then(|| format!("{changed} of {rows} rows were written, of {kept}")))
    }

    pub async fn bring_back(&self, played: &Played) -> anyhow::Result<()> {
        if played.state != self.begun {
            self.direct.batch_execute("SELECT kept.back()").await?;
        }
        Ok(())
    }

    /// In a session of its own; up to a refusal.
    pub async fn play(&self, script: &[Step], beside: Option<&Played>) -> anyhow::Result<Played> {
        let mut session = RawClient::connect(self.port, self.database).await?;
        session.simple(PREPARED).await?;
        let mut answers = Vec::new();
        let mut refused = false;
        for (at, step) in script.iter().enumerate() {
            let told = tokio::time::timeout(ANSWER_TIMEOUT, send(&mut session, step)).await;
            let messages = told
                .with_context(|| format!("{}: {step}: no answer", self.database))?
                .with_context(|| format!("{}: {step}", self.database))?;
            let answer = reduced(&messages, self.database);
            let as_expected = beside.is_some_and(|beside| beside.answers[at] == answer);
            refused = beside.is_some() && !as_expected && messages.iter().any(is_refusal);
            answers.push(answer);
            if refused {
                break;
            }
        }
        drop(session);
        Ok(Played {
            answers,
            refused,
            state: self.settled().await?,
        })
    }

    /// The rows, once no session of a script is left: what it left open may hold locks.
    async fn settled(&self) -> anyhow::Result<Vec<Option<String>>> {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND state LIKE 'idle in transaction%'";
        loop {
            let open: i64 = self.direct.query_one(sql, &[]).await?.get(0);
            if open == 0 {
                return self.state().await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn send(session: &mut RawClient, step: &Step) -> anyhow::Result<Vec<Message>> {
    let name = |number: usize| format!("p{number}");
    match step.way {
        Way::Query => session.simple(&step.sql).await,
        Way::Unnamed => session.extended(&step.sql, &[]).await,
        Way::Prepare(number) => session.prepare(&name(number), &step.sql).await,
        Way::Run(number) => session.run(&name(number)).await,
        Way::RunUnnamed => session.run("").await,
    }
}

/// Of an error its code: which of two errors is told first is another test's. Of a plan that there is one,
/// and no notices: which schemas for temporary tables there have been is told by these.
fn reduced(messages: &[Message], database: &str) -> Vec<String> {
    let code = |message: &Message| message.field(b'C').unwrap_or_default();
    if let Some(error) = messages.iter().find(|message| message.tag == b'E') {
        return vec![code(error)];
    }
    let told = comparable(messages);
    let explains = told.iter().any(|line| line.contains("QUERY PLAN"));
    // The names of types in a schema of XML begin with the database's.
    let told = told
        .into_iter()
        .map(|line| line.replace(&format!("UDT.{database}."), "UDT."));
    let row = |line: &str| line.starts_with('D');
    told.filter(|line| !(line.starts_with('N') || explains && row(line)))
        .collect()
}

/// A refusal says that it is one, why, and what to do.
fn is_refusal(message: &Message) -> bool {
    // The last: prepare it again.
    const CODES: [&str; 4] = ["0A000", "55000", "54000", "26000"];
    let has_hint = message.field(b'H').is_some_and(|hint| !hint.is_empty());
    let code = message.field(b'C').unwrap_or_default();
    message.tag == b'E' && has_hint && CODES.contains(&code.as_str())
}
