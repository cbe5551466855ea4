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
                query_only: false,
                needs: None,
            },
            Verdict::Rewritten(rewritten) => Rewritten {
                sql: rewritten.sql.clone(),
                answers: rewritten.answers.clone(),
                shadow: None,
                kept: rewritten.kept.clone(),
                original: rewritten.original.clone(),
                values: rewritten.values.clone(),
                renames: Arc::clone(&rewritten.renames),
                query_only: rewritten.query_only,
                needs: rewritten.needs.clone(),
            },
        };
        let mut effects = self.effects.clone();
        // Backwards: what is inserted moves only what stands behind it.
        for run in runs.into_iter().rev() {
            let Some(OnPrepared { statement, at, .. }) = effects.prepared.get(run.effect).cloned()
            else {
                continue;
            };
            let needed = statement + 1;
            if built.answers.len() < needed {
                built.answers.resize(needed, Answer::default());
            }
            built.answers[statement] = run.answer;
            let new = run
                .renames
                .iter()
                .filter(|&new| !built.renames.contains(new));
            let new: Vec<Rename> = new.cloned().collect();
            if !new.is_empty() {
                built.renames = built.renames.iter().cloned().chain(new).collect();
            }
            if let Some((sql, name)) = run.before {
                insert(&mut built, at, &format!("{sql}; "));
                let silent = Answer {
                    silent: true,
                    ..Answer::default()
                };
                built.answers.insert(statement, silent);
                for later in &mut effects.prepared[run.effect..] {
                    later.statement += 1;
                }
                let renewed = OnPrepared {
                    statement,
                    at,
                    does: Does::Renew(name),
                };
                effects.prepared.insert(run.effect, renewed);
            }
        }
        Reading::new(Verdict::Rewritten(built), effects)
    }
}

/// Inserts text of our own before a byte of the client's text, which must be kept.
fn insert(built: &mut Rewritten, at: usize, sql: &str) {
    let Some(index) = built
        .kept
        .iter()
        .position(|kept| kept.original <= at && at < kept.original + kept.length)
    else {
        return;
    };
    let (head, tail) = {
        let kept = built.kept[index];
        let length = at - kept.original;
        let tail = Kept {
            original: at,
            rewritten: kept.rewritten + length,
            length: kept.length - length,
        };
        (Kept { length, ..kept }, tail)
    };
    let place = tail.rewritten;
    built.kept.splice(index..=index, [head, tail]);
    for kept in &mut built.kept[index + 1..] {
        kept.rewritten += sql.len();
    }
    for mapped in &mut built.values {
        if mapped.rewritten.start >= place {
            *mapped = mapped.clone().moved(sql.len());
        }
    }
    built.sql.insert_str(place, sql);
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
            silent: false,
        };
        let built = reading.executing(
            text,
            vec![Executed {
                effect: 0,
                before: Some(("PREPARE p AS SELECT 1".to_owned(), "p".to_owned())),
                answer: update,
                renames: Arc::default(),
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
