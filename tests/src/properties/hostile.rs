//! Any text through the whole reader: the shipped rule files together, in every phase, under every
//! search path, with and without what is known of earlier texts. What it costs is the fuzzer's to
//! see, which bounds the process's memory and the time of one input.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rewrite_rules::{Names, Phase, RuleSet, SearchPath, SourceFile};

use super::reader::check_text;

const FILES: [(&str, &str); 5] = [
    (
        "enhanced_user.toml",
        include_str!("../../../rewrite-rules/rules/enhanced_user.toml"),
    ),
    (
        "iso_agents.toml",
        include_str!("../../../rewrite-rules/rules/iso_agents.toml"),
    ),
    (
        "iso_agents_dependents.toml",
        include_str!("../../../rewrite-rules/rules/iso_agents_dependents.toml"),
    ),
    (
        "studio_customers.toml",
        include_str!("../../../rewrite-rules/rules/studio_customers.toml"),
    ),
    (
        "user_settings.toml",
        include_str!("../../../rewrite-rules/rules/user_settings.toml"),
    ),
];

/// After so many texts the rule sets are made anew: what they keep of earlier texts, each up to its own
/// limit, would otherwise be taken for what one text costs.
const TEXTS_EACH: usize = 100;

/// The shipped rules in each phase, and for how many more texts.
static RULE_SETS: Mutex<(Vec<RuleSet>, usize)> = Mutex::new((Vec::new(), 0));

fn rule_sets() -> Vec<RuleSet> {
    let file = |(path, text): (&str, &str)| SourceFile {
        path: PathBuf::from(path),
        text: text.to_owned(),
    };
    let rules = RuleSet::compile(FILES.map(file).to_vec()).expect("the shipped rules are right");
    let in_phase = |phase| rules.with_phase(None, phase);
    Phase::ALL.into_iter().map(in_phase).collect()
}

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut kept = RULE_SETS.lock().unwrap_or_else(PoisonError::into_inner);
    let (rules, left) = &mut *kept;
    if *left == 0 {
        (*rules, *left) = (rule_sets(), TEXTS_EACH);
    }
    *left -= 1;
    for rules in &*rules {
        // All tables, none, and every second one.
        let found = [u64::MAX, 0, 0x5555_5555_5555_5555];
        let found = found.map(|bits| SearchPath::Finds(Names::from(bits)));
        for path in [SearchPath::AsDeclared, SearchPath::Unknown]
            .into_iter()
            .chain(found)
        {
            check_text(rules, text, path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rule_files_make_one_set_and_texts_go_through_it() {
        for text in [
            "SELECT 1",
            "UPDATE iso_agents SET (email, full_name) = ('a', 'b')",
            "SELECT * FROM user_settings, main_enhanceduser",
        ] {
            check(text.as_bytes());
        }
    }
}
