//! What a text does to its session: prepared statements that come and go by SQL, and what may
//! change the meaning of unqualified names.

use pg_query::protobuf::ObjectType;

use crate::bind::{CommandUse, NamedIn, table_refs};
use crate::meaning::{self, SETTINGS};
use crate::namesakes::Namesakes;
use crate::rule_set::RuleSet;
use crate::statement::{Answer, Does, OnPrepared, SearchPath, SessionEffects, Within};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// Kinds after which another schema may bear a name of the path, or another role a name or a right.
const SCHEMAS: [&str; 6] = [
    "CreateSchemaStmt",
    "DropOwnedStmt",
    "GrantRoleStmt",
    "CreateRoleStmt",
    "AlterRoleStmt",
    "DropRoleStmt",
];

/// Words by which a text that cannot be read may set what counts.
const WORDS: [&str; 8] = [
    "search_path",
    "set_config",
    "pg_settings",
    "schema",
    "role",
    "authorization",
    "reset",
    "discard",
];

/// Notes what a statement, the `number`th of those sent, does with prepared statements.
pub(super) fn note_prepared(
    statement: &Tree,
    tokens: Tokens<'_>,
    number: usize,
    effects: &mut SessionEffects,
) {
    let execute = |statement: &Tree, within| {
        statement.is("ExecuteStmt").then(|| Does::Execute {
            name: statement.text("name").to_owned(),
            within,
        })
    };
    let does = match statement.kind() {
        "PrepareStmt" => Some(Does::Prepare {
            name: statement.text("name").to_owned(),
            text: Some(tokens.text[tokens.extent()].to_owned()),
            answer: Answer::default(),
        }),
        "DeallocateStmt" => Some(Does::Deallocate(statement.name("name").map(str::to_owned))),
        "DiscardStmt" if discards_all(statement) => Some(Does::Deallocate(None)),
        "ExecuteStmt" => execute(statement, Within::Nothing),
        "ExplainStmt" => match statement.get("query") {
            nested if nested.is("CreateTableAsStmt") => {
                execute(nested.get("query"), Within::CreateTableAs)
            }
            nested => execute(nested, Within::Explain),
        },
        "CreateTableAsStmt" => execute(statement.get("query"), Within::CreateTableAs),
        _ => None,
    };
    effects.prepared.extend(does.map(|does| OnPrepared {
        statement: number,
        at: tokens.extent().start,
        does,
    }));
}

/// The answer to an execution of the statement that was noted last.
pub(super) fn answer_prepared(executed: Answer, effects: &mut SessionEffects) {
    if let Some(OnPrepared {
        does: Does::Prepare { answer, .. },
        ..
    }) = effects.prepared.last_mut()
    {
        *answer = executed;
    }
}

fn discards_all(statement: &Tree) -> bool {
    statement.int("target") == i64::from(pg_query::protobuf::DiscardMode::DiscardAll as i32)
}

/// What unqualified names mean behind a statement, if it may change that. `before`: what they mean to the
/// statement itself. `changed`: one before it in the same text already did, so that the end of a
/// transaction may change it back.
pub(super) fn path_after(
    statement: &Tree,
    set: &RuleSet,
    before: SearchPath,
    changed: bool,
) -> Option<SearchPath> {
    match statement.kind() {
        "VariableSetStmt" if statement.text("name").eq_ignore_ascii_case("search_path") => {
            // Where they do not all mean the declared tables, or a temporary one stands behind those, that
            // one may come before any path.
            let declared = before == SearchPath::AsDeclared && sets_declared(statement, set);
            return Some(if declared {
                SearchPath::AsDeclared
            } else {
                SearchPath::Unknown
            });
        }
        "VariableSetStmt" if is_setting(statement.text("name")) => {
            return Some(SearchPath::Unknown);
        }
        // RESET ALL has no name.
        "VariableSetStmt" if statement.name("name").is_none() => return Some(SearchPath::Unknown),
        "DiscardStmt" => return Some(SearchPath::Unknown),
        "TransactionStmt" if changed => return Some(SearchPath::Unknown),
        "DoStmt" if sets_in_body(statement, set.namesakes()) => return Some(SearchPath::Unknown),
        kind if SCHEMAS.contains(&kind) || is_of_schemas(statement) => {
            return Some(SearchPath::Unknown);
        }
        _ => {}
    }
    let mut touches = false;
    statement.each(&mut |node| {
        touches |= sets_config(node);
        touches |= node.is("RangeVar") && node.text("relname") == "pg_settings";
    });
    // A relation of that name may now stand in the way of the declared one, or no longer.
    touches |= table_refs(statement).iter().any(|found| match found.place {
        NamedIn::Command(CommandUse::Made | CommandUse::Taken | CommandUse::Changed) => {
            let mut names = set.path_names().iter();
            names.any(|table| table.name == found.table())
        }
        NamedIn::Command(_) | NamedIn::Read | NamedIn::Target | NamedIn::WithTarget => false,
        NamedIn::Sampled | NamedIn::Locked => false,
    });
    touches.then_some(SearchPath::Unknown)
}

/// `set_config` of a setting that counts, or of one that is not spelled out.
pub(crate) fn sets_config(node: &Tree) -> bool {
    let called = node
        .list("funcname")
        .last()
        .is_some_and(|name| name.text("sval") == "set_config");
    if !node.is("FuncCall") || !called {
        return false;
    }
    let mut setting = node.list("args").first().unwrap_or(node);
    while setting.is("TypeCast") {
        setting = setting.get("arg");
    }
    let name = setting.get("val").name("sval");
    name.is_none_or(is_setting)
}

fn is_setting(name: &str) -> bool {
    SETTINGS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

fn sets_in_body(statement: &Tree, namesakes: &Namesakes) -> bool {
    let mut sets = false;
    statement.each(&mut |node| sets |= meaning::may_set(node.text("sval"), namesakes));
    sets
}

/// Whether running a statement may change it though its tree does not say so: it calls what is not known, or
/// runs what was prepared or begun before.
pub(crate) fn may_set(statement: &Tree, namesakes: &Namesakes) -> bool {
    // They run nothing of what stands in them.
    if ["PrepareStmt", "CreateFunctionStmt", "ViewStmt"].contains(&statement.kind()) {
        return false;
    }
    let mut may = false;
    statement.each(&mut |node| {
        may |= match node.kind() {
            "CallStmt" | "ExecuteStmt" | "FetchStmt" => true,
            "FuncCall" => !is_known_call(node, namesakes) || sets_config(node),
            _ => false,
        };
    });
    may
}

/// Whether a call is one of a function that is known to change nothing.
pub(crate) fn is_known_call(call: &Tree, namesakes: &Namesakes) -> bool {
    let Some((name, before)) = call.list("funcname").split_last() else {
        return false;
    };
    let schema = before.last().map(|schema| schema.text("sval"));
    meaning::is_known_call(schema, name.text("sval"), namesakes)
}

/// Whether a statement takes back what its transaction has changed, or runs on what was begun in it.
pub(super) fn reverts(statement: &Tree) -> bool {
    use pg_query::protobuf::TransactionStmtKind as Kind;
    const BEGINNINGS: [Kind; 4] = [
        Kind::TransStmtBegin,
        Kind::TransStmtStart,
        Kind::TransStmtSavepoint,
        Kind::TransStmtRelease,
    ];
    let kind = statement.int("kind");
    let begins = BEGINNINGS
        .iter()
        .any(|known| i64::from(*known as i32) == kind);
    statement.is("FetchStmt") || statement.is("TransactionStmt") && !begins
}

/// ALTER SCHEMA … RENAME, DROP SCHEMA, GRANT … ON SCHEMA, ALTER ROLE … RENAME.
fn is_of_schemas(statement: &Tree) -> bool {
    let of = ["rename_type", "remove_type", "objtype", "object_type"];
    let kinds = [ObjectType::ObjectSchema, ObjectType::ObjectRole];
    let kinds = kinds.map(|kind| i64::from(kind as i32));
    let altering = ["RenameStmt", "DropStmt", "GrantStmt", "AlterOwnerStmt"];
    altering.contains(&statement.kind()) && of.iter().any(|of| kinds.contains(&statement.int(of)))
}

/// `SET search_path = public, …`: the declared tables' schema comes before any other.
fn sets_declared(statement: &Tree, set: &RuleSet) -> bool {
    let first = statement
        .list("args")
        .iter()
        .map(|argument| argument.get("val").text("sval"))
        .find(|schema| *schema != "pg_catalog");
    first.is_some_and(|first| set.path_names().iter().all(|table| table.schema == first))
}

/// The same for a text that is too long to be parsed, or no SQL to this grammar though perhaps to
/// the server's: the words count, wherever they stand.
pub(super) fn of_words(text: &str, effects: &mut SessionEffects) {
    effects.unparsed = true;
    let lower = text.to_ascii_lowercase();
    if WORDS.iter().any(|word| lower.contains(word)) {
        effects.path = Some(SearchPath::Unknown);
    }
    let mut words = lower.split(|c: char| c.is_whitespace() || ";()\"".contains(c));
    while let Some(word) = words.next() {
        if word != "execute" && word != "prepare" {
            continue;
        }
        let Some(name) = words.by_ref().find(|word| !word.is_empty()) else {
            return;
        };
        let name = name.to_owned();
        effects.prepared.push(OnPrepared {
            statement: 0,
            at: 0,
            does: match word {
                "execute" => Does::Execute {
                    name,
                    within: Within::Nothing,
                },
                _ => Does::Prepare {
                    name,
                    text: None,
                    answer: Answer::default(),
                },
            },
        });
    }
}
