//! What was made of one text, for all that differ from it in constants alone.
//!
//! Clients that write values into their texts send a new text each time, and reading one takes a
//! hundred times as long as finding what is known. A template is used only where nothing can come
//! out differently from reading the text itself:
//!
//! - Of a text that has been read, each constant is watched while it is read again. Those that
//!   anything was made to depend on are part of the template: it is for texts with the same ones.
//! - Where the others stand in the sent text is found by reading the text once more, with values in
//!   their places that stand nowhere else. Filled with the text's own values, the result must be
//!   what was read at first, or there is no template.
//! - What depends on no more than the form of a text is the same for all texts of that form: whether
//!   it is SQL, what its statements are, which types PostgreSQL gives its constants.
//!
//! Debug builds read each text all the same, and compare.

mod filling;

use std::ops::Range;
use std::sync::Arc;

use crate::by_key::Takes;
use crate::constants::{Constants, HOLE};
use crate::rewrite::plain::PlainReads;
use crate::rule_set::RuleSet;
use crate::statement::{Keeps, Reading, SearchPath, SessionEffects, Verdict};
use crate::text::tokens::{ConstantKind, Token};
use crate::text::tree::Tree;
pub(crate) use filling::Templates;
use filling::{Holes, Made, TextTemplate};

/// Templates of one form: as many as there are common values of what the rules map. More are read.
const TEMPLATES_MAX: usize = 8;

/// Statements whose texts come with values; commands are rare, and all of their constants count.
const QUERIES: [&str; 5] = [
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
];

/// A text's form under a search path, and where its constants stand.
#[derive(Debug)]
pub(crate) struct Form {
    key: String,
    constants: Constants,
}

impl Form {
    pub fn of(text: &str, path: SearchPath) -> Option<Form> {
        let constants = Constants::of(text)?;
        let form = constants.form(text);
        let key = match path {
            SearchPath::AsDeclared => form,
            // No text begins so.
            SearchPath::Unknown | SearchPath::Finds(_) | SearchPath::Tenant { .. } => {
                format!("{HOLE}{path:?}{HOLE}{form}")
            }
        };
        Some(Form { key, constants })
    }
}

impl RuleSet {
    /// What a text is read as, if there is a template that it fits.
    pub(crate) fn filled(&self, text: &str, path: SearchPath, form: &Form) -> Option<Arc<Reading>> {
        let known = self.templates_kept(&form.key)?;
        let mut made = known.made.iter();
        let template = made.find(|made| made.fits(text, &form.constants))?;
        let reading = template.fill(text, &form.constants);
        debug_assert_eq!(
            reading.verdict,
            self.read(text, path).verdict,
            "a template does not give what reading gives: {text}"
        );
        Some(Arc::new(reading))
    }

    /// Notes the form of a text that was read; of the second and later ones a template is made.
    pub(crate) fn learn(&self, text: &str, path: SearchPath, form: Form, reading: &Reading) {
        let Some(known) = self.templates_kept(&form.key) else {
            self.keep_templates(form.key, Arc::default());
            return;
        };
        if known.tried >= TEMPLATES_MAX {
            return;
        }
        let template = self.template(text, path, &form.constants, reading);
        let made = known.made.iter().cloned().chain(template.map(Arc::new));
        let templates = Templates {
            made: made.collect(),
            tried: known.tried + 1,
        };
        self.keep_templates(form.key, Arc::new(templates));
    }

    /// The same where no template of this form was tried yet.
    pub(crate) fn learn_once(&self, text: &str, path: SearchPath, form: Form, reading: &Reading) {
        let known = self.templates_kept(&form.key);
        if known.is_none_or(|known| known.tried == 0) {
            self.learn(text, path, form, reading);
        }
    }

    /// Of each constant what its column takes, if it may be a parameter.
    fn typed(
        &self,
        text: &str,
        path: SearchPath,
        constants: &Constants,
        reading: &Reading,
    ) -> Option<Vec<Option<Takes>>> {
        match reading.keeps {
            Keeps::Nothing => return None,
            Keeps::ByKey | Keeps::Prepared(_) => {}
        }
        let (tree, _) = queries(text)?;
        let by_key = self.by_key(&tree, path, &reading.verdict)?;
        let places = constants.places.iter();
        let typed = places.map(|(range, _)| {
            let mut found = by_key.constants.iter();
            let found = found.find(|(at, _)| *at == range.start);
            found.map(|(_, takes)| *takes)
        });
        Some(typed.collect())
    }

    fn template(
        &self,
        text: &str,
        path: SearchPath,
        constants: &Constants,
        reading: &Reading,
    ) -> Option<TextTemplate> {
        if !reading.effects.is_empty() {
            return None;
        }
        let seen = self.seen(text, path, constants)?;
        if seen.iter().all(|seen| *seen) {
            return None;
        }
        let numbered = constants.places.iter().zip(&seen).enumerate();
        let fixed = numbered
            .filter(|(_, (_, seen))| **seen)
            .map(|(number, ((range, _), _))| (number, text[range.clone()].to_owned()));
        let fixed = fixed.collect();
        let (places, made) = match &reading.verdict {
            Verdict::Refused(_) => return None,
            Verdict::PassThrough => {
                let places = constants.places.iter();
                let places = places.map(|(range, _)| range.clone());
                (places.collect(), Made::PassedThrough)
            }
            Verdict::Rewritten(first) => {
                let values = stand_ins(constants, &seen);
                let known = |value: &String| {
                    let with_pair = first.shadow.iter().flat_map(|p| [&p.legacy, &p.unified]);
                    let mut texts = with_pair.chain([&first.sql, &first.original]);
                    texts.any(|text| text.contains(value))
                };
                if values.iter().flatten().any(known) {
                    return None;
                }
                let (other, places) = with_values(text, constants, &values);
                let Verdict::Rewritten(rewritten) = self.verdict_of(&other, path)? else {
                    return None;
                };
                let holes = |text: &str| Holes::of(text, &values);
                let pair = rewritten.shadow.as_deref();
                let typed = self.typed(text, path, constants, reading);
                let made = Made::Rewritten {
                    typed,
                    sql: holes(&rewritten.sql),
                    legacy: pair.map(|pair| holes(&pair.legacy)).unwrap_or_default(),
                    unified: pair.map(|pair| holes(&pair.unified)).unwrap_or_default(),
                    rewritten: Box::new(rewritten),
                };
                (places, made)
            }
        };
        let template = TextTemplate {
            fixed,
            places,
            made,
            calls: reading.calls.clone(),
            tries: reading.tries,
            reads: reading.reads.clone(),
        };
        let filled = template.fill(text, constants);
        (filled.verdict == reading.verdict).then_some(template)
    }

    /// Reads a text and tells of which constants anything but their types was looked at. `None` unless all
    /// of it are queries, and its constants what PostgreSQL's lexer finds.
    fn seen(&self, text: &str, path: SearchPath, constants: &Constants) -> Option<Vec<bool>> {
        let (mut tree, scanned) = queries(text)?;
        let mut at_token = Vec::with_capacity(constants.places.len());
        for (range, _) in &constants.places {
            let at = scanned.partition_point(|token| token.start < range.start);
            let found = scanned.get(at)?;
            if (found.start, found.end) != (range.start, range.end) {
                return None;
            }
            at_token.push(at);
        }
        let constant_at = |place: usize| {
            let at = scanned.partition_point(|token| token.start < place);
            let signed = scanned
                .get(at)
                .is_some_and(|token| text[token.start..].starts_with('-'));
            at_token.binary_search(&(at + usize::from(signed))).ok()
        };
        let mut watched = Vec::new();
        tree.watch(&constant_at, &mut watched);

        let mut effects = SessionEffects::default();
        let reads = &mut PlainReads::default();
        let verdict = self.verdict_on(text, (&tree, &scanned), path, &mut effects, reads);
        verdict.ok()?;
        // One that is no constant of the tree means something else: a length, a precision.
        let mut seen = vec![true; at_token.len()];
        for (number, _) in &watched {
            seen[*number] = scanned[at_token[*number]].seen.get();
        }
        for (number, value) in &watched {
            seen[*number] |= value.was_seen();
        }
        Some(seen)
    }

    fn verdict_of(&self, text: &str, path: SearchPath) -> Option<Verdict> {
        let (tree, scanned) = queries(text)?;
        let (mut effects, mut reads) = (SessionEffects::default(), PlainReads::default());
        let verdict = self.verdict_on(text, (&tree, &scanned), path, &mut effects, &mut reads);
        verdict.ok()
    }
}

/// The tree and the tokens of a text that holds nothing but queries.
fn queries(text: &str) -> Option<(Tree, Vec<Token>)> {
    let (tree, scanned) = crate::parse::parse(text).ok()?;
    let are_queries = tree
        .list("stmts")
        .iter()
        .all(|raw| QUERIES.contains(&raw.get("stmt").kind()));
    are_queries.then_some((tree, scanned))
}

/// For each constant that nothing depends on, a value of the same type that stands nowhere else.
fn stand_ins(constants: &Constants, seen: &[bool]) -> Vec<Option<String>> {
    let numbered = constants.places.iter().zip(seen).enumerate();
    numbered
        .map(|(number, ((_, class), seen))| {
            (!seen).then(|| match class {
                ConstantKind::String => format!("'crossfade stands here: {number:04}'"),
                ConstantKind::Int4 => format!("98765{number:04}"),
                ConstantKind::Int8 => format!("987604{number:04}321"),
                ConstantKind::Numeric => format!("87654{number:04}.25"),
            })
        })
        .collect()
}

/// A text with other values for some of its constants, and where all of them stand in it.
fn with_values(
    text: &str,
    constants: &Constants,
    values: &[Option<String>],
) -> (String, Vec<Range<usize>>) {
    let mut other = String::with_capacity(text.len());
    let mut places = Vec::with_capacity(values.len());
    let mut at = 0;
    for ((range, _), value) in constants.places.iter().zip(values) {
        other.push_str(&text[at..range.start]);
        let start = other.len();
        other.push_str(value.as_deref().unwrap_or(&text[range.clone()]));
        places.push(start..other.len());
        at = range.end;
    }
    other.push_str(&text[at..]);
    (other, places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, SourceFile};

    const RULES: &str = include_str!("../rules/iso_agents.toml");

    fn rules(phase: Phase) -> RuleSet {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: RULES.to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
        rules.with_phase(None, phase)
    }

    /// Reads the texts in their order, and gives the constants that each template of their form is for.
    fn fixed(phase: Phase, texts: &[&str]) -> Vec<Vec<String>> {
        let rules = rules(phase);
        for text in texts {
            let read = rules.rewrite(text, SearchPath::AsDeclared);
            let alone = rules.read(text, SearchPath::AsDeclared);
            assert_eq!(read.verdict, alone.verdict, "{text}");
        }
        let form = Form::of(texts[0], SearchPath::AsDeclared).expect("it has constants");
        let templates = rules.templates_kept(&form.key).expect("the form is known");
        let made = templates.made.iter();
        made.map(|made| made.fixed.iter().map(|(_, value)| value.clone()).collect())
            .collect()
    }

    #[test]
    fn a_value_that_the_rules_map_is_part_of_the_template_and_others_are_not() {
        let found = fixed(
            Phase::UnifiedOnly,
            &[
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('1', 'a', 'x') \
                 ON CONFLICT (email) WHERE role = 'admin' DO NOTHING",
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('2', 'it''s', 'x') \
                 ON CONFLICT (email) WHERE role = 'admin' DO NOTHING",
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('333', '', 'x') \
                 ON CONFLICT (email) WHERE role = 'admin' DO NOTHING",
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('4', 'é', 'x') \
                 ON CONFLICT (email) WHERE role = 'operator' DO NOTHING",
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('55', 'ab', 'x') \
                 ON CONFLICT (email) WHERE role = 'operator' DO NOTHING",
            ],
        );
        assert_eq!(found, [["'admin'"], ["'operator'"]]);
    }

    #[test]
    fn a_text_that_is_passed_through_has_a_template_as_well() {
        let found = fixed(
            Phase::DualWrite,
            &[
                "SELECT id FROM iso_agents WHERE email = 'a'",
                "SELECT id FROM iso_agents WHERE email = 'b'",
                "SELECT id FROM iso_agents WHERE email = 'c'",
            ],
        );
        assert_eq!(found, [Vec::<String>::new()]);
    }

    #[test]
    fn a_form_has_no_more_templates_than_its_values_are_common() {
        const ROLES: [&str; 3] = ["admin", "operator", "iso_agent"];
        let texts: Vec<String> = (0..20)
            .map(|n| {
                let (role, other) = (ROLES[n % 3], ROLES[n / 3 % 3]);
                format!(
                    "INSERT INTO iso_agents (email) VALUES ('{n}') \
                     ON CONFLICT (email) WHERE role = '{role}' AND role <> '{other}' DO NOTHING"
                )
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(fixed(Phase::UnifiedOnly, &texts).len(), TEMPLATES_MAX);
    }

    #[test]
    fn no_template_is_for_a_text_that_postgresql_would_not_take() {
        let rules = rules(Phase::DualWrite);
        let text = |name| format!("UPDATE iso_agents SET full_name = '{name}' WHERE id = 'x'");
        for name in ["a", "b", "c", "d\0", "\0"] {
            let text = text(name);
            let read = rules.rewrite(&text, SearchPath::AsDeclared);
            assert_eq!(
                read.verdict,
                rules.read(&text, SearchPath::AsDeclared).verdict
            );
        }
    }

    #[test]
    fn what_is_refused_has_an_effect_or_is_no_query_has_none() {
        for (first, second) in [
            (
                "SELECT ctid, 1 FROM iso_agents",
                "SELECT ctid, 2 FROM iso_agents",
            ),
            (
                "SELECT set_config('search_path', 'x', false)",
                "SELECT set_config('search_path', 'y', false)",
            ),
            (
                "EXPLAIN SELECT id FROM iso_agents WHERE email = 'a'",
                "EXPLAIN SELECT id FROM iso_agents WHERE email = 'b'",
            ),
        ] {
            let found = fixed(Phase::UnifiedRead, &[first, second, first]);
            assert!(found.is_empty(), "{first}");
        }
    }
}
