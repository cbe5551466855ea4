//! The steps of ORMs that are answered otherwise than straight, with the reason. The list is to shrink: a step
//! that is answered alike again must leave it, or a test fails.

use rewrite_rules::Phase::{
    self, DualRead, DualWrite, Retired, ShadowRead, UnifiedOnly, UnifiedRead,
};

use super::Program::{self, Django, SqlAlchemy};

/// What is not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    Answers,
    /// The answers are; the tables afterwards are not.
    Tables,
}

/// Steps that differ in some phases, for one reason.
struct Known {
    what: Differs,
    /// For whoever reads the list, or is told that a step is on it for nothing.
    because: &'static str,
    phases: &'static [Phase],
    steps: &'static [(Program, &'static str)],
}

const ONCE_UNIFIED_LEADS: &[Phase] = &[UnifiedRead, UnifiedOnly, Retired];

const LIST: &[Known] = &[
    Known {
        what: Differs::Answers,
        because: "the rule file: nobody logs in by the account that is made for an enhanced user, so it has no password",
        phases: &[DualRead, UnifiedRead, UnifiedOnly, Retired],
        steps: &[(Django, "saved_with_a_password")],
    },
    Known {
        what: Differs::Answers,
        because: "refused: of a lens with an outer join a function locks rows, one table's alone and waiting",
        phases: ONCE_UNIFIED_LEADS,
        steps: &[
            (Django, "locked"),
            (Django, "locked_out"),
            (Django, "queue_of_workers"),
            (SqlAlchemy, "locked"),
            (SqlAlchemy, "locked_out_and_skipping"),
            (SqlAlchemy, "locked_out_and_not_waiting"),
            (SqlAlchemy, "locked_out_and_not_waiting_for_a_share"),
        ],
    },
    Known {
        what: Differs::Answers,
        because: "40001, where PostgreSQL looks at the row again after it has waited for it",
        phases: ONCE_UNIFIED_LEADS,
        steps: &[
            (Django, "an_update_that_waits"),
            (Django, "an_update_that_waits_and_finds_nothing"),
            (Django, "a_delete_that_waits"),
            (SqlAlchemy, "an_update_that_waits"),
            (SqlAlchemy, "a_stale_object_that_waits"),
            (SqlAlchemy, "a_delete_that_waits"),
        ],
    },
    Known {
        what: Differs::Answers,
        because: "a manager who is not there reads back NULL",
        phases: &[DualRead, UnifiedRead, UnifiedOnly, Retired],
        steps: &[(Django, "a_manager_who_is_not_there")],
    },
    Known {
        what: Differs::Answers,
        because: "no foreign key of the legacy table holds once unified leads",
        phases: ONCE_UNIFIED_LEADS,
        steps: &[
            (Django, "a_manager_who_is_not_there_is_found_when_asked"),
            (Django, "a_membership_of_a_user_who_comes_later"),
            (Django, "a_membership_of_nobody"),
        ],
    },
    Known {
        what: Differs::Tables,
        because: "a membership that comes before its user is put nowhere",
        phases: &[DualWrite, ShadowRead, DualRead],
        steps: &[(Django, "a_membership_of_a_user_who_comes_later")],
    },
    Known {
        what: Differs::Tables,
        because: "a manager who comes after his people is entered in unified, and not in their legacy rows",
        phases: &[UnifiedRead],
        steps: &[(Django, "a_manager_comes_later")],
    },
    Known {
        what: Differs::Tables,
        because: "columns that are lossy for merged rows are not followed by legacy for any row",
        phases: &[UnifiedRead],
        steps: &[(Django, "saved_whole")],
    },
    Known {
        what: Differs::Answers,
        because: "nor the one that legacy itself upholds while it is written",
        phases: &[UnifiedOnly, Retired],
        steps: &[(Django, "a_referenced_manager_is_deleted_past_the_collector")],
    },
    Known {
        what: Differs::Answers,
        because: "what a deferred foreign key of the unified table says at COMMIT is not told in the legacy table's names",
        phases: &[
            DualWrite,
            ShadowRead,
            DualRead,
            UnifiedRead,
            UnifiedOnly,
            Retired,
        ],
        steps: &[(Django, "a_membership_of_a_group_that_is_not_there")],
    },
    Known {
        what: Differs::Answers,
        because: "refused: the catalog does not have the table any more, so it would be made anew",
        phases: &[Retired],
        steps: &[
            (Django, "tables_are_created_again"),
            (SqlAlchemy, "tables_are_created_where_they_are_not"),
        ],
    },
];

/// A step, what differs, and why.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub step: &'static str,
    pub what: Differs,
    pub because: &'static str,
}

/// The steps of an ORM that differ in a phase.
pub fn steps(program: Program, phase: Phase) -> Vec<Listed> {
    let mut found = Vec::new();
    for known in LIST.iter().filter(|known| known.phases.contains(&phase)) {
        let steps = known.steps.iter().filter(|(of, _)| *of == program);
        found.extend(steps.map(|(_, step)| Listed {
            step,
            what: known.what,
            because: known.because,
        }));
    }
    found
}
