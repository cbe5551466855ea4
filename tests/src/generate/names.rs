//! The tables, and the many ways to spell a name.

use super::Grammar;
use super::expression::Type;

/// The columns that determined statements may use; the timestamps are not among them.
pub(super) const AGENTS: &[(&str, Type)] = &[
    ("email", Type::Text),
    ("role", Type::Role),
    ("full_name", Type::Text),
    ("margin_value", Type::Number),
    ("is_active", Type::Bool),
    ("clerk_user_id", Type::Text),
    ("margin_type", Type::Margin),
    ("metadata", Type::Json),
    ("id", Type::Id),
];
pub(super) const CLIENTS: &[(&str, Type)] = &[
    ("email", Type::Text),
    ("company_name", Type::Text),
    ("contact_name", Type::Text),
    ("iso_agent_id", Type::Id),
    ("is_active", Type::Bool),
];
pub(super) const REQUESTS: &[(&str, Type)] = &[
    ("passengers", Type::Number),
    ("departure_airport", Type::Text),
    ("iso_agent_id", Type::Id),
];

/// An item of FROM as the rest of its query sees it.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub name: String,
    pub columns: Vec<(String, Type)>,
    /// `public.iso_agents.email` may be written.
    pub schema: bool,
}

pub(super) fn owned(columns: &[(&str, Type)]) -> Vec<(String, Type)> {
    columns
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), *kind))
        .collect()
}

impl Grammar<'_> {
    /// The managed table's name, spelled in one of many ways; whether with its schema.
    pub(super) fn managed_name(&mut self) -> (&'static str, bool) {
        match self.choices.below(12) {
            0..=5 => ("iso_agents", false),
            6 | 7 => ("public.iso_agents", true),
            8 => {
                self.saw("quoted names");
                ("\"public\".\"iso_agents\"", true)
            }
            9 => {
                self.saw("upper-case names");
                ("Iso_AGENTS", false)
            }
            10 => {
                self.saw("U& names");
                ("U&\"iso\\005fagents\"", false)
            }
            _ => {
                self.saw("quoted names");
                ("\"iso_agents\"", false)
            }
        }
    }

    /// A column of a relation, qualified if that is needed or by chance.
    pub(super) fn column_name(&mut self, relation: &Relation, column: &str, only: bool) -> String {
        let column = match self.choices.below(12) {
            0..=8 => column.to_owned(),
            9 | 10 => format!("\"{column}\""),
            _ => column.to_uppercase(),
        };
        match self.choices.below(8) {
            0 if only => column,
            6 if relation.schema => {
                self.saw("three-part names");
                format!("public.{}.{column}", relation.name)
            }
            7 => format!("\"{}\".{column}", relation.name),
            _ => format!("{}.{column}", relation.name),
        }
    }
}
