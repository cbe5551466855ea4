//! `crossfade explain`: what a statement becomes, offline; with a database, how it is run there.

mod marks;
mod plan;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use rewrite_rules::{
    Answer, Phase, Reading, Refusal, Rewritten, RuleSet, ServerVersion, Tenant, Verdict,
};

use crate::rules_dir;
use marks::Marks;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory of rule files
    #[arg(long, env = "CROSSFADE_RULES")]
    rules: PathBuf,
    /// Explain as in this phase; default: in each of them
    #[arg(long)]
    phase: Option<Phase>,
    /// Only what is sent to the server, without marks
    #[arg(long, requires = "phase")]
    plain: bool,
    /// Explain as with a server of this version, such as 16 or 18.1; default: the newest
    #[arg(long, value_parser = server_version)]
    server_version: Option<ServerVersion>,
    /// The server's plan of what the statement becomes; needs a database, and the role that sends it
    #[arg(long, requires_all = ["control", "role"])]
    plan: bool,
    /// The application's role, under which the server plans: planning may run what the statement calls
    #[arg(long)]
    role: Option<String>,
    /// A connection to the application's database; a password belongs in the variable or a password
    /// file (`passfile=FILE` in the string, PGPASSFILE, or ~/.pgpass), not in a command line
    #[arg(long, env = "CROSSFADE_CONTROL_URL", hide_env_values = true)]
    control: Option<String>,
    /// Where each tenant has its tables in a schema of its own: for which one the statement is sent, and what tells its
    /// rows apart
    #[arg(long, value_name = "SCHEMA=VALUE", value_parser = tenant)]
    tenant: Option<Tenant>,
    /// The statement, as the application sends it
    sql: String,
}

fn tenant(text: &str) -> Result<Tenant, String> {
    let (schema, value) = text.split_once('=').ok_or("a schema, =, and a value")?;
    let (schema, value) = (schema.to_owned(), value.to_owned());
    let tenant = Tenant { schema, value };
    match RuleSet::may_be_tenant(&tenant) {
        Ok(()) => Ok(tenant),
        Err(no) => Err(format!("{}: {}", no.schema, no.reason)),
    }
}

fn server_version(text: &str) -> Result<ServerVersion, String> {
    match ServerVersion::told(text) {
        ServerVersion(0) => Err("a version such as 16 or 18.1".to_owned()),
        version => Ok(version),
    }
}

/// Phases in a row in which the same becomes of the statement.
struct Group {
    phases: Vec<Phase>,
    said: String,
    sent: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let rules = rules_dir::load(&args.rules)
        .with_context(|| format!("cannot use the rules in {}", args.rules.display()))?;
    if rules.migrations().is_empty() {
        bail!(
            "no rule file in {}: nothing is rewritten",
            args.rules.display()
        );
    }
    let rules = match (rules.has_tenants(), args.tenant) {
        (true, Some(tenant)) => rules.with_tenants(vec![tenant]),
        (_, None) => rules,
        (false, Some(_)) => bail!("the rules have no tenants: expected no --tenant"),
    };
    let marks = if std::io::stdout().is_terminal() {
        Marks::Colours
    } else {
        Marks::Brackets
    };
    let phases: Vec<Phase> = match args.phase {
        Some(phase) => vec![phase],
        None => Phase::ALL.to_vec(),
    };
    let server = args.server_version.unwrap_or(ServerVersion::NEWEST);
    let groups = groups(&rules, &phases, (&args.sql, server), marks);
    if args.plain {
        for sent in groups.iter().filter_map(|group| group.sent.as_ref()) {
            println!("{sent}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    for group in &groups {
        let names: Vec<&str> = group.phases.iter().map(|phase| phase.name()).collect();
        println!("{}", marks.heading(&names.join(", ")));
        println!("{}", group.said);
        if let (true, Some(url), Some(role), Some(sent)) =
            (args.plan, &args.control, &args.role, &group.sent)
        {
            println!("{}", plan::of(url, role, sent).await?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn groups(
    rules: &RuleSet,
    phases: &[Phase],
    (sql, server): (&str, ServerVersion),
    marks: Marks,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for phase in phases {
        let rules = rules.with_phase(None, *phase);
        let reading = rules
            .must_read(sql.as_bytes())
            .then(|| rules.rewrite(sql, rules.path_of(None)));
        let objection = reading
            .as_deref()
            .and_then(|reading| match &reading.verdict {
                Verdict::Rewritten(rewritten) => rewritten.refused_by(server),
                Verdict::PassThrough | Verdict::Refused(_) => None,
            });
        let (said, sent) = match objection {
            Some(refusal) => (said_of_refusal(&refusal), None),
            None => (
                said(reading.as_deref(), marks),
                sent(reading.as_deref(), sql),
            ),
        };
        match groups.last_mut() {
            Some(group) if group.said == said => group.phases.push(*phase),
            _ => groups.push(Group {
                phases: vec![*phase],
                said,
                sent,
            }),
        }
    }
    groups
}

fn sent(reading: Option<&Reading>, sql: &str) -> Option<String> {
    match reading.map(|reading| &reading.verdict) {
        None | Some(Verdict::PassThrough) => Some(sql.to_owned()),
        Some(Verdict::Rewritten(rewritten)) => Some(rewritten.sql.clone()),
        Some(Verdict::Refused(_)) => None,
    }
}

fn said(reading: Option<&Reading>, marks: Marks) -> String {
    match reading.map(|reading| &reading.verdict) {
        None => "passes through: it names no table that is managed".to_owned(),
        Some(Verdict::PassThrough) => "passes through as it is".to_owned(),
        Some(Verdict::Refused(refusal)) => said_of_refusal(refusal),
        Some(Verdict::Rewritten(rewritten)) => said_of(rewritten, marks),
    }
}

fn said_of_refusal(refusal: &Refusal) -> String {
    let at = match refusal.position {
        Some(position) => format!(", at character {position}"),
        None => String::new(),
    };
    format!(
        "refused with {}{at}: {}\nhint: {}",
        refusal.sqlstate, refusal.message, refusal.hint
    )
}

fn said_of(rewritten: &Rewritten, marks: Marks) -> String {
    let mut said = String::new();
    if rewritten.sql != rewritten.original {
        let (before, after) = marks::both(rewritten, marks);
        said += &format!("before  {before}\nafter   {after}");
    } else {
        said += "passes through as it is";
    }
    for (index, answer) in rewritten.answers.iter().enumerate() {
        if let Some(told) = told(*answer) {
            said += &format!("\nstatement {} is answered {told}", index + 1);
        }
    }
    if let Some(shadow) = &rewritten.shadow {
        said += &format!("\na sample is compared with: {}", shadow.unified);
    }
    said
}

fn told(answer: Answer) -> Option<String> {
    if answer.silent {
        return Some("with nothing: it is crossfade's own".to_owned());
    }
    let tag = answer.tag?.tag(7).replace('7', "n");
    let rows = if answer.hide_rows {
        " without rows"
    } else {
        ""
    };
    Some(format!("`{tag}`{rows}"))
}

#[cfg(test)]
mod tests {
    use rewrite_rules::SourceFile;

    use super::*;

    fn rules() -> RuleSet {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: include_str!("../../../rewrite-rules/rules/iso_agents.toml").to_owned(),
        };
        RuleSet::compile(vec![file]).expect("the shipped rules are right")
    }

    #[test]
    fn every_phase_is_told_once_and_only_changes_are_marked() {
        let sql = "DELETE FROM iso_agents /* é */ WHERE email = 'x'";
        let groups = groups(
            &rules(),
            &Phase::ALL,
            (sql, ServerVersion::NEWEST),
            Marks::Brackets,
        );
        let phases: Vec<Phase> = groups.iter().flat_map(|g| g.phases.clone()).collect();
        assert_eq!(phases, Phase::ALL);
        assert!(groups[0].said.starts_with("passes through"));
        let dual = groups
            .iter()
            .find(|group| group.phases.contains(&Phase::DualWrite))
            .expect("each phase is in one");
        let lines: Vec<&str> = dual.said.lines().collect();
        assert_eq!(lines[0], format!("before  {sql}"));
        let expected = "after   {+WITH cf_new AS (+}DELETE FROM iso_agents /* é */ WHERE email = 'x'{+ RETURNING";
        assert!(lines[1].starts_with(expected), "{}", lines[1]);
        assert_eq!(lines[2], "statement 1 is answered `DELETE n` without rows");
        let unmarked = |line: &str| line.replace("{+", "").replace("+}", "");
        assert_eq!(Some(unmarked(&lines[1][8..])), dual.sent);
    }

    #[test]
    fn what_is_replaced_is_marked_on_both_sides() {
        let sql = "SELECT a.email FROM iso_agents a";
        let groups = groups(
            &rules(),
            &[Phase::UnifiedOnly],
            (sql, ServerVersion::NEWEST),
            Marks::Brackets,
        );
        let said = &groups[0].said;
        let before = "before  SELECT a.email FROM [-iso_agents-] a\n";
        assert!(said.starts_with(before), "{said}");
        assert!(
            said.contains("\nafter   SELECT a.email FROM {+(SELECT"),
            "{said}"
        );
        assert!(said.ends_with("+} a"), "{said}");
    }

    #[test]
    fn a_refusal_is_told_with_what_to_do() {
        let groups = groups(
            &rules(),
            &Phase::ALL,
            ("DROP TABLE iso_agents", ServerVersion::NEWEST),
            Marks::Brackets,
        );
        let refused = groups.last().expect("there are phases");
        assert!(
            refused.said.starts_with("refused with 55000"),
            "{}",
            refused.said
        );
        assert!(refused.said.contains("\nhint: "), "{}", refused.said);
        assert_eq!(refused.sent, None);
    }

    #[test]
    fn an_older_server_is_not_sent_what_it_does_not_know() {
        let sql = "MERGE INTO iso_agents a USING s ON a.id = s.id WHEN MATCHED THEN DELETE";
        let said = |version: &str| {
            let server = ServerVersion::told(version);
            let groups = groups(
                &rules(),
                &[Phase::DualWrite],
                (sql, server),
                Marks::Brackets,
            );
            groups[0].said.clone()
        };
        let refused = said("16.3 (Debian 16.3-1)");
        assert!(refused.starts_with("refused with 0A000"), "{refused}");
        assert!(refused.contains("this is version 16"), "{refused}");
        let rewritten = said("17.0");
        assert!(
            rewritten.ends_with("answered `MERGE n` without rows"),
            "{rewritten}"
        );
    }
}
