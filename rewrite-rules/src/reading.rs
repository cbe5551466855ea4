//! From one client text to the verdict on it.

pub(crate) mod effects;

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use crate::bind::Bound;
use crate::by_key::ByKey;
use crate::comments::{self, Bare};
use crate::legend;
use crate::meaning::{self, Touch};
use crate::parse::parse;
use crate::refuse;
use crate::rewrite::plain::PlainReads;
use crate::rewrite::{self, Plan, Remarks, Scope};
use crate::rule_set::RuleSet;
use crate::statement::{
    Answer, Keeps, Named, Reading, Refusal, Rename, Rewritten, STAGED, SearchPath, SessionEffects,
    ShadowPair, Verdict,
};
use crate::template::Form;
use crate::text::splice::{Output, Source};
use crate::text::tokens::{Token, Tokens};
use crate::text::tree::Tree;

impl RuleSet {
    /// What running a text may do to how later ones are read.
    #[must_use]
    pub fn touch(&self, text: &[u8]) -> Touch {
        let touch = meaning::touch(text, self.namesakes());
        if touch == Touch::No {
            return touch;
        }
        // What looks like a call may stand in a comment: `/* in block (2 levels) */`.
        match Bare::of_bytes(text) {
            Some(bare) => meaning::touch(bare.text.as_bytes(), self.namesakes()),
            None => touch,
        }
    }

    /// Reads one text (which may hold several statements) under this rule set. The result is
    /// kept, so that a text is parsed once per rule set, and one that differs from an earlier one in
    /// constants alone perhaps never.
    #[must_use]
    pub fn rewrite(&self, text: &str, path: SearchPath) -> Arc<Reading> {
        let reading = self.look(text, path);
        reading.count();
        reading
    }

    /// The same for a text that nobody has sent, or that was sent once and is read once more.
    #[must_use]
    pub fn look(&self, text: &str, path: SearchPath) -> Arc<Reading> {
        if let Some(tenants) = &self.tenants {
            return self.by_tenants(tenants, (text, path), |set, path| set.look(text, path));
        }
        if let Some(known) = self.reading_kept(text, path) {
            return self.reading_to_prepare(text, path, &known).unwrap_or(known);
        }
        let without = Bare::of(text);
        let told = without.and_then(|bare| self.reading_of_bare(text, &bare, path));
        told.unwrap_or_else(|| self.reading_by_form(text, path).0)
    }

    /// By what is known of the text without its comments.
    fn reading_of_bare(&self, text: &str, bare: &Bare, path: SearchPath) -> Option<Arc<Reading>> {
        let known = self.reading_kept(&bare.text, path);
        let (reading, is_new) = match known {
            Some(known) => (known, false),
            None => self.reading_by_form(&bare.text, path),
        };
        let told = bare.told(&reading, text)?;
        debug_assert!(
            comments::agree(text, &told, &self.read(text, path)),
            "with its comments the text is read otherwise: {text}\n{told:#?}"
        );
        // Where comments are the same each time it is found at once; of others one is kept for each text without.
        if is_new {
            self.keep_reading(text, path, Arc::clone(&told));
        }
        Some(told)
    }

    /// What is to be bound in place of a text that was read when nothing was known of its form, and comes again.
    fn reading_to_prepare(
        &self,
        text: &str,
        path: SearchPath,
        known: &Reading,
    ) -> Option<Arc<Reading>> {
        match known.keeps {
            Keeps::ByKey => {}
            Keeps::Nothing | Keeps::Prepared(_) => return None,
        }
        let form = Form::of(text, path)?;
        let filled = match self.filled(text, path, &form) {
            Some(filled) => filled,
            None => {
                let again = Form::of(text, path)?;
                self.learn_once(text, path, form, known);
                self.filled(text, path, &again)?
            }
        };
        // Found at once from now on.
        self.keep_reading(text, path, Arc::clone(&filled));
        Some(filled)
    }

    /// And whether the text was read for it.
    fn reading_by_form(&self, text: &str, path: SearchPath) -> (Arc<Reading>, bool) {
        let form = Form::of(text, path);
        let filled = form.as_ref().and_then(|form| self.filled(text, path, form));
        if let Some(filled) = filled {
            return (filled, false);
        }
        let reading = self.read(text, path);
        self.keep_reading(text, path, Arc::clone(&reading));
        if let Some(form) = form {
            self.learn(text, path, form, &reading);
        }
        (reading, true)
    }

    /// The same without what is known of earlier texts.
    #[must_use]
    pub fn read(&self, text: &str, path: SearchPath) -> Arc<Reading> {
        match &self.tenants {
            None => Arc::new(self.read_here(text, path)),
            Some(tenants) => self.by_tenants(tenants, (text, path), |set, path| {
                Arc::new(set.read_here(text, path))
            }),
        }
    }

    fn read_here(&self, text: &str, path: SearchPath) -> Reading {
        let mut effects = SessionEffects::default();
        let mut reads = PlainReads::default();
        let (verdict, calls, by_key) = match parse(text) {
            Ok((tree, scanned)) => {
                let verdict = self
                    .verdict_on(text, (&tree, &scanned), path, &mut effects, &mut reads)
                    .unwrap_or_else(Verdict::Refused);
                let by_key = effects
                    .is_empty()
                    .then(|| self.by_key(&tree, path, &verdict));
                (verdict, self.calls_of(text, &tree), by_key.flatten())
            }
            Err(refusal) => return self.unread(text, refusal),
        };
        Reading {
            verdict,
            effects,
            calls,
            reads: reads.migrations(),
            bare: None,
            tries: by_key.as_ref().and_then(|by_key| by_key.tries),
            keeps: match by_key {
                Some(_) => Keeps::ByKey,
                None => Keeps::Nothing,
            },
        }
    }

    /// The constants of a text that becomes one statement, and finds one row by its key.
    pub(crate) fn by_key(&self, tree: &Tree, path: SearchPath, verdict: &Verdict) -> Option<ByKey> {
        let [statement] = tree.list("stmts") else {
            return None;
        };
        match verdict {
            Verdict::Rewritten(rewritten) if rewritten.is_one_statement() => {
                let statement = statement.get("stmt");
                ByKey::of(statement, &Bound::of(self, path, statement))
            }
            Verdict::Rewritten(_) | Verdict::PassThrough | Verdict::Refused(_) => None,
        }
    }

    /// What becomes of a text that cannot be read.
    pub(crate) fn unread(&self, text: &str, refusal: Refusal) -> Reading {
        if self.may_name(text.as_bytes()) {
            return Reading::new(Verdict::Refused(refusal), SessionEffects::default());
        }
        // What is wrong with it, or what a newer server makes of it, is the server's.
        let mut effects = SessionEffects::default();
        effects::of_words(text, &mut effects);
        Reading::new(Verdict::PassThrough, effects)
    }

    pub(crate) fn verdict_on(
        &self,
        text: &str,
        (tree, scanned): (&Tree, &[Token]),
        path: SearchPath,
        effects: &mut SessionEffects,
        reads: &mut PlainReads,
    ) -> Result<Verdict, Refusal> {
        let read_by = path;
        let tokens = Tokens {
            text,
            tokens: scanned,
        };
        let bounds: Vec<OnceCell<Bound<'_>>> = vec![OnceCell::new(); tree.list("stmts").len()];
        let mut source = Source::new(text);
        let mut pieces: Vec<(Range<usize>, Output)> = Vec::new();
        let mut answers = Vec::new();
        let mut shadow = None;
        let mut staged = None;
        let mut remarks = Remarks::default();
        let mut path = path;
        // Something before in the text may have changed what names mean, or taken back a change.
        let (mut changed, mut reverted) = (false, false);
        for (raw, bound) in tree.list("stmts").iter().zip(&bounds) {
            let statement = raw.get("stmt");
            effects.reverts_within |= reverted;
            let tokens = tokens.within(&extent(raw, text.len()));
            effects::note_prepared(statement, tokens, answers.len(), effects);
            let scope = Scope {
                set: self,
                path,
                statement,
                tokens,
                bound: bound.get_or_init(|| Bound::of(self, path, statement)),
            };
            let mut answered = vec![Answer::default()];
            remarks.add(&scope)?;
            reads.add(&scope)?;
            let edits = source.edits();
            let plan = rewrite::plan(&scope, &mut source)?;
            rewrite::misfit(&scope, &plan)?;
            remarks.add_context(&scope, &plan, reverted)?;
            let (plan, before) = rewrite::fences::carried(&scope, plan, &mut source, reverted)?;
            if !matches!(plan, Plan::Unchanged) || source.edits() > edits {
                keeps_our_names_free(tokens)?;
            }
            remarks.add_fence(before);
            match plan {
                Plan::Unchanged => {}
                Plan::Prepared { output, executed } => {
                    pieces.push((tokens.extent(), output));
                    effects::answer_prepared(executed, effects);
                }
                Plan::Edited { compare } => shadow = compare,
                Plan::Composed { output, answers } => {
                    pieces.push((tokens.extent(), output));
                    answered = answers;
                }
                Plan::Staged {
                    output,
                    prepared,
                    around,
                    table,
                    answers,
                } => {
                    remarks.renames.push(Rename {
                        kind: Named::Table,
                        from: STAGED.to_owned(),
                        to: table,
                    });
                    pieces.push((tokens.extent(), output));
                    staged = Some(((tokens.extent(), prepared), around));
                    answered = answers;
                }
            }
            answers.append(&mut answered);
            // What comes behind it in the text is read by what it leaves.
            if let Some(left) = effects::path_after(statement, self, path, changed) {
                effects.path = Some(left);
                (path, changed) = (left, true);
            } else if effects::may_set(statement, self.namesakes()) {
                (path, changed) = (SearchPath::Unknown, true);
            }
            reverted |= effects::reverts(statement);
        }
        let shadow = shadow.filter(|_| answers.len() == 1).map(Box::new);
        let shadow = shadow.or_else(|| self.pair_of_own(text, (tree, scanned), read_by));
        let changes = !pieces.is_empty() || source.has_edits();
        if !changes && shadow.is_none() && remarks.context.is_none() {
            return Ok(Verdict::PassThrough);
        }
        let statements = answers.len();
        let mut rewritten = assemble(&source, pieces, answers, shadow);
        rewritten.renames = remarks.renames.into();
        rewritten.needs = remarks.needs;
        rewritten.context = remarks.context.map(Into::into);
        // What comes with others cannot be prepared anyhow.
        if let Some((piece, around)) = staged.filter(|_| tree.list("stmts").len() == 1) {
            let mut prepared = assemble(&source, vec![piece], rewritten.answers.clone(), None);
            prepared.renames = Arc::clone(&rewritten.renames);
            prepared.around = Some(around);
            prepared.context.clone_from(&rewritten.context);
            rewritten.prepared = Some(Box::new(prepared));
        }
        // A result that is no SQL is our mistake: better told here than by a server that points
        // into a text that the client never wrote.
        // Splitting runs the parser and nothing else: a tree, of which nobody would look at more
        // than its statements' number, would take ten times as long.
        match pg_query::split_with_parser(&rewritten.sql) {
            Ok(again) if again.len() == statements => Ok(Verdict::Rewritten(rewritten)),
            Ok(_) | Err(_) => Err(refuse::not_sql(&rewritten.sql)),
        }
    }

    /// What is to be compared of a text that is read ahead: the same as by the rules of its own phase.
    fn pair_of_own(
        &self,
        text: &str,
        read: (&Tree, &[Token]),
        path: SearchPath,
    ) -> Option<Box<ShadowPair>> {
        let own = self.ahead_of()?;
        let (mut effects, mut reads) = (SessionEffects::default(), PlainReads::default());
        match own.verdict_on(text, read, path, &mut effects, &mut reads) {
            Ok(Verdict::Rewritten(rewritten)) => rewritten.shadow,
            Ok(Verdict::PassThrough | Verdict::Refused(_)) | Err(_) => None,
        }
    }
}

/// A name of the client's that is like one of ours would mean ours within what the statement becomes. Behind a dot it
/// means what stands before that.
fn keeps_our_names_free(tokens: Tokens<'_>) -> Result<(), Refusal> {
    let mut behind = "";
    for token in tokens.tokens {
        let word = &tokens.text[token.start..token.end];
        let name = word.trim_start_matches('"');
        let is_ours = name.get(..legend::PREFIX.len());
        if behind != "." && is_ours.is_some_and(|head| head.eq_ignore_ascii_case(legend::PREFIX)) {
            return Err(refuse::name_of_ours(name.trim_end_matches('"')));
        }
        behind = word;
    }
    Ok(())
}

/// A statement's bytes within the text; its length is 0 when it goes to the end.
fn extent(raw: &Tree, text_length: usize) -> Range<usize> {
    let start = usize::try_from(raw.int("stmt_location")).unwrap_or(0);
    match usize::try_from(raw.int("stmt_len")) {
        Ok(length) if length > 0 => start..start + length,
        _ => start..text_length,
    }
}

fn assemble(
    source: &Source<'_>,
    pieces: Vec<(Range<usize>, Output)>,
    answers: Vec<Answer>,
    shadow: Option<Box<ShadowPair>>,
) -> Rewritten {
    let mut whole = Output::default();
    let mut at = None;
    let mut between = |whole: &mut Output, to: Range<usize>| {
        match at.replace(to.end) {
            None => whole.client(source, 0..to.start),
            Some(at) => whole.client_behind(source, at..to.start),
        };
    };
    for (range, piece) in pieces {
        between(&mut whole, range);
        whole.append(piece);
    }
    let end = source.text.len();
    between(&mut whole, end..end);
    Rewritten {
        sql: whole.sql,
        answers,
        shadow,
        kept: whole.kept,
        values: whole.values,
        original: source.text.to_owned(),
        renames: Arc::default(),
        prepared: None,
        around: None,
        needs: None,
        context: None,
    }
}
