//! What every later phase will make of the statements that were seen: rewritten, and accepted by
//! the server, or refused, and why. Known before the first step is taken.

use rewrite_rules::lens::quote_ident;
use rewrite_rules::{Namesakes, Phase, Refusal, RuleSet, SearchPath, ServerVersion, Verdict};
use serde::Serialize;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::functions;
use super::statements::SeenStatement;

#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    pub statement: String,
    pub calls: i64,
    pub last_seen_seconds: Option<f64>,
    pub phases: Vec<InPhase>,
}

#[derive(Clone, Debug, Serialize)]
pub struct InPhase {
    pub phase: String,
    pub outcome: CoverageOutcome,
}

#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum CoverageOutcome {
    /// The client's own text is sent.
    Passes,
    Rewritten,
    Refused {
        message: String,
        hint: String,
    },
    /// Rewritten, but the server does not accept the result.
    Rejected {
        message: String,
    },
}

impl Coverage {
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.phases.iter().all(|phase| match phase.outcome {
            CoverageOutcome::Passes | CoverageOutcome::Rewritten => true,
            CoverageOutcome::Refused { .. } | CoverageOutcome::Rejected { .. } => false,
        })
    }
}

/// Judges statements for every phase after the migration's own. Those that name none of its tables
/// are left out. With a connection, rewritten texts are prepared there and thrown away.
pub async fn judge(
    rules: &RuleSet,
    migration: &str,
    statements: Vec<SeenStatement>,
    server: Option<&Client>,
) -> Vec<Coverage> {
    let rules = &match server {
        Some(client) => with_namesakes(client, rules).await,
        None => rules.with_namesakes(Namesakes::NotAsked),
    };
    let server = match server {
        Some(client) => Some(AskedServer::of(client, rules).await),
        None => None,
    };
    let server = server.as_ref();
    let current = rules
        .migration(migration)
        .map_or(Phase::LegacyOnly, |m| m.phase);
    let later: Vec<RuleSet> = Phase::ALL
        .into_iter()
        .filter(|phase| *phase > current)
        .map(|phase| rules.with_phase(Some(migration), phase))
        .collect();
    let mut judged = Vec::new();
    for seen in statements {
        let mut phases = Vec::new();
        for rules in &later {
            let phase = rules
                .migration(migration)
                .map_or(Phase::Retired, |m| m.phase);
            let outcome = outcome(rules, &seen.statement, server).await;
            phases.push(InPhase {
                phase: phase.to_string(),
                outcome,
            });
        }
        // In dual_write a read passes, so only a statement that passes everywhere is another's.
        if phases
            .iter()
            .any(|phase| phase.outcome != CoverageOutcome::Passes)
        {
            judged.push(Coverage {
                statement: seen.statement,
                calls: seen.calls,
                last_seen_seconds: seen.last_seen_seconds,
                phases,
            });
        }
    }
    if let Some(server) = server {
        server.leave().await;
    }
    judged
}

/// The statements that one phase takes and the next one would not, with the reason.
pub async fn lost_between(
    rules: &RuleSet,
    migration: &str,
    (from, to): (Phase, Phase),
    statements: Vec<SeenStatement>,
    server: &Client,
) -> Vec<(String, String)> {
    let rules = &with_namesakes(server, rules).await;
    let before = rules.with_phase(Some(migration), from);
    let after = rules.with_phase(Some(migration), to);
    lost((&before, &after), statements, server).await
}

/// Those whose rewritten texts two sets of rules do not agree about.
#[must_use]
pub fn rewritten_otherwise(
    (before, after): (&RuleSet, &RuleSet),
    statements: &[SeenStatement],
) -> Vec<String> {
    let text = |rules: &RuleSet, text: &str| match &rules.look(text, SearchPath::AsDeclared).verdict
    {
        Verdict::Rewritten(rewritten) => Some(rewritten.sql.clone()),
        Verdict::PassThrough | Verdict::Refused(_) => None,
    };
    let all = statements.iter().map(|seen| &seen.statement);
    let changed = all.filter(|statement| text(before, statement) != text(after, statement));
    changed.cloned().collect()
}

/// The statements that one set of rules takes and the other would not, with the reason.
pub async fn lost(
    (before, after): (&RuleSet, &RuleSet),
    statements: Vec<SeenStatement>,
    server: &Client,
) -> Vec<(String, String)> {
    let server = &AskedServer::of(server, after).await;
    let mut lost = Vec::new();
    for seen in statements {
        let statement = seen.statement;
        let problem = match outcome(after, &statement, Some(server)).await {
            CoverageOutcome::Passes | CoverageOutcome::Rewritten => continue,
            CoverageOutcome::Refused { message, .. } | CoverageOutcome::Rejected { message } => {
                message
            }
        };
        match outcome(before, &statement, Some(server)).await {
            CoverageOutcome::Passes | CoverageOutcome::Rewritten => lost.push((statement, problem)),
            CoverageOutcome::Refused { .. } | CoverageOutcome::Rejected { .. } => {}
        }
    }
    server.leave().await;
    lost
}

/// The same rules, with the functions that bear names of PostgreSQL's in the connection's database.
pub async fn with_namesakes(client: &Client, rules: &RuleSet) -> RuleSet {
    // A connection that does not answer objects to every text as well.
    let namesakes = functions::namesakes(client).await;
    rules.with_namesakes(namesakes.unwrap_or(Namesakes::Unknown))
}

/// A server to ask, and its version.
struct AskedServer<'c> {
    client: &'c Client,
    version: ServerVersion,
    /// The path of before, where names are those of a tenant now.
    path: Option<String>,
}

impl<'c> AskedServer<'c> {
    async fn of(client: &'c Client, rules: &RuleSet) -> AskedServer<'c> {
        let row = client.query_one("SHOW server_version", &[]).await;
        let told = row.and_then(|row| row.try_get::<_, String>(0));
        AskedServer {
            client,
            // A connection that does not answer objects to every text as well.
            version: told.map_or(ServerVersion::NEWEST, |told| ServerVersion::told(&told)),
            path: led_to_a_tenant(client, rules).await,
        }
    }

    async fn leave(&self) {
        if let Some(path) = &self.path {
            set_path(self.client, path).await;
        }
    }
}

/// Has the connection find a tenant's tables, as it is read here: whose sessions the statements came from nobody
/// knows. The path of before; `None` where it stays.
async fn led_to_a_tenant(client: &Client, rules: &RuleSet) -> Option<String> {
    let tenant = rules.tenants()?.first()?;
    let row = client.query_one("SHOW search_path", &[]).await.ok()?;
    let before: String = row.get(0);
    let schema = quote_ident(&tenant.schema);
    let behind = Some(before.as_str()).filter(|path| !path.is_empty());
    let path: Vec<&str> = std::iter::once(schema.as_str()).chain(behind).collect();
    set_path(client, &path.join(", ")).await;
    Some(before)
}

/// A connection that does not answer objects to every text anyway.
async fn set_path(client: &Client, path: &str) {
    let _ = client
        .query_one("SELECT set_config('search_path', $1, false)", &[&path])
        .await;
}

/// What becomes of a statement. Whose statement it is nobody knows here, so the server is asked under
/// the control connection's own role, and may not run anything of it. Parse analysis does not, with one
/// exception: a string constant is read by the input function of its type, and if that is an array
/// or a row with a domain in it, the domain's CHECK is evaluated. So the server gets the statement's
/// shape, in which there are no constants.
async fn outcome(
    rules: &RuleSet,
    statement: &str,
    server: Option<&AskedServer<'_>>,
) -> CoverageOutcome {
    if !rules.must_read(statement.as_bytes()) {
        return CoverageOutcome::Passes;
    }
    let reading = rules.rewrite(statement, rules.path_of(None));
    let asked = server.and_then(|_| rewrite_rules::shape(statement));
    let asked = asked.as_deref();
    if let (Verdict::Rewritten(rewritten), Some(server)) = (&reading.verdict, server)
        && let Some(Refusal { message, hint, .. }) = rewritten.refused_by(server.version)
    {
        return CoverageOutcome::Refused { message, hint };
    }
    match &reading.verdict {
        Verdict::PassThrough => CoverageOutcome::Passes,
        Verdict::Refused(refusal) if refusal.is_of_generated() => CoverageOutcome::Passes,
        Verdict::Refused(refusal) => {
            let refused = CoverageOutcome::Refused {
                message: refusal.message.clone(),
                hint: refusal.hint.clone(),
            };
            match server.zip(asked) {
                // Told in the server's own words: a mistake that it finds in the statement as well.
                Some((server, asked)) if says(server.client, asked, &refusal.message).await => {
                    CoverageOutcome::Passes
                }
                Some((server, asked)) if !refusal.is_ours() => {
                    match prepare(server.client, asked).await {
                        None => refused,
                        Some(_) => CoverageOutcome::Passes,
                    }
                }
                Some(_) | None => refused,
            }
        }
        Verdict::Rewritten(rewritten) => match server.zip(asked) {
            // Several statements cannot be prepared; they are our own four around a COPY.
            Some((server, asked)) if rewritten.answers.len() == 1 => {
                let of_shape = rules.rewrite(asked, rules.path_of(None));
                match &of_shape.verdict {
                    Verdict::Rewritten(rewritten) => {
                        accepted(server.client, asked, &rewritten.sql).await
                    }
                    // A constant decided: there is nothing to ask without it.
                    Verdict::PassThrough | Verdict::Refused(_) => CoverageOutcome::Rewritten,
                }
            }
            Some(_) | None => CoverageOutcome::Rewritten,
        },
    }
}

/// A rejection, as a refusal in the server's own words, counts only if the server accepts what the
/// client wrote: a statement seen failing fails in every phase.
async fn accepted(server: &Client, statement: &str, rewritten: &str) -> CoverageOutcome {
    let rejected = match prepare(server, rewritten).await {
        None => return CoverageOutcome::Rewritten,
        Some(message) => message,
    };
    match prepare(server, statement).await {
        None => CoverageOutcome::Rejected { message: rejected },
        Some(_) => CoverageOutcome::Rewritten,
    }
}

/// Whether the server says this of a text.
async fn says(server: &Client, text: &str, message: &str) -> bool {
    let error = server.prepare(text).await.err();
    let said = error.as_ref().and_then(tokio_postgres::Error::as_db_error);
    said.is_some_and(|said| said.message() == message)
}

/// The server's objection. Values that were taken out may leave a parameter without a type, which
/// no client's own text does.
async fn prepare(server: &Client, text: &str) -> Option<String> {
    const UNTYPED: [SqlState; 2] = [
        SqlState::INDETERMINATE_DATATYPE,
        SqlState::AMBIGUOUS_PARAMETER,
    ];
    let error = server.prepare(text).await.err()?;
    match error.as_db_error() {
        Some(said) if UNTYPED.contains(said.code()) || said.code() == &SqlState::SYNTAX_ERROR => {
            None
        }
        Some(said) => Some(said.message().to_owned()),
        None => Some(error.to_string()),
    }
}
