//! The SQL reader on any text: it answers, what it makes is SQL again, and every position of an
//! error in it can be told.

use std::path::PathBuf;
use std::sync::LazyLock;

use rewrite_rules::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

use super::Bytes;

const RULES: &str = include_str!("../../../rewrite-rules/rules/iso_agents.toml");

static RULE_SETS: LazyLock<Vec<RuleSet>> = LazyLock::new(|| {
    let file = SourceFile {
        path: PathBuf::from("iso_agents.toml"),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
    let in_phase = |phase| rules.with_phase(None, phase);
    Phase::ALL.into_iter().map(in_phase).collect()
});

/// The shipped rules in the phase that a byte chooses.
pub fn rules(choice: u8) -> &'static RuleSet {
    &RULE_SETS[usize::from(choice) % RULE_SETS.len()]
}

pub fn check(data: &[u8]) {
    let mut data = Bytes(data);
    let choice = data.byte();
    let path = if choice & 0x80 == 0 {
        SearchPath::AsDeclared
    } else {
        SearchPath::Unknown
    };
    let Ok(text) = std::str::from_utf8(data.0) else {
        return;
    };
    check_text(rules(choice & 0x7f), text, path);
}

pub fn check_text(rules: &RuleSet, text: &str, path: SearchPath) {
    let reading = rules.rewrite(text, path);
    match &reading.verdict {
        Verdict::PassThrough => {}
        Verdict::Refused(refusal) => {
            assert_eq!(refusal.sqlstate.len(), 5);
            assert!(!refusal.message.is_empty());
            assert_ne!(refusal.sqlstate, "XX000", "{text}: {refusal:?}");
        }
        Verdict::Rewritten(rewritten) => {
            assert!(rules.may_name(text.as_bytes()), "{text}");
            let parsed = pg_query::parse(&rewritten.sql, pg_query::ParserOptions::DEFAULT)
                .unwrap_or_else(|error| panic!("{text}\nbecame: {}\n{error}", rewritten.sql));
            assert_eq!(
                parsed.protobuf.stmts.len(),
                rewritten.answers.len(),
                "{text}"
            );
            let chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            for position in 0..=u32::try_from(rewritten.sql.len())
                .unwrap_or(u32::MAX)
                .min(2000)
            {
                let told = rewritten.client_position(position);
                assert!(
                    told.is_none_or(|told| (1..=chars + 1).contains(&told)),
                    "{text}"
                );
            }
        }
    }
}
