//! From one client text to the verdict on it.

pub(crate) mod effects;

use std::ops::Range;
use std::sync::Arc;

use pg_query::ParserOptions;

use crate::cost;
use crate::refuse;
use crate::rewrite::{self, Plan, Remarks, Scope};
use crate::rule_set::RuleSet;
use crate::splice::{Output, Source};
use crate::statement::{
    Answer, Named, Reading, Refusal, Rename, Rewritten, STAGED, SearchPath, SessionEffects,
    ShadowPair, Verdict,
};
use crate::template::Form;
use crate::tokens::{self, Token, Tokens};
use crate::tree::Tree;

/// A longer text that names a managed table is refused: reading it would hold a worker thread for longer
/// than other sessions should wait. What a shorter one holds is weighed (see [`cost`]).
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What the lexer may read twice: some hundredths of a second's work.
const PUT_BACK_BYTES_MAX: usize = 1 << 24;

impl RuleSet {
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
        let known = self.reading_kept(text, path);
        known.unwrap_or_else(|| self.reading_by_form(text, path))
    }

    fn reading_by_form(&self, text: &str, path: SearchPath) -> Arc<Reading> {
        let form = Form::of(text, path);
        let filled = form.as_ref().and_then(|form| self.filled(text, path, form));
        filled.unwrap_or_else(|| {
            let reading = Arc::new(self.read(text, path));
            self.keep_reading(text, path, Arc::clone(&reading));
            if let Some(form) = form {
                self.learn(text, path, form, &reading);
            }
            reading
        })
    }

    /// The same without what is known of earlier texts.
    #[must_use]
    pub fn read(&self, text: &str, path: SearchPath) -> Reading {
        let mut effects = SessionEffects::default();
        let (verdict, calls) = match parse(text) {
            Ok((tree, scanned)) => {
                let verdict = self
                    .verdict_on(text, &tree, &scanned, path, &mut effects)
                    .unwrap_or_else(Verdict::Refused);
                (verdict, self.calls_of(text, &tree))
            }
            Err(refusal) => return self.unread(text, refusal),
        };
        Reading {
            verdict,
            effects,
            calls,
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
        tree: &Tree,
        scanned: &[Token],
        path: SearchPath,
        effects: &mut SessionEffects,
    ) -> Result<Verdict, Refusal> {
        let tokens = Tokens {
            text,
            tokens: scanned,
        };
        let mut source = Source::new(text);
        let mut pieces: Vec<(Range<usize>, Output)> = Vec::new();
        let mut answers = Vec::new();
        let mut shadow = None;
        let mut staged = None;
        let mut remarks = Remarks::default();
        let mut path = path;
        // Something before in the text may have changed what names mean, or taken back a change.
        let (mut changed, mut reverted) = (false, false);
        for raw in tree.list("stmts") {
            let statement = raw.get("stmt");
            effects.reverts_within |= reverted;
            let tokens = tokens.within(&extent(raw, text.len()));
            effects::note_prepared(statement, tokens, answers.len(), effects);
            let scope = Scope {
                set: self,
                path,
                statement,
                tokens,
            };
            let mut answered = vec![Answer::default()];
            remarks.add(&scope)?;
            let plan = rewrite::plan(&scope, &mut source)?;
            rewrite::misfit(&scope, &plan)?;
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
            } else if effects::may_set(statement) {
                (path, changed) = (SearchPath::Unknown, true);
            }
            reverted |= effects::reverts(statement);
        }
        let shadow = shadow.filter(|_| answers.len() == 1).map(Box::new);
        if pieces.is_empty() && !source.has_edits() && shadow.is_none() {
            return Ok(Verdict::PassThrough);
        }
        let statements = answers.len();
        let mut rewritten = assemble(&source, pieces, answers, shadow);
        rewritten.renames = remarks.renames.into();
        rewritten.needs = remarks.needs;
        // What comes with others cannot be prepared anyhow.
        if let Some((piece, around)) = staged.filter(|_| tree.list("stmts").len() == 1) {
            let mut prepared = assemble(&source, vec![piece], rewritten.answers.clone(), None);
            prepared.renames = Arc::clone(&rewritten.renames);
            prepared.around = Some(around);
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
}

/// The text's tree, or why it is not to be had. The one door to the parser for texts of clients.
pub(crate) fn parse(text: &str) -> Result<(Tree, Vec<Token>), Refusal> {
    let scanned = light(text)?;
    let parsed =
        pg_query::parse(text, ParserOptions::DEFAULT).map_err(|error| unreadable(text, &error))?;
    let scanned = scanned.map_err(|error| unreadable(text, &error))?;
    let tree = Tree::of(&parsed.protobuf).map_err(|error| unreadable(text, &error))?;
    Ok((tree, scanned))
}

/// The trees of a text in which backslashes are escapes, and of the same in which they are not: `None`
/// if neither is SQL, which whoever reads the latter will be told.
pub(crate) fn parse_both(escapes: &str, standard: &str) -> Result<Option<(Tree, Tree)>, Refusal> {
    // What is not even tokens is told by whoever reads it.
    let _scanned = light(standard)?;
    let options = ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
        // It would be written into a pipe that nobody reads meanwhile.
        | ParserOptions::DISABLE_ESCAPE_STRING_WARNING;
    let came = pg_query::parse(escapes, options);
    // In this order: a parse that fails leaves its setting to the thread's scanner, and the next one,
    // come what may, takes it back.
    let made = pg_query::parse(standard, ParserOptions::DEFAULT);
    match (came, made) {
        (Ok(came), Ok(made)) => {
            let came = Tree::of(&came.protobuf);
            let made = Tree::of(&made.protobuf);
            let unreadable = |error| unreadable(standard, &error);
            Ok(Some((came.map_err(unreadable)?, made.map_err(unreadable)?)))
        }
        (Err(_), Err(_)) => Ok(None),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => Err(refuse::strings_not_found()),
    }
}

fn unreadable(text: &str, error: &dyn std::fmt::Display) -> Refusal {
    let message = error.to_string();
    let message = message.trim_start_matches("Invalid statement: ");
    refuse::syntax(message, syntax_position(text, message))
}

/// Why the lexer alone would hold a worker for longer than others should wait, if it would.
/// The tokens of a text, or why these are not to be had; a refusal where parsing it would cost more
/// than one text may.
fn light(text: &str) -> Result<Result<Vec<Token>, pg_query::Error>, Refusal> {
    if let Some(refusal) = too_long(text) {
        return Err(refusal);
    }
    let scanned = tokens::scan(text);
    // What has no tokens is no SQL: the parser stops there too, and says why in its own words.
    let too_heavy = |scanned: &Vec<Token>| cost::weight(text, scanned) > cost::WEIGHT_MAX;
    if scanned.as_ref().is_ok_and(too_heavy) {
        return Err(refuse::too_complex());
    }
    Ok(scanned)
}

fn too_long(text: &str) -> Option<Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Some(refuse::too_long(text.len(), TEXT_BYTES_MAX));
    }
    (tokens::put_back_bytes(text) > PUT_BACK_BYTES_MAX).then(refuse::operators_in_a_row)
}

/// Where a syntax error is: pg_query keeps the parser's words and drops its position. The token
/// in question is the first of its text that fails the parse of what ends with it.
fn syntax_position(text: &str, message: &str) -> Option<u32> {
    /// Each candidate costs a parse of the text before it; a client that sends nonsense gets a
    /// position as long as that is cheap (some 0.1 s for each MiB parsed).
    const PARSED_BYTES_MAX: usize = 1 << 20;
    let position = |byte: usize| u32::try_from(text[..byte].chars().count() + 1).ok();
    if message.ends_with("at end of input") {
        return position(text.len());
    }
    let near = message.split_once("at or near \"")?.1.strip_suffix('"')?;
    let scanned = tokens::scan(text).ok()?;
    let named = scanned
        .iter()
        .filter(|token| &text[token.start..token.end] == near);
    let fails = |end: usize| {
        pg_query::parse(&text[..end], ParserOptions::DEFAULT)
            .is_err_and(|error| error.to_string().ends_with(message))
    };
    let mut left = PARSED_BYTES_MAX;
    let mut candidates = named.take_while(|token| {
        let affordable = left.checked_sub(token.end);
        left = affordable.unwrap_or(0);
        affordable.is_some()
    });
    position(candidates.find(|token| fails(token.end))?.start)
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
    }
}
