//! Rules made of others: in another phase, withheld, held to an epoch, or for what is tried first.

use std::sync::Arc;

use super::{Migration, RuleSet};
use crate::fence::Held;
use crate::lens::Tenant;
use crate::phase::{OnUnifiedError, Phase};
use crate::statement::Try;

impl RuleSet {
    /// The same rules with one migration in another phase: for `explain` and for rehearsals.
    #[must_use]
    pub fn with_phase(&self, name: Option<&str>, phase: Phase) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            if name.is_none_or(|name| name == migration.name) {
                migration.phase = phase;
            }
        }
        self.with(migrations)
    }

    /// The same rules for those who read some of the migrations as in the phase that comes next: what they are shown is
    /// compared as by these. Only what [`crate::Reading::reads_plainly`] is to be read by them.
    #[must_use]
    pub fn reading_ahead(&self, names: &[&str]) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            if names.contains(&migration.name.as_str()) {
                migration.phase = migration.phase.next().unwrap_or(migration.phase);
            }
        }
        RuleSet {
            ahead_of: Some(Arc::new(self.with(self.declared.to_vec()))),
            ..self.with(migrations)
        }
    }

    /// The rules that these read ahead of.
    pub(crate) fn ahead_of(&self) -> Option<&RuleSet> {
        self.ahead_of.as_deref()
    }

    /// The same rules, of which some migrations do not fit the database, each with the reason: their
    /// statements are refused where they would be rewritten.
    #[must_use]
    pub fn withheld(&self, reason: impl Fn(&str) -> Option<String>) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            migration.misfit = reason(&migration.name);
        }
        self.with(migrations)
    }

    /// The same rules, each migration's held so.
    #[must_use]
    pub fn held(&self, held: impl Fn(&str) -> Held) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            migration.held = held(&migration.name);
        }
        self.with(migrations)
    }

    /// Whether there is a migration of which texts may be tried otherwise first.
    #[must_use]
    pub fn may_try(&self) -> bool {
        self.migrations
            .iter()
            .any(|migration| match migration.phase {
                Phase::DualRead => true,
                Phase::DualWrite | Phase::ShadowRead => {
                    migration.on_unified_error() == OnUnifiedError::Record
                }
                Phase::LegacyOnly | Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
                    false
                }
            })
    }

    /// The rules by which a text is read that may be sent before what these make of it. What they say of others is of no
    /// use: [`crate::Reading::tries`] tells which.
    #[must_use]
    pub fn trying(&self, tries: Try) -> &RuleSet {
        let place = match tries {
            Try::UnifiedAlone => 0,
            Try::InOnePiece => 1,
        };
        self.trying[place].get_or_init(|| {
            let mut migrations = self.declared.to_vec();
            for migration in &mut migrations {
                match tries {
                    Try::UnifiedAlone if migration.phase == Phase::DualRead => {
                        migration.phase = Phase::UnifiedRead;
                    }
                    Try::UnifiedAlone => {}
                    Try::InOnePiece => {
                        migration.is_tried = migration.on_unified_error() == OnUnifiedError::Record;
                        migration.declared_policy = Some(OnUnifiedError::Refuse);
                    }
                }
            }
            Box::new(self.with(migrations))
        })
    }

    /// Other rules, with the tenants and the functions that are known.
    pub(super) fn with(&self, declared: Vec<Migration>) -> RuleSet {
        RuleSet {
            namesakes: self.namesakes.clone(),
            ..RuleSet::of(declared, self.tenants().map(<[Tenant]>::to_vec))
        }
    }
}
