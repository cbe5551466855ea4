//! Everything that is refused stands in one table (docs/limits.md), which is made of a list of statements
//! (tests/data/refusals.toml) and of what coverage says of each before the first step; and no refusal in the code
//! is without a line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crossfade::control::coverage::{CoverageOutcome, judge};
use crossfade::control::statements::SeenStatement;
use rewrite_rules::{Phase, Refusal, RuleSet, SearchPath, SourceFile, Verdict};

use crate::documents::repository;
use crate::sources::{Source, may_become};

/// Between these the table stands in the page.
const BEGIN: &str = "<!-- made of tests/data/refusals.toml -->\n";
const END: &str = "<!-- end of what is made -->\n";
/// With it the page is written anew.
const WRITE: &str = "CROSSFADE_WRITE_REFUSALS";

/// Defences against spellings that no parse tree has been seen with: no statement meets them.
const DEFENCE: &str = "this ";
/// PostgreSQL's own words, in every phase.
const OWN_WORDS: [&str; 3] = [
    "cannot truncate a table referenced in a foreign key constraint",
    "cannot set {what} to DEFAULT",
    "source for a multiple-column UPDATE item",
];

#[derive(Debug)]
struct Row {
    /// As it is told, for comparison with the code.
    told: String,
    example: Option<String>,
    when: String,
    sqlstate: String,
    why: String,
    instead: String,
    /// The file of the function that refuses at run time.
    at: Option<String>,
}

impl Row {
    /// Whether a literal is its message or, where the message comes from somewhere else, its hint.
    fn tells(&self, literal: &str) -> bool {
        may_become(literal, &self.told) || may_become(literal, &self.instead)
    }

    fn line(&self) -> String {
        let what = self
            .told
            .strip_prefix("crossfade does not rewrite ")
            .and_then(|what| what.split(" (table ").next())
            .unwrap_or(&self.told);
        let example = self.example.as_ref().map_or(String::new(), |statement| {
            format!("<br>`{}`", statement.replace('|', "\\|"))
        });
        format!(
            "| {what}{example} | {} | {} | {} | {} |\n",
            self.when, self.sqlstate, self.why, self.instead
        )
    }
}

fn file(name: &str, text: String) -> SourceFile {
    SourceFile {
        path: format!("{name}.toml").into(),
        text,
    }
}

/// The rule sets that the list speaks of.
fn rules(name: &str) -> RuleSet {
    let (path, without) = match name {
        "iso_agents"
        | "user_settings"
        | "enhanced_user"
        | "iso_agents_dependents"
        | "studio_customers" => (format!("rewrite-rules/rules/{name}.toml"), None),
        "members-fixed" => ("tests/data/lens/members.toml".to_owned(), Some("rekey = ")),
        "things-unnamed" => (
            "tests/data/lens/things.toml".to_owned(),
            Some("things_pkey"),
        ),
        _ => (format!("tests/data/lens/{name}.toml"), None),
    };
    let text = fs::read_to_string(repository().join(path)).unwrap();
    let lines = text.lines();
    let kept = lines.filter(|line| without.is_none_or(|begin| !line.starts_with(begin)));
    let text = kept.collect::<Vec<_>>().join("\n");
    RuleSet::compile(vec![file(name, text)]).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
}

/// The phases in words: from one on, from one to another, or each.
fn in_words(phases: &[Phase]) -> String {
    let all: Vec<Phase> = Phase::ALL.into_iter().collect();
    let first = all.iter().position(|phase| phase == &phases[0]).unwrap();
    let together = all[first..].starts_with(phases);
    match phases {
        [only] => only.to_string(),
        [first, .., last] if together && *last == Phase::Retired => format!("{first} on"),
        [first, .., last] if together => format!("{first} to {last}"),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            names.join(", ")
        }
    }
}

fn refusal_in(rules: &RuleSet, phase: Phase, statement: &str) -> Option<Refusal> {
    let rules = rules.with_phase(None, phase);
    match &rules.rewrite(statement, SearchPath::AsDeclared).verdict {
        Verdict::Refused(refusal) => Some(refusal.clone()),
        Verdict::PassThrough | Verdict::Rewritten(_) => None,
    }
}

/// What a statement is told, and in which phases.
struct Counted {
    message: String,
    hint: String,
    phases: Vec<Phase>,
}

/// What coverage says of a statement that was seen in `legacy_only`.
async fn counted(rules: &RuleSet, statement: &str) -> Vec<Counted> {
    let seen = SeenStatement {
        statement: statement.to_owned(),
        calls: 1,
        last_seen_seconds: None,
    };
    let migration = rules.migrations()[0].name.clone();
    let judged = judge(rules, &migration, vec![seen], None).await;
    let [coverage] = &judged[..] else {
        panic!("coverage does not count {statement}");
    };
    let mut counted: Vec<Counted> = Vec::new();
    for judged in &coverage.phases {
        let CoverageOutcome::Refused { message, hint } = &judged.outcome else {
            continue;
        };
        let phase = Phase::ALL
            .into_iter()
            .find(|phase| phase.name() == judged.phase);
        let phase = phase.expect("a phase's name");
        match counted
            .iter_mut()
            .find(|counted| counted.message == *message)
        {
            Some(counted) => counted.phases.push(phase),
            None => counted.push(Counted {
                message: message.clone(),
                hint: hint.clone(),
                phases: vec![phase],
            }),
        }
    }
    assert!(
        !counted.is_empty(),
        "nothing refuses {statement}: {coverage:?}"
    );
    counted
}

async fn rows() -> Vec<Row> {
    let path = repository().join("tests/data/refusals.toml");
    let list: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let mut rows = Vec::new();
    for entry in list["refused"].as_array().unwrap() {
        let field = |name: &str| {
            entry
                .get(name)
                .map(|value| value.as_str().unwrap().to_owned())
        };
        let (instead, why) = (field("instead"), field("why").unwrap());
        let Some(statement) = field("statement") else {
            rows.push(Row {
                told: field("what").unwrap(),
                example: None,
                when: field("when").unwrap(),
                sqlstate: field("sqlstate").unwrap(),
                why,
                instead: instead.unwrap(),
                at: field("at"),
            });
            continue;
        };
        let rules = rules(&field("rules").unwrap());
        let sent = statement.replace("{many}", &["email"; 1001].join(", "));
        for counted in counted(&rules, &sent).await {
            let refusal = refusal_in(&rules, counted.phases[0], &sent);
            rows.push(Row {
                told: counted.message,
                example: Some(statement.replace("{many}", "…")),
                when: in_words(&counted.phases),
                // Of a text that is to be prepared the session says it, not the rules.
                sqlstate: refusal
                    .map_or("0A000", |refusal| refusal.sqlstate)
                    .to_owned(),
                why: why.clone(),
                instead: instead.clone().unwrap_or(counted.hint),
                at: None,
            });
        }
    }
    rows
}

#[tokio::test]
async fn the_table_of_refusals_is_what_coverage_says_before_the_first_step() {
    let mut table =
        String::from("| refused, e.g. | in | SQLSTATE | why | instead |\n|---|---|---|---|---|\n");
    for row in rows().await {
        table.push_str(&row.line());
    }
    let path = repository().join("docs/limits.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (found, after) = rest.split_once(END).expect("where the table ends");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(
            found == table,
            "the table of docs/limits.md is not what the code says: run this test with {WRITE}=1\n{table}"
        );
    }
}

#[tokio::test]
async fn no_refusal_in_the_code_is_without_its_line() {
    let rows = rows().await;
    let mut missing = String::new();
    let mut at_run_time: BTreeMap<String, usize> = BTreeMap::new();
    for source in Source::all() {
        for (line, literal) in source.refusals() {
            let told = rows.iter().any(|row| row.tells(&literal));
            let own = OWN_WORDS.iter().any(|words| literal.starts_with(words));
            if !told && !own && !literal.starts_with(DEFENCE) {
                let _ = writeln!(missing, "{}:{line}: {literal}", source.path);
            }
        }
        let raised = source.raised();
        if raised > 0 {
            at_run_time.insert(source.path.clone(), raised);
        }
    }
    assert!(
        missing.is_empty(),
        "without a line in tests/data/refusals.toml:\n{missing}"
    );
    let mut listed: BTreeMap<String, usize> = BTreeMap::new();
    for at in rows.iter().filter_map(|row| row.at.clone()) {
        *listed.entry(at).or_default() += 1;
    }
    assert_eq!(listed, at_run_time, "what functions refuse at run time");
}
