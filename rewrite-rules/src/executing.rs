//! A text that runs prepared statements: what it becomes, and how its answers become the
//! client's, is known only to the session that holds them.
//!
//! ```text
//! EXECUTE p(1)         the answers of `UPDATE iso_agents …`, as `p` was prepared
//! EXECUTE p(1)         PREPARE p AS ‹today's text›; EXECUTE p(1)    (after a change of phase)
//! ```

use std::sync::Arc;

use crate::statement::{
    Answer, Does, Kept, OnPrepared, Reading, Rename, Rewritten, SessionEffects, Verdict,
};

/// What must be known of one EXECUTE in a text.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Its place among the prepared-statement effects of the text.
    pub effect: usize,
    /// The session's own statement to be sent before it, and the name that it prepares.
    pub before: Option<(String, String)>,
    pub answer: Answer,
    pub renames: Arc<[Rename]>,
    /// [`Rewritten::context`] of what it runs.
    pub context: Option<Arc<str>>,
}

impl Reading {
    /// This reading of `text` with what the session knows of the statements that it executes, in
    /// the order of their effects. A refused text stays refused.
    #[must_use]
    pub fn executing(&self, text: &str, runs: Vec<Executed>) -> Reading {
        let mut built = match &self.verdict {
            Verdict::Refused(refusal) => {
                return Reading::new(Verdict::Refused(refusal.clone()), SessionEffects::default());
            }
            Verdict::PassThrough => Rewritten {
                sql: text.to_owned(),
                answers: Vec::new(),
                shadow: None,
                kept: vec![Kept {
                    original: 0,
                    rewritten: 0,
                    length: text.len(),
                }],
                original: text.to_owned(),
                values: Vec::new(),
                renames: Arc::default(),
                prepared: None,
                around: None,
                needs: None,
                context: None,
            },
            Verdict::Rewritten(rewritten) => Rewritten {
                sql: rewritten.sql.clone(),
                answers: rewritten.answers.clone(),
                shadow: None,
                kept: rewritten.kept.clone(),
                original: rewritten.original.clone(),
                values: rewritten.values.clone(),
                renames: Arc::clone(&rewritten.renames),
                prepared: None,
                around: None,
                needs: rewritten.needs.clone(),
                context: rewritten.context.clone(),
            },
        };
        let mut renewals = Vec::new();
        for run in runs {
            let Some(OnPrepared { statement, at, .. }) = self.effects.prepared.get(run.effect)
            else {
                continue;
            };
            if built.answers.len() <= *statement {
                built.answers.resize(statement + 1, Answer::default());
            }
            built.answers[*statement] = run.answer;
            if built.context.is_none() {
                built.context = run.context;
            }
            let new = run
                .renames
                .iter()
                .filter(|new| !built.renames.contains(new));
            let new: Vec<Rename> = new.cloned().collect();
            if !new.is_empty() {
                built.renames = built.renames.iter().cloned().chain(new).collect();
            }
            renewals.extend(run.before.map(|(sql, name)| Renewal {
                effect: run.effect,
                statement: *statement,
                at: *at,
                sql: sql + "; ",
                name,
            }));
        }
        let mut effects = self.effects.clone();
        if !renewals.is_empty() {
            insert(&mut built, &renewals);
            built.answers = with_silent(&built.answers, &renewals);
            effects.prepared = with_renewed(&effects.prepared, &renewals);
        }
        Reading::new(Verdict::Rewritten(built), effects)
    }
}

/// A statement of the session's own that goes before one of the client's.
struct Renewal {
    /// Its place among the prepared-statement effects of the text.
    effect: usize,
    /// The statement that it goes before, and where that begins in the client's text.
    statement: usize,
    at: usize,
    sql: String,
    name: String,
}

/// Inserts text of our own, in its order, before bytes of the client's text, which must be kept. One pass:
/// a text may execute thousands.
fn insert(built: &mut Rewritten, renewals: &[Renewal]) {
    let new: usize = renewals.iter().map(|renewal| renewal.sql.len()).sum();
    let mut sql = String::with_capacity(built.sql.len() + new);
    let mut kept = Vec::with_capacity(built.kept.len() + renewals.len());
    // Places in the text as it was, and what was inserted up to there.
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(renewals.len());
    let mut waiting = renewals.iter().peekable();
    let (mut copied, mut inserted) = (0, 0);
    for piece in &built.kept {
        let mut rest = *piece;
        let holds = |rest: &Kept, at| rest.original <= at && at < rest.original + rest.length;
        while let Some(renewal) = waiting.next_if(|renewal| holds(&rest, renewal.at)) {
            let length = renewal.at - rest.original;
            let place = rest.rewritten + length;
            if length > 0 {
                kept.push(Kept {
                    rewritten: rest.rewritten + inserted,
                    length,
                    ..rest
                });
            }
            sql.push_str(&built.sql[copied..place]);
            sql.push_str(&renewal.sql);
            copied = place;
            inserted += renewal.sql.len();
            places.push((place, inserted));
            rest = Kept {
                original: renewal.at,
                rewritten: place,
                length: rest.length - length,
            };
        }
        kept.push(Kept {
            rewritten: rest.rewritten + inserted,
            ..rest
        });
    }
    sql.push_str(&built.sql[copied..]);
    for mapped in &mut built.values {
        let before = places.partition_point(|(place, _)| *place <= mapped.rewritten.start);
        let by = before.checked_sub(1).map_or(0, |last| places[last].1);
        *mapped = mapped.clone().moved(by);
    }
    built.sql = sql;
    built.kept = kept;
}

/// The answers with those of the session's own statements, of which the client hears nothing.
fn with_silent(answers: &[Answer], renewals: &[Renewal]) -> Vec<Answer> {
    let silent = Answer {
        silent: true,
        ..Answer::default()
    };
    let mut waiting = renewals.iter().peekable();
    let mut all = Vec::with_capacity(answers.len() + renewals.len());
    for (statement, answer) in answers.iter().enumerate() {
        while waiting
            .next_if(|renewal| renewal.statement == statement)
            .is_some()
        {
            all.push(silent);
        }
        all.push(*answer);
    }
    all
}

/// The effects with those of the session's own statements, each under its new number.
fn with_renewed(effects: &[OnPrepared], renewals: &[Renewal]) -> Vec<OnPrepared> {
    let mut waiting = renewals.iter().peekable();
    let mut all = Vec::with_capacity(effects.len() + renewals.len());
    let mut before = 0;
    for (index, effect) in effects.iter().enumerate() {
        if let Some(renewal) = waiting.next_if(|renewal| renewal.effect == index) {
            all.push(OnPrepared {
                statement: effect.statement + before,
                at: effect.at,
                does: Does::Renew(renewal.name.clone()),
            });
            before += 1;
        }
        all.push(OnPrepared {
            statement: effect.statement + before,
            ..effect.clone()
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::statement::{SearchPath, TagVerb};
    use crate::{Executed, Phase, RuleSet, SourceFile, Verdict};

    use super::*;

    fn rules(phase: Phase) -> RuleSet {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: include_str!("../rules/iso_agents.toml").to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
        rules.with_phase(None, phase)
    }

    #[test]
    fn a_statement_of_our_own_goes_before_the_execute_and_positions_stay_the_clients() {
        let text = "SELECT 'é'; EXECUTE p('x'); SELECT email FROM public.iso_agents";
        let reading = rules(Phase::UnifiedOnly).rewrite(text, SearchPath::AsDeclared);
        let update = Answer {
            tag: Some(TagVerb::Update),
            hide_rows: true,
            ..Answer::default()
        };
        let built = reading.executing(
            text,
            vec![Executed {
                effect: 0,
                before: Some(("PREPARE p AS SELECT 1".to_owned(), "p".to_owned())),
                answer: update,
                renames: Arc::default(),
                context: None,
            }],
        );
        let Verdict::Rewritten(rewritten) = &built.verdict else {
            panic!("{built:?}");
        };
        let start = "SELECT 'é'; PREPARE p AS SELECT 1; EXECUTE p('x'); SELECT email FROM (";
        assert!(rewritten.sql.starts_with(start), "{}", rewritten.sql);
        assert!(rewritten.answers[1].silent);
        assert_eq!(rewritten.answers[2], update);
        assert_eq!(rewritten.answers.len(), 4);
        let renew = Does::Renew("p".to_owned());
        assert_eq!(built.effects.prepared[0].does, renew);
        assert_eq!(built.effects.prepared[1].statement, 2);
        // The E of EXECUTE, and the e of email, in characters.
        let told = |word: &str| {
            let position = rewritten.sql.find(word).expect("it is there");
            let chars = rewritten.sql[..position].chars().count() + 1;
            rewritten.client_position(u32::try_from(chars).expect("short"))
        };
        assert_eq!(told("EXECUTE"), Some(13));
        assert_eq!(told("PREPARE"), None);
        assert_eq!(told("email FROM"), Some(36));
    }

    #[test]
    fn several_statements_of_our_own_each_go_before_their_execute() {
        let text = "EXECUTE a; SELECT email FROM public.iso_agents; EXECUTE b; EXECUTE c";
        let reading = rules(Phase::UnifiedOnly).rewrite(text, SearchPath::AsDeclared);
        let prepare = |name: &str| Some((format!("PREPARE {name} AS SELECT 1"), name.to_owned()));
        let answer = |verb| Answer {
            tag: Some(verb),
            ..Answer::default()
        };
        let runs = [
            (0, prepare("a"), TagVerb::Update),
            (1, None, TagVerb::Delete),
            (2, prepare("c"), TagVerb::Merge),
        ];
        let executed = runs.map(|(effect, before, verb)| Executed {
            effect,
            before,
            answer: answer(verb),
            renames: Arc::default(),
            context: None,
        });
        let built = reading.executing(text, executed.into());
        let Verdict::Rewritten(rewritten) = &built.verdict else {
            panic!("{built:?}");
        };
        let sql = &rewritten.sql;
        assert!(sql.starts_with("PREPARE a AS SELECT 1; EXECUTE a; SELECT email FROM ("));
        assert!(
            sql.ends_with("; EXECUTE b; PREPARE c AS SELECT 1; EXECUTE c"),
            "{sql}"
        );
        let silent: Vec<bool> = rewritten
            .answers
            .iter()
            .map(|answer| answer.silent)
            .collect();
        assert_eq!(silent, [true, false, false, false, true, false]);
        let verbs: Vec<Option<TagVerb>> =
            rewritten.answers.iter().map(|answer| answer.tag).collect();
        assert_eq!(verbs[1], Some(TagVerb::Update));
        assert_eq!(verbs[3], Some(TagVerb::Delete));
        assert_eq!(verbs[5], Some(TagVerb::Merge));
        let places: Vec<(usize, bool)> = built
            .effects
            .prepared
            .iter()
            .map(|on| (on.statement, matches!(on.does, Does::Renew(_))))
            .collect();
        let expected = [(0, true), (1, false), (3, false), (4, true), (5, false)];
        assert_eq!(places, expected);
        for (word, told) in [
            ("EXECUTE a", 1),
            ("email", 19),
            ("EXECUTE b", 49),
            ("EXECUTE c", 60),
        ] {
            let position = sql.find(word).expect("it is there") + 1;
            let position = u32::try_from(position).expect("short");
            assert_eq!(rewritten.client_position(position), Some(told), "{word}");
        }
        for own in ["PREPARE a", "PREPARE c"] {
            let position = sql.find(own).expect("it is there") + 1;
            let position = u32::try_from(position).expect("short");
            assert_eq!(rewritten.client_position(position), None, "{own}");
        }
    }

    #[test]
    fn what_is_prepared_is_rewritten_and_its_answer_is_kept_for_its_execution() {
        let text = "PREPARE p (text) AS UPDATE iso_agents SET full_name = $1";
        let reading = rules(Phase::DualRead).rewrite(text, SearchPath::AsDeclared);
        let Verdict::Rewritten(rewritten) = &reading.verdict else {
            panic!("{reading:?}");
        };
        let start = "PREPARE p (text) AS WITH cf_new AS (UPDATE iso_agents SET full_name = $1";
        assert!(rewritten.sql.starts_with(start), "{}", rewritten.sql);
        assert_eq!(rewritten.answers, [Answer::default()]);
        let [
            OnPrepared {
                does:
                    Does::Prepare {
                        name,
                        text: Some(kept),
                        answer,
                    },
                ..
            },
        ] = reading.effects.prepared.as_slice()
        else {
            panic!("{:?}", reading.effects);
        };
        assert_eq!((name.as_str(), kept.as_str()), ("p", text));
        assert_eq!(answer.tag, Some(TagVerb::Update));
    }
}
