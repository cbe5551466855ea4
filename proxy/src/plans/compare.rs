//! The plans of the statements that were seen: as the application sends them, on the legacy table, beside what they become in
//! each phase to come.

use std::collections::{HashMap, HashSet};

use rewrite_rules::{Lens, Migration, Phase, RuleSet, ServerVersion, TableName, Verdict};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::ask::{Asker, NoPlan, Planned};
use super::judge::{Sides, cost, judge};
use crate::control::coverage::with_namesakes;
use crate::control::error::ControlError;
use crate::control::named;
use crate::control::plans::{self, PlanFinding, PlanVerdict};
use crate::control::statements::SeenStatement;

/// The most called ones are planned, each for a handful of phases: some milliseconds each time.
pub const STATEMENTS_MAX: usize = 500;

/// What a comparison found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The role that they were planned for.
    pub role: String,
    /// Statements that are rewritten in a later phase, and were planned.
    pub statements: usize,
    /// Those that were called least and found no room.
    pub left_out: usize,
    /// One for each phase in which the statement becomes another; the worst first.
    pub findings: Vec<PlanFinding>,
}

/// Plans what the statements become in each phase after the migration's own, `retired` apart, which is read as
/// `unified_only`. `role` is whom they are planned for; `None`: the legacy table's owner. The connection must be
/// nobody else's: the session is reset.
///
/// # Errors
/// The database does not answer, or the session cannot be of the role that was named. What has no plan is a finding.
pub async fn compare(
    client: &Client,
    (rules, migration): (&RuleSet, &str),
    seen: Vec<SeenStatement>,
    role: Option<&str>,
) -> Result<Comparison, ControlError> {
    let refused = |NoPlan(why)| ControlError::Refused(format!("no plan can be asked for: {why}"));
    let of_one = largest_tenant(client, rules).await?;
    let rules = with_namesakes(client, of_one.as_ref().unwrap_or(rules)).await;
    let version = version(client).await?;
    let moved = named::find(&rules, migration)?;
    let current = moved.phase;
    let legacy = moved.tables.first().map(|lens| lens.legacy.clone());
    let legacy = legacy.ok_or_else(|| {
        ControlError::Refused(format!(
            "{migration} moves no table: there is nothing to plan"
        ))
    })?;
    let later: Vec<(Phase, RuleSet)> = Phase::ALL
        .into_iter()
        .filter(|phase| *phase > current && *phase < Phase::Retired)
        .map(|phase| (phase, rules.with_phase(Some(migration), phase)))
        .collect();
    let sides = sides(moved);
    let tenant = rules.tenants().and_then(|tenants| tenants.first());
    let tenant = tenant.map(|tenant| tenant.schema.clone());
    let both = sides.legacy.union(&sides.unified).cloned().collect();
    let asker = Asker::of(client, (role, &legacy), tenant.as_deref(), both).await;
    let asker = asker.map_err(refused)?;
    let mut compared = Comparison {
        role: asker.role().to_owned(),
        statements: 0,
        left_out: 0,
        findings: Vec::new(),
    };
    let mut known = HashSet::new();
    for seen in seen {
        if !known.insert(seen.statement.clone()) {
            continue;
        }
        let sent = sent(&later, &seen.statement, version);
        if sent.is_empty() {
            continue;
        }
        if compared.statements == STATEMENTS_MAX {
            compared.left_out += 1;
            continue;
        }
        compared.statements += 1;
        let findings = of_statement(&asker, (migration, &sides), &seen, sent).await;
        if client.is_closed() {
            let closed = "the connection ended while statements were planned";
            return Err(ControlError::Connect(closed.to_owned()));
        }
        compared.findings.extend(findings);
    }
    plans::sort(&mut compared.findings);
    Ok(compared)
}

/// What a statement becomes where it becomes another, or why that has no plan.
fn sent(
    later: &[(Phase, RuleSet)],
    statement: &str,
    version: ServerVersion,
) -> Vec<(Phase, Result<String, NoPlan>)> {
    let mut sent = Vec::new();
    for (phase, rules) in later {
        if !rules.must_read(statement.as_bytes()) {
            continue;
        }
        let reading = rules.rewrite(statement, rules.path_of(None));
        let text = match &reading.verdict {
            Verdict::PassThrough => continue,
            Verdict::Refused(refusal) => Err(NoPlan(format!("it is refused: {}", refusal.message))),
            Verdict::Rewritten(rewritten) if rewritten.sql == rewritten.original => continue,
            Verdict::Rewritten(rewritten) => {
                // Of several, what the client's own becomes.
                let own = rewritten.prepared.as_deref().unwrap_or(rewritten);
                match rewritten.refused_by(version) {
                    Some(refusal) => Err(NoPlan(format!("it is refused: {}", refusal.message))),
                    None if own.answers.len() == 1 || own.around.is_some() => Ok(own.sql.clone()),
                    None => Err(NoPlan(
                        "it becomes several statements, which need each other's rows".to_owned(),
                    )),
                }
            }
        };
        sent.push((*phase, text));
    }
    sent
}

async fn of_statement(
    asker: &Asker<'_>,
    (migration, sides): (&str, &Sides),
    seen: &SeenStatement,
    sent: Vec<(Phase, Result<String, NoPlan>)>,
) -> Vec<PlanFinding> {
    let legacy = asker.plan_of_client(&seen.statement).await;
    // Neighbouring phases often send the same.
    let mut known: HashMap<String, Result<Planned, NoPlan>> = HashMap::new();
    let mut findings = Vec::new();
    for (phase, text) in sent {
        let mut finding = PlanFinding {
            migration: migration.to_owned(),
            phase: phase.name().to_owned(),
            statement: seen.statement.clone(),
            calls: seen.calls,
            verdict: PlanVerdict::Same,
            legacy_cost: legacy.as_ref().ok().and_then(|planned| cost(&planned.plan)),
            cost: None,
            compared_seconds_ago: 0.0,
        };
        let cannot_tell = |NoPlan(reason): &NoPlan| PlanVerdict::CannotTell {
            reason: reason.clone(),
        };
        finding.verdict = match (&legacy, text) {
            (Err(no_plan), _) => cannot_tell(no_plan),
            (Ok(_), Err(no_plan)) => cannot_tell(&no_plan),
            (Ok(before), Ok(text)) => {
                if !known.contains_key(&text) {
                    known.insert(text.clone(), asker.plan(&text).await);
                }
                match &known[&text] {
                    Err(no_plan) => cannot_tell(no_plan),
                    Ok(after) => {
                        finding.cost = cost(&after.plan);
                        judge(before, after, sides)
                    }
                }
            }
        };
        findings.push(finding);
    }
    findings
}

fn sides(migration: &Migration) -> Sides {
    let legacy = |lens: &Lens| lens.legacy.clone();
    let unified =
        |lens: &Lens| -> Vec<TableName> { lens.unified_side().into_iter().cloned().collect() };
    Sides {
        legacy: migration.tables.iter().map(legacy).collect(),
        unified: migration.tables.iter().flat_map(unified).collect(),
    }
}

async fn version(client: &Client) -> Result<ServerVersion, ControlError> {
    let row = client.query_typed_one("SHOW server_version", &[]).await;
    let row = row.map_err(ControlError::sql("look at the server's version"))?;
    Ok(ServerVersion::told(row.get(0)))
}

/// The same rules for one tenant alone, whose tables are the largest: whose sessions the statements came from nobody knows, and
/// a plan for few rows says nothing of many. `None`: there are no tenants.
async fn largest_tenant(client: &Client, rules: &RuleSet) -> Result<Option<RuleSet>, ControlError> {
    let Some(tenants) = rules.tenants().filter(|tenants| !tenants.is_empty()) else {
        return Ok(None);
    };
    let schemas: Vec<&str> = tenants.iter().map(|t| t.schema.as_str()).collect();
    let row = client
        .query_typed_opt(
            "SELECT n.nspname::text FROM pg_namespace AS n LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind = 'r' \
             WHERE n.nspname = ANY ($1) GROUP BY n.nspname ORDER BY coalesce(sum(c.relpages), 0) DESC, n.nspname LIMIT 1",
            &[(&schemas, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(ControlError::sql("look for the largest tenant"))?;
    let largest = row.map(|row| row.get::<_, String>(0));
    let of = tenants
        .iter()
        .find(|t| largest.as_deref().is_none_or(|schema| t.schema == schema));
    Ok(of.map(|tenant| rules.with_tenants(vec![tenant.clone()])))
}
