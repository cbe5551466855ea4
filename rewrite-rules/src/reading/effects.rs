//! What a text does to its session: prepared statements that come and go by SQL, and what may
//! change the meaning of unqualified names.

use crate::rule_set::RuleSet;
use crate::statement::{Answer, Does, OnPrepared, SearchPath, SessionEffects, Within};
use crate::tokens::Tokens;
use crate::tree::Tree;
use crate::walk::{Place, Use, table_refs};

/// Settings of the role, which decides what `"$user"` in the path is and which schemas are seen.
const ROLES: [&str; 2] = ["role", "session_authorization"];

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

/// What unqualified names mean behind a statement, if it may change that. `changed`: one before it
/// in the same text already did, so that the end of a transaction may change it back.
pub(super) fn path_after(statement: &Tree, set: &RuleSet, changed: bool) -> Option<SearchPath> {
    match statement.kind() {
        "VariableSetStmt" if statement.text("name") == "search_path" => {
            return Some(if sets_declared(statement, set) {
                SearchPath::AsDeclared
            } else {
                SearchPath::Unknown
            });
        }
        "VariableSetStmt" if ROLES.contains(&statement.text("name")) => {
            return Some(SearchPath::Unknown);
        }
        // RESET ALL has no name.
        "VariableSetStmt" if statement.name("name").is_none() => return Some(SearchPath::Unknown),
        "DiscardStmt" => return Some(SearchPath::Unknown),
        "TransactionStmt" if changed => return Some(SearchPath::Unknown),
        _ => {}
    }
    let mut touches = false;
    statement.each(&mut |node| touches |= sets_config(node));
    // A relation of that name may now stand in the way of the declared one, or no longer.
    touches |= table_refs(statement).iter().any(|found| match found.place {
        Place::Command(Use::Made | Use::Taken | Use::Changed) => {
            let mut names = set.path_names().iter();
            names.any(|table| table.name == found.table())
        }
        Place::Command(_) | Place::Read | Place::Target | Place::WithTarget => false,
        Place::Sampled | Place::Locked => false,
    });
    touches.then_some(SearchPath::Unknown)
}

fn sets_config(node: &Tree) -> bool {
    let called = node
        .list("funcname")
        .last()
        .is_some_and(|name| name.text("sval") == "set_config");
    let mut touches = false;
    if node.is("FuncCall") && called {
        node.get("args").each(&mut |argument| {
            let setting = argument.text("sval").to_ascii_lowercase();
            touches |= setting == "search_path" || ROLES.contains(&setting.as_str());
        });
    }
    touches
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
    let words = ["search_path", "role", "authorization", "reset", "discard"];
    if words.iter().any(|word| lower.contains(word)) {
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
