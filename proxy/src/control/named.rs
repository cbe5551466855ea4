//! The migration that an operator names.

use rewrite_rules::{Migration, RuleSet};

use super::error::ControlError;

/// The migration of that name, or a refusal that lists those there are.
pub fn find<'a>(rules: &'a RuleSet, name: &str) -> Result<&'a Migration, ControlError> {
    rules.migration(name).ok_or_else(|| {
        let names: Vec<&str> = rules.migrations().iter().map(|m| m.name.as_str()).collect();
        ControlError::Refused(format!(
            "the rules have no migration {name}; they have: {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ))
    })
}
