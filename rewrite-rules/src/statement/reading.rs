//! One text read by one set of rules, with what is kept and counted of it.

use std::sync::Arc;

use super::{Does, OnPrepared, SessionEffects, Verdict};
use crate::calls::Calls;
use crate::comments::Bare;
use crate::preparable::Preparable;

/// Everything the session must know about one text; computed once per text and rule set.
#[derive(Debug)]
pub struct Reading {
    pub verdict: Verdict,
    pub effects: SessionEffects,
    /// Counts the text among those of its shape, if it names a managed table.
    pub(crate) calls: Option<Arc<Calls>>,
    /// The migrations whose tables the text reads, if it does nothing else to managed ones.
    pub(crate) reads: Option<Arc<[String]>>,
    /// What is sent in place of the text, or of what it was rewritten to: the same without comments.
    pub(crate) bare: Option<Bare>,
    /// What may be kept prepared of it.
    pub(crate) keeps: Keeps,
    /// What may be sent before it.
    pub(crate) tries: Option<Try>,
}

/// What costs the server less than a statement by key, and mostly does for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// The row as unified alone has it: it does where there is one.
    UnifiedAlone,
    /// Both halves of a write in one piece: it does where neither fails.
    InOnePiece,
}

/// What a text is to whoever keeps rewritten ones prepared.
#[derive(Clone, Debug, Default)]
pub(crate) enum Keeps {
    /// It must be sent as it is.
    #[default]
    Nothing,
    /// It finds one row by its key.
    ByKey,
    /// The same, and this is what can be bound in its stead.
    Prepared(Box<Preparable>),
}

impl Keeps {
    /// The same of a text with other places.
    pub(crate) fn without_parameters(&self) -> Keeps {
        match self {
            Keeps::Nothing => Keeps::Nothing,
            Keeps::ByKey | Keeps::Prepared(_) => Keeps::ByKey,
        }
    }
}

impl Reading {
    #[must_use]
    pub fn new(verdict: Verdict, effects: SessionEffects) -> Reading {
        Reading {
            verdict,
            effects,
            calls: None,
            reads: None,
            bare: None,
            keeps: Keeps::Nothing,
            tries: None,
        }
    }

    /// The migrations whose legacy tables the text reads, if that is all it does to managed tables: neither writes nor
    /// locks, nor leaves a cursor. Empty for every other text.
    #[must_use]
    #[inline]
    pub fn reads_plainly(&self) -> &[String] {
        self.reads.as_deref().unwrap_or_default()
    }

    /// The same where this can be bound in place of the text.
    #[must_use]
    pub fn with_preparable(self, preparable: Preparable) -> Reading {
        Reading {
            keeps: Keeps::Prepared(Box::new(preparable)),
            ..self
        }
    }

    /// The client's text, if it finds one row of a managed table by its key, and changes nothing for others.
    #[must_use]
    pub fn by_key(&self) -> Option<&str> {
        match (&self.keeps, &self.verdict) {
            (Keeps::ByKey | Keeps::Prepared(_), Verdict::Rewritten(rewritten)) => {
                Some(&rewritten.original)
            }
            (_, Verdict::PassThrough | Verdict::Refused(_)) | (Keeps::Nothing, _) => None,
        }
    }

    /// What may be sent before it, by [`RuleSet::trying`](crate::RuleSet::trying).
    #[must_use]
    pub fn tries(&self) -> Option<Try> {
        self.tries
    }

    /// The same of a rewritten text that may be tried.
    #[must_use]
    pub fn with_try(self, tries: Try) -> Reading {
        Reading {
            tries: Some(tries),
            ..self
        }
    }

    /// What can be kept prepared and bound in place of the text, its constants being parameters.
    #[must_use]
    pub fn preparable(&self) -> Option<&Preparable> {
        match &self.keeps {
            Keeps::Prepared(preparable) if self.bare.is_none() => Some(preparable),
            Keeps::Prepared(_) | Keeps::ByKey | Keeps::Nothing => None,
        }
    }

    /// The same as a text that is sent as a whole, if a statement of ours has to go before it.
    #[must_use]
    pub fn with_context(&self) -> Option<Reading> {
        let Verdict::Rewritten(rewritten) = &self.verdict else {
            return None;
        };
        let whole = rewritten.with_context()?;
        let mut effects = self.effects.clone();
        for on in &mut effects.prepared {
            on.statement += 1;
        }
        Some(Reading {
            verdict: Verdict::Rewritten(whole),
            effects,
            calls: self.calls.clone(),
            reads: self.reads.clone(),
            bare: None,
            keeps: Keeps::Nothing,
            tries: None,
        })
    }

    /// The same where what is sent has no comments.
    #[must_use]
    pub fn sent_bare(&self, bare: Bare) -> Reading {
        let verdict = match &self.verdict {
            Verdict::PassThrough => Verdict::PassThrough,
            Verdict::Rewritten(rewritten) => Verdict::Rewritten(rewritten.clone()),
            Verdict::Refused(refusal) => Verdict::Refused(refusal.clone()),
        };
        Reading {
            verdict,
            effects: self.effects.clone(),
            calls: self.calls.clone(),
            reads: self.reads.clone(),
            bare: Some(bare),
            keeps: self.keeps.clone(),
            tries: None,
        }
    }

    /// What is sent without comments, if it is.
    #[must_use]
    pub fn bare(&self) -> Option<&Bare> {
        self.bare.as_ref()
    }

    /// The text was sent: it is one more of its shape.
    pub fn count(&self) {
        if let Some(calls) = &self.calls {
            calls.add();
        }
    }

    /// Whether anything is counted of it.
    #[must_use]
    #[inline]
    pub fn is_counted(&self) -> bool {
        self.calls.is_some()
    }

    /// The text has run once more, as far as its first statement at least.
    pub fn ran(&self) {
        if let Some(calls) = &self.calls {
            calls.ran();
        }
    }

    /// A statement of the text has run and returned or written so many rows.
    pub fn returned(&self, rows: u64) {
        if let Some(calls) = &self.calls {
            calls.returned(rows);
        }
    }

    /// The client was told an error of it: the server's, or ours where it is refused.
    pub fn failed(&self) {
        match (&self.calls, &self.verdict) {
            (None, _) => {}
            (Some(calls), Verdict::Refused(refusal)) => calls.refused(&refusal.message),
            (Some(calls), Verdict::PassThrough | Verdict::Rewritten(_)) => calls.failed(),
        }
    }

    /// A row that unified lacked was read from legacy for it.
    pub fn fell_back(&self) {
        if let Some(calls) = &self.calls {
            calls.fell_back();
        }
    }

    /// It was answered so long after the client had sent it.
    pub fn took(&self, time: std::time::Duration) {
        if let Some(calls) = &self.calls {
            calls.took(time);
        }
    }

    /// The memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let verdict = match &self.verdict {
            Verdict::PassThrough => 0,
            Verdict::Refused(refusal) => refusal.message.len() + refusal.hint.len(),
            Verdict::Rewritten(rewritten) => rewritten.bytes(),
        };
        let prepared = self.effects.prepared.iter().map(|on| match &on.does {
            Does::Prepare {
                text: Some(text), ..
            } => text.len() + size_of::<OnPrepared>(),
            _ => size_of::<OnPrepared>(),
        });
        let kept = match &self.keeps {
            Keeps::Nothing | Keeps::ByKey => 0,
            Keeps::Prepared(preparable) => preparable.bytes(),
        };
        size_of::<Reading>() + verdict + kept + prepared.sum::<usize>()
    }
}
