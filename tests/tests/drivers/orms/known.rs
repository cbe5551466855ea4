//! The steps of ORMs that are answered otherwise than straight, with the reason. The list is to shrink: a step
//! that is answered alike again must leave it, or a test fails.

use rewrite_rules::Phase::{self, DualRead, Retired, UnifiedOnly, UnifiedRead};

use super::program::Program::{self, Django, DjangoTenants, SqlAlchemy};

/// Steps that differ in some phases, for one reason.
struct Known {
    /// For whoever reads the list, or is told that a step is on it for nothing.
    because: &'static str,
    phases: &'static [Phase],
    steps: &'static [(Program, &'static str)],
}

const ONCE_UNIFIED_LEADS: &[Phase] = &[UnifiedRead, UnifiedOnly, Retired];

const LIST: &[Known] = &[
    Known {
        because: "the rule file: nobody logs in by the account that is made for an enhanced user, so it has no password",
        phases: &[DualRead, UnifiedRead, UnifiedOnly, Retired],
        steps: &[(Django, "saved_with_a_password")],
    },
    Known {
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
        because: "a manager who is not there reads back NULL",
        phases: &[DualRead, UnifiedRead, UnifiedOnly, Retired],
        steps: &[(Django, "a_manager_who_is_not_there")],
    },
    Known {
        because: "refused: the catalog does not have the table any more, so it would be made anew",
        phases: &[Retired],
        steps: &[
            (Django, "tables_are_created_again"),
            (SqlAlchemy, "tables_are_created_where_they_are_not"),
        ],
    },
    Known {
        because: "a name that means no tenant's table is the unified one's, and refused once it is managed",
        phases: &Phase::ALL,
        steps: &[
            (DjangoTenants, "without_a_tenant"),
            (DjangoTenants, "without_a_tenant_nothing_is_written"),
        ],
    },
];

/// A step, and why it differs.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub step: &'static str,
    pub because: &'static str,
}

/// The steps of an ORM that differ in a phase.
pub fn steps(program: Program, phase: Phase) -> Vec<Listed> {
    let mut found = Vec::new();
    for known in LIST.iter().filter(|known| known.phases.contains(&phase)) {
        let steps = known.steps.iter().filter(|(of, _)| *of == program);
        found.extend(steps.map(|(_, step)| Listed {
            step,
            because: known.because,
        }));
    }
    found
}
