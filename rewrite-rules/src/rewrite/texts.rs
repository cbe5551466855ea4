//! Texts within a statement that the server runs where no proxy reads them: bodies of functions and of
//! DO, SQL and names in the arguments of functions that read or run them.
//!
//! ```text
//! DO $$ BEGIN UPDATE ISO_AGENTS SET … END $$                refused from dual_write on
//! SELECT query_to_xml('SELECT * FROM iso_agents', …)        refused once reads are unified
//! ```
//!
//! Without it they would write one side only, or answer from a table that nobody writes any more.

use std::collections::HashSet;

use super::{Scope, command_name};
use crate::bind::keeps_queries;
use crate::lens::{Lens, TableName, quote_literal};
use crate::meaning;
use crate::mention::{self, Language, Mention, constant, mentions};
use crate::namesakes::Namesakes;
use crate::reading::effects;
use crate::refuse;
use crate::rule_set::{Managed, RuleSet, Side};
use crate::statement::{Refusal, SearchPath};
use crate::text::tokens::{self, Tokens};
use crate::text::tree::Tree;
use crate::text_functions::{self, TableUse, Takes};

/// Refuses the statement if a text in it names a managed table for something that must not be done.
pub(super) fn check(scope: &Scope<'_>) -> Result<(), Refusal> {
    for text in texts_of(scope.statement, scope.set.namesakes()) {
        for managed in managed(scope, &text) {
            let table = &managed.table.name;
            match text.origin {
                TextOrigin::Kept | TextOrigin::RunsNow => {
                    return Err(refuse::kept(&command_name(scope), table));
                }
                TextOrigin::Argument(does) if concerns(does, managed) => {
                    return Err(refuse::text(text.function, table));
                }
                TextOrigin::Argument(TableUse::Reads | TableUse::Writes) => {}
            }
        }
    }
    Ok(())
}

/// Whether a function of this kind must not be handed the table past the rules.
fn concerns(does: TableUse, managed: Managed<'_>) -> bool {
    match (does, managed.side) {
        (TableUse::Reads, Side::Legacy) => managed.migration.phase.reads_unified(),
        (TableUse::Reads, Side::Unified) => false,
        // Unified is managed only while both sides are written.
        (TableUse::Writes, Side::Legacy | Side::Unified) => true,
    }
}

/// The managed tables that a text may mean.
fn managed<'a>(scope: &Scope<'a>, text: &Text<'_>) -> Vec<Managed<'a>> {
    // What a body that is kept means by a name is decided where it runs, and one that runs may set it.
    let path = match text.origin {
        TextOrigin::Kept => SearchPath::AsDeclared,
        TextOrigin::RunsNow | TextOrigin::Argument(_) if text.sets => SearchPath::Unknown,
        TextOrigin::RunsNow | TextOrigin::Argument(_) => scope.path,
    };
    let set = scope.set;
    let means = |table: &&TableName| {
        let by_itself = set.finds(path, table) != Some(false);
        text.says.names(table, by_itself)
    };
    let tables = set.path_names().iter().filter(means);
    let found = tables.flat_map(|table| set.all_managed(Some(&table.schema), &table.name));
    // Under whatever schema: the tenant's may be spelled in escapes.
    let each = set
        .of_any_tenant()
        .filter(|(_, lens)| text.says.names_elsewhere(lens));
    let each = each.map(|(migration, lens)| Managed {
        migration,
        lens,
        side: Side::Legacy,
        table: &lens.legacy,
    });
    found.chain(each).collect()
}

/// Whether a text of a statement names a legacy table of these rules, in whatever phase.
pub(crate) fn name_legacy(statement: &Tree, set: &RuleSet) -> bool {
    let texts = texts_of(statement, set.namesakes());
    let mut lenses = set.migrations().iter().flat_map(|m| &m.tables);
    !texts.is_empty()
        && lenses.any(|lens| texts.iter().any(|text| text.says.names(&lens.legacy, true)))
}

/// A text's shape where constants decide what becomes of it: of each only the managed tables that it
/// names are left. `None` where constants decide nothing.
pub(crate) fn shape(text: &str, set: &RuleSet) -> Option<String> {
    let (tree, _) = crate::parse::parse(text).ok()?;
    let statements = tree.list("stmts").iter();
    let mut languages = HashSet::new();
    for statement in statements.map(|raw| raw.get("stmt")) {
        languages.extend(
            texts_of(statement, set.namesakes())
                .iter()
                .map(|text| text.language),
        );
    }
    if languages.is_empty() {
        return None;
    }
    let tokens = tokens::scan(text).ok()?;
    let tokens = Tokens {
        text,
        tokens: &tokens,
    };
    let mut shape = String::new();
    let mut end = 0;
    for (at, token) in tokens.tokens.iter().enumerate() {
        // Without the comments.
        if end < token.start {
            shape.push(' ');
        }
        let said = tokens.str(token);
        let names_language = at
            .checked_sub(1)
            .is_some_and(|before| tokens.is_word(&tokens.tokens[before], "language"));
        match constant(said) {
            Some(content) if !names_language => {
                let kept = named_in(&content, &languages, set);
                shape += &quote_literal(&kept);
            }
            None if tokens.first(token) == '0' => shape.push('0'),
            Some(_) | None => shape += said,
        }
        end = token.end;
    }
    Some(shape)
}

/// The managed tables that a constant names, or the schema of one.
fn named_in(content: &str, languages: &HashSet<Language>, set: &RuleSet) -> String {
    let mut tables = set.path_names().iter();
    if tables.any(|table| table.schema == content) {
        return content.to_owned();
    }
    let mut names = languages
        .iter()
        .map(|language| mentions(content, *language));
    let says = TextSays::Names(names.by_ref().flatten().collect());
    let named = set
        .path_names()
        .iter()
        .filter(|table| says.names(table, true));
    let named: Vec<String> = named.map(TableName::sql).collect();
    named.join(" ")
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextOrigin {
    /// In what is made to run later: the body of a function, the query of a view.
    Kept,
    /// The body of DO.
    RunsNow,
    Argument(TableUse),
}

struct Text<'t> {
    origin: TextOrigin,
    language: Language,
    /// The function whose argument it is.
    function: &'t str,
    /// What names mean may be changed before it is read.
    sets: bool,
    says: TextSays,
}

/// Which tables a text may name.
enum TextSays {
    Names(HashSet<Mention>),
    /// All tables of these schemas.
    Schemas(Vec<String>),
    Everything,
}

impl TextSays {
    /// `by_itself`: without its schema the name may mean this table.
    fn names(&self, table: &TableName, by_itself: bool) -> bool {
        let names = match self {
            TextSays::Everything => return true,
            TextSays::Schemas(schemas) => return schemas.contains(&table.schema),
            TextSays::Names(names) => names,
        };
        mention::name(names, table, by_itself)
    }

    /// Whether they name a tenant's table by its schema.
    fn names_elsewhere(&self, lens: &Lens) -> bool {
        match self {
            TextSays::Everything | TextSays::Schemas(_) => false,
            TextSays::Names(names) => names.iter().any(|name| {
                let schema = name.schema.as_ref();
                let shared = schema == Some(&lens.unified.schema) && name.name == lens.unified.name;
                name.name == lens.legacy.name && schema.is_some() && !shared
            }),
        }
    }
}

fn texts_of<'t>(statement: &'t Tree, namesakes: &Namesakes) -> Vec<Text<'t>> {
    let mut texts = Vec::new();
    match statement.kind() {
        "DoStmt" => {
            texts.extend(body(TextOrigin::RunsNow, statement.list("args"), namesakes));
        }
        "CreateFunctionStmt" => {
            texts.extend(body(TextOrigin::Kept, statement.list("options"), namesakes));
        }
        _ => {}
    }
    let first = texts.len();
    arguments(statement, CallsAround::default(), &mut texts);
    let sets = texts.len() > first && sets(statement, namesakes);
    let kept = keeps_queries(statement);
    for text in &mut texts[first..] {
        text.sets = sets;
        if kept {
            text.origin = TextOrigin::Kept;
        }
    }
    texts
}

/// Whether a call of the statement, or a text that one is given, may change what names mean: in which
/// order calls are run is the planner's choice.
fn sets(statement: &Tree, namesakes: &Namesakes) -> bool {
    let mut sets = false;
    statement.each(&mut |node| {
        sets |= match node.kind() {
            "FuncCall" => {
                call(node).is_none()
                    && (!effects::is_known_call(node, namesakes) || effects::sets_config(node))
            }
            "AConst" => meaning::may_set(node.get("val").text("sval"), namesakes),
            _ => false,
        };
    });
    sets
}

/// Of the calls around a node, the innermost that reads what its texts name and the innermost that writes it,
/// by their places among the texts.
#[derive(Clone, Copy, Debug, Default)]
struct CallsAround {
    reads: Option<usize>,
    writes: Option<usize>,
}

/// Adds what the calls in a node say by their arguments. However deep calls are nested, a constant counts
/// for no more than two of them, and is read once.
fn arguments<'t>(node: &'t Tree, around: CallsAround, texts: &mut Vec<Text<'t>>) {
    if node.is("AConst") && node.get("val").is("String") {
        let places = [around.reads, around.writes].into_iter().flatten();
        let mut places = places.peekable();
        if places.peek().is_none() {
            return;
        }
        let found = mentions(node.get("val").text("sval"), ARGUMENT);
        for place in places {
            if let TextSays::Names(names) = &mut texts[place].says {
                names.extend(found.iter().cloned());
            }
        }
        return;
    }
    let mut within = around;
    if let Some((text, takes, does)) = call(node) {
        let place = Some(texts.len()).filter(|_| takes == Takes::Text);
        match does {
            TableUse::Reads => within.reads = place.or(around.reads),
            TableUse::Writes => within.writes = place.or(around.writes),
        }
        texts.push(text);
    }
    for (field, child) in node.children() {
        let around = if field == "args" { within } else { around };
        arguments(child, around, texts);
    }
}

/// The body among the options of DO or CREATE FUNCTION.
fn body<'t>(origin: TextOrigin, options: &'t [Tree], namesakes: &Namesakes) -> Option<Text<'t>> {
    let option = |name: &str| {
        let found = options
            .iter()
            .find(|option| option.text("defname") == name)?;
        Some(found.get("arg"))
    };
    let language = option("language").map_or("plpgsql", |name| name.text("sval"));
    let language = Language::of(language)?;
    let mut names = HashSet::new();
    let mut sets = false;
    option("as")?.each(&mut |node| {
        names.extend(mentions(node.text("sval"), language));
        sets |= meaning::may_set(node.text("sval"), namesakes);
    });
    Some(Text {
        origin,
        language,
        function: "",
        sets,
        says: TextSays::Names(names),
    })
}

/// The schema that a call names, if it names one by a constant.
fn schema_argument(call: &Tree) -> Option<String> {
    let arguments = call.list("args");
    let by_name = arguments
        .iter()
        .find(|argument| argument.text("name") == "schema");
    let mut value = by_name.or(arguments.first())?;
    while value.is("NamedArgExpr") || value.is("TypeCast") {
        value = value.get("arg");
    }
    let constant = value.is("AConst") && value.get("val").is("String");
    constant.then(|| value.get("val").text("sval").to_owned())
}

/// What an argument is written in.
const ARGUMENT: Language = Language::Sql { strings: true };

/// A call of a function that reads or runs its arguments, and what it does; the names in them are still
/// to be found.
fn call(node: &Tree) -> Option<(Text<'_>, Takes, TableUse)> {
    if !node.is("FuncCall") {
        return None;
    }
    let (name, before) = node.list("funcname").split_last()?;
    let function = name.text("sval");
    let schema = before.last().map(|schema| schema.text("sval"));
    let (takes, does) = text_functions::known(schema, function)?;
    let says = match takes {
        Takes::Text => TextSays::Names(HashSet::new()),
        Takes::Schema => {
            schema_argument(node).map_or(TextSays::Everything, |name| TextSays::Schemas(vec![name]))
        }
        Takes::Everything => TextSays::Everything,
    };
    let text = Text {
        origin: TextOrigin::Argument(does),
        language: ARGUMENT,
        function,
        sets: false,
        says,
    };
    Some((text, takes, does))
}
