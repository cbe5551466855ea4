//! Every way to say a name and to change what it means: what reaches the server is rewritten, refused, or
//! names something else.
//!
//! `CROSSFADE_SEED` begins at another case (a failure prints its own), `CROSSFADE_NAMES_CASES` runs so many;
//! with `CROSSFADE_NAMES_GO_ON` all that is found is told, not the first.

mod bench;
mod side;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossfade_tests::generate::Choices;
use crossfade_tests::names::{self, Concern, Text};
use rewrite_rules::{Names, Phase, RuleSet, SearchPath, SourceFile, Strings, Touch, Verdict};

/// In each phase and under each path: thousands of texts.
const TEXTS: u64 = 600;
/// Each runs in a few phases.
const SCRIPTS: u64 = 250;
const SEED: u64 = 40_000;

const RULES: &str = include_str!("../../../rewrite-rules/rules/iso_agents.toml");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds(cases: u64) -> std::ops::Range<u64> {
    let first = number("CROSSFADE_SEED").unwrap_or(SEED);
    first..first + number("CROSSFADE_NAMES_CASES").unwrap_or(cases)
}

/// What was found, told at once or in the end.
struct Found {
    go_on: bool,
    told: Vec<String>,
}

impl Found {
    fn new() -> Found {
        let go_on = std::env::var_os("CROSSFADE_NAMES_GO_ON").is_some();
        let told = Vec::new();
        Found { go_on, told }
    }

    fn tell(&mut self, seed: u64, what: &str) {
        let report = format!("CROSSFADE_SEED={seed} CROSSFADE_NAMES_CASES=1\n{what}");
        assert!(self.go_on, "{report}");
        println!("=== {report}\n");
        self.told.push(report);
    }

    fn end(self) {
        assert!(self.told.is_empty(), "{} found", self.told.len());
    }
}

/// The paths of a session, and whether they find the managed table.
const PATHS: [(SearchPath, Option<bool>); 3] = [
    (SearchPath::AsDeclared, Some(true)),
    (SearchPath::Finds(Names::NONE), Some(false)),
    (SearchPath::Unknown, None),
];

#[test]
fn no_spelling_of_a_managed_name_passes_the_rules() {
    let file = SourceFile {
        path: PathBuf::from("iso_agents.toml"),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
    let in_phases = Phase::ALL.map(|phase| (phase, rules.with_phase(None, phase)));
    let mut found = Found::new();
    let mut verdicts: BTreeMap<(Concern, &str), u32> = BTreeMap::new();
    for seed in seeds(TEXTS) {
        let mut choices = Choices::seeded(0, seed);
        let text = names::text(&mut choices);
        for (phase, rules) in &in_phases {
            for (path, finds) in PATHS {
                let verdict = verdict(rules, &text.sql, path);
                *verdicts.entry((text.concern, verdict)).or_default() += 1;
                if let Some(expected) = objection(&text, *phase, finds, verdict) {
                    let context = format!("{phase}, {path:?}: {verdict}, but {expected}");
                    found.tell(seed, &format!("{context}\n{}\n{text:?}", text.sql));
                }
            }
        }
        let change = names::change(&mut choices);
        if !is_seen(&rules, &change) {
            found.tell(
                seed,
                &format!("nobody sees that names may mean something else: {change}"),
            );
        }
    }
    println!("{verdicts:#?}");
    found.end();
}

/// What the session makes of a text: it reads those that it must.
fn verdict(rules: &RuleSet, sql: &str, path: SearchPath) -> &'static str {
    if !rules.must_read(sql.as_bytes()) {
        return "unread";
    }
    match &rules.rewrite_as(sql, path, Strings::Standard).verdict {
        Verdict::PassThrough => "passes",
        Verdict::Rewritten(_) => "rewritten",
        Verdict::Refused(refusal) if refusal.sqlstate == "XX000" => "broken",
        Verdict::Refused(refusal) if refusal.sqlstate == "42601" => "unparsed",
        Verdict::Refused(_) => "refused",
    }
}

/// Why this is not what a text should come to.
fn objection(
    text: &Text,
    phase: Phase,
    finds: Option<bool>,
    verdict: &'static str,
) -> Option<&'static str> {
    if matches!(verdict, "broken" | "unparsed") {
        return Some("it is SQL");
    }
    let finds = if text.changed { None } else { finds };
    let concerns = match text.concern {
        // What is said under the unified name concerns legacy while both are written; what its
        // commands may do is told elsewhere.
        Concern::Write | Concern::Body if text.named.is_unified() => phase.writes_both(),
        Concern::Read | Concern::ReadsText | Concern::Command if text.named.is_unified() => false,
        Concern::Read | Concern::ReadsText => phase.reads_unified(),
        Concern::Write | Concern::Command | Concern::Body => phase > Phase::LegacyOnly,
        Concern::Catalog => false,
    };
    let passes = matches!(verdict, "unread" | "passes");
    // Of a body every word counts, what is kept is not known to be run under this path, and what an
    // argument says may change it.
    let told = text.concern == Concern::ReadsText && text.named.schema.is_none();
    let guessed = told || text.concern == Concern::Body || text.changed;
    match text.named.is_managed(finds) {
        Some(true) if concerns && passes => Some("it names a managed table"),
        None if concerns && passes => Some("it may name a managed table"),
        None if concerns && !text.changed && verdict != "refused" => {
            Some("nobody knows what it names")
        }
        Some(false) if verdict == "rewritten" => Some("it names another table"),
        Some(true) if text.named.is_unified() && !phase.writes_both() && !passes => {
            Some("it is an ordinary table")
        }
        Some(false) if verdict == "refused" && !guessed => Some("it names no managed table"),
        Some(_) | None => None,
    }
}

/// Whether the session takes note that names may mean something else behind this text.
fn is_seen(rules: &RuleSet, sql: &str) -> bool {
    let reading = rules.rewrite(sql, SearchPath::AsDeclared);
    let reads = rules.must_read(sql.as_bytes());
    rules.touch(sql.as_bytes()) != Touch::No || reads && reading.effects.path.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_a_name_the_server_is_told_what_it_means() -> anyhow::Result<()> {
    let mut bench = bench::Bench::start().await?;
    let mut found = Found::new();
    for seed in seeds(SCRIPTS) {
        let script = names::script(&mut Choices::seeded(0, seed));
        let steps: Vec<String> = script.iter().map(ToString::to_string).collect();
        let differences = bench.run(&script).await?;
        if let Some(difference) = differences.first() {
            let steps = steps.join("\n    ");
            found.tell(seed, &format!("    {steps}\n{difference}\n{}", bench.log()));
        }
    }
    println!("ran and were refused: {:?}", bench.counts);
    found.end();
    Ok(())
}
