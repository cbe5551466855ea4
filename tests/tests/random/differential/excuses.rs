//! Answers that docs/limits.md says are other ones than PostgreSQL's, each as narrow as it can be told from the statements and
//! the two answers. Behind one of them a case has nothing to be compared with.
//!
//! `CROSSFADE_DIFFERENTIAL_WITHOUT` names those that shall count as differences, or says `all`: whether one is needed.

use crossfade_tests::estate::{BY_STEPS, Estate, ROLES, Role};
use crossfade_tests::generate::Statement;
use rewrite_rules::Phase;

use super::compare::Failure;
use super::subject::Subject;

/// A statement with what came before it in its case, and what either side was answered.
pub struct Answered<'a> {
    pub subject: Subject,
    pub phase: Phase,
    pub statements: &'a [&'a Statement],
    pub wanted: &'a [String],
    pub got: &'a [String],
}

/// The same, looked at.
struct Seen<'a> {
    phase: Phase,
    by_steps: bool,
    statements: &'a [&'a Statement],
    last: &'a Statement,
    wanted: Option<Failure<'a>>,
    got: Option<Failure<'a>>,
    role: Option<&'static Role>,
}

struct Excuse {
    name: &'static str,
    is: fn(&Seen<'_>) -> bool,
}

const EXCUSES: &[Excuse] = &[
    // At the end of a transaction a row that was written and the row that it refers to both have their say.
    Excuse {
        name: "either of two rows",
        is: |seen| {
            let sql = &seen.last.sql;
            let ends = sql.starts_with("COMMIT") || sql.starts_with("SET CONSTRAINTS");
            let told = seen.got.as_ref().and_then(foreign_key);
            ends && told.is_some() && told == seen.wanted.as_ref().and_then(foreign_key)
        },
    },
    // A role with less than it needs is denied more, never less.
    Excuse {
        name: "less than it needs",
        is: |seen| seen.told("42501") && seen.role.is_some_and(|role| !role.settled),
    },
    // The row that it refers to is locked as if its key changed.
    Excuse {
        name: "locked at REPEATABLE READ",
        is: |seen| {
            seen.told("40001") && seen.last.sql.contains("tenants") && seen.has("REPEATABLE READ")
        },
    },
    // Another key's change was waited for: while legacy leads its old images are paired with the new ones.
    Excuse {
        name: "key change that waited",
        is: |seen| {
            let waited = !seen.leads() && seen.before().any(|sql| sql.contains("SET id"));
            let told = seen.told("40001") && seen.last.sql.contains("SET id");
            told && (waited || seen.has("REPEATABLE READ"))
        },
    },
    // Whoever is put on the side that follows, or by steps, is locked as if its key changed: whoever refers to two rows,
    // and whoever writes both, wait for each other where PostgreSQL lets them pass.
    Excuse {
        name: "deadlock",
        is: |seen| {
            let two = seen.last.sql.contains("COMMIT") || seen.before().any(|sql| sql == "COMMIT");
            let follows = seen.phase == Phase::UnifiedRead || seen.by_steps;
            seen.told("40P01") && two && follows
        },
    },
    // The place of a value in ON CONFLICT DO UPDATE that its column does not take.
    Excuse {
        name: "place of a value",
        is: |seen| {
            seen.last.sql.contains("DO UPDATE SET")
                && seen.leads()
                && seen.told("22")
                && seen.was_told("22")
        },
    },
    // Of two errors in values either may be told.
    Excuse {
        name: "either of two values",
        is: |seen| {
            let constructs = seen.last.constructs.iter();
            let values = constructs
                .filter(|construct| construct.starts_with("no room"))
                .count();
            let of_values = |failure: &Failure<'_>| failure.is("22") || failure.is("23");
            let both = [&seen.got, &seen.wanted];
            let of_times = |failure: &Failure<'_>| failure.is("22008");
            let row = seen.last.sql.contains("= ROW(");
            let told = |is: &dyn Fn(&Failure<'_>) -> bool| {
                both.iter().all(|told| told.as_ref().is_some_and(is))
            };
            values > 1 && told(&of_values) || row && told(&of_times)
        },
    },
    // By steps a row's parts are put over what another transaction has left of it; where PostgreSQL meets none of it, or
    // only a key that is taken, a snapshot from before that does.
    Excuse {
        name: "left behind a snapshot",
        is: |seen| {
            let waited = seen.has("REPEATABLE READ") && seen.before().any(|sql| sql == "COMMIT");
            let fits = seen.wanted.is_none() || seen.was_told("23505");
            let inserts = seen.last.sql.starts_with("INSERT");
            seen.by_steps && seen.told("40001") && waited && fits && inserts
        },
    },
    // What is left of the table is rows, of which something may be pending.
    Excuse {
        name: "TRUNCATE with something pending",
        is: |seen| {
            let emptied = seen.last.sql.starts_with("TRUNCATE") && seen.phase >= Phase::UnifiedOnly;
            emptied && seen.got.is_none() && seen.was_told("55006")
        },
    },
    // Of two errors: what a column may not be set to, and a parameter that nothing uses.
    Excuse {
        name: "an unused parameter",
        is: |seen| seen.told("428C9") && seen.was_told("42P18"),
    },
    // An action of a foreign key that lenses see to is done with the rights of whoever deletes or moves.
    Excuse {
        name: "rights of whoever deletes",
        is: |seen| {
            let acts = ["key change", "DELETE"];
            let acts = acts.iter().any(|word| seen.last.constructs.contains(word))
                || seen.last.sql.starts_with("DELETE FROM houses");
            let alone = seen.role.is_some_and(|role| role.name == "estate_landlord");
            seen.by_steps && alone && acts && seen.told("42501")
        },
    },
    // A constant that its column does not take is found as it is planned, or as it is written to a row: to none here.
    Excuse {
        name: "a constant that no row takes",
        is: |seen| {
            let joins = seen.last.sql.starts_with("UPDATE") && seen.last.sql.contains(" FROM ");
            joins && seen.leads() && seen.got.is_none() && seen.was_told("22")
        },
    },
    // Of two errors: a constant that is no such value is found as it is planned.
    Excuse {
        name: "a constant as it is planned",
        is: |seen| seen.told("42501") && seen.was_told("22"),
    },
];

impl Seen<'_> {
    /// Whether Crossfade tells such an error.
    fn told(&self, sqlstate: &str) -> bool {
        self.got
            .as_ref()
            .is_some_and(|failure| failure.is(sqlstate))
    }

    /// Whether PostgreSQL does.
    fn was_told(&self, sqlstate: &str) -> bool {
        self.wanted
            .as_ref()
            .is_some_and(|failure| failure.is(sqlstate))
    }

    /// The texts before the last one.
    fn before(&self) -> impl Iterator<Item = &str> {
        let (_, before) = self.statements.split_last().unzip();
        let before: &[&Statement] = before.unwrap_or_default();
        before.iter().map(|statement| statement.sql.as_str())
    }

    /// Whether some text of the case says so.
    fn has(&self, word: &str) -> bool {
        self.statements
            .iter()
            .any(|statement| statement.sql.contains(word))
    }

    fn leads(&self) -> bool {
        self.phase >= Phase::UnifiedRead
    }
}

/// What stands in the ledger because a role may not do something that PostgreSQL does with other rights: the tombstone of a
/// key that changes at REPEATABLE READ, and up to `shadow_read` the actions of foreign keys that lenses see to.
const DENIED: [&str; 2] = [
    "permission denied for function tombstone_",
    "permission denied for table dweller",
];

/// The same of a role that has no right to write the table that refers: of any other it would be a right that was lost.
const DENIED_LANDLORD: &str = "permission denied for function put_staff_";

/// Whether the rows of a side tell of that, behind these statements.
pub fn is_denied(seen: &[String], statements: &[&Statement]) -> bool {
    let mut statements = statements.iter();
    let landlord = statements.any(|statement| statement.sql == "SET ROLE estate_landlord");
    let denied = |row: &String| {
        DENIED.iter().any(|reason| row.contains(reason))
            || landlord && row.contains(DENIED_LANDLORD)
    };
    seen.iter().any(denied)
}

/// The name of the foreign key that does not hold.
fn foreign_key(failure: &Failure<'_>) -> Option<String> {
    let key = failure.told.rsplit(" | ").next().map(str::to_owned);
    key.filter(|_| failure.is("23503"))
}

/// The name of the limit that an answer is an instance of.
pub fn excuse(answered: &Answered<'_>) -> Option<&'static str> {
    let (Subject::Estate(estate), Some(last)) = (answered.subject, answered.statements.last())
    else {
        return None;
    };
    let becomes = |role: &&Role| {
        let set = format!("SET ROLE {}", role.name);
        answered
            .statements
            .iter()
            .any(|statement| statement.sql == set)
    };
    let seen = Seen {
        phase: answered.phase,
        by_steps: is_by_steps(estate),
        statements: answered.statements,
        last,
        wanted: Failure::of(answered.wanted),
        got: Failure::of(answered.got),
        role: ROLES.iter().find(becomes),
    };
    let without = std::env::var("CROSSFADE_DIFFERENTIAL_WITHOUT").unwrap_or_default();
    let counts = |name: &str| without == "all" || without.split(',').any(|other| other == name);
    let mut excuses = EXCUSES.iter().filter(|excuse| !counts(excuse.name));
    excuses
        .find(|excuse| (excuse.is)(&seen))
        .map(|excuse| excuse.name)
}

fn is_by_steps(estate: &Estate) -> bool {
    estate.name == BY_STEPS.name
}
