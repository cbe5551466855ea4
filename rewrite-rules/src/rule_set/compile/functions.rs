//! Functions that clients call under names which they will not keep.

use toml::Spanned;

use super::Reader;
use crate::rule_file::FunctionPart;
use crate::rule_set::{RenamedFunction, Signature};
use crate::rule_sql;

impl Reader<'_> {
    pub(super) fn functions(&mut self, parts: &[FunctionPart]) -> Vec<RenamedFunction> {
        let mut functions: Vec<RenamedFunction> = Vec::new();
        for part in parts {
            let (Some(legacy), Some(unified)) =
                (self.signature(&part.legacy), self.signature(&part.unified))
            else {
                continue;
            };
            let wrong = if legacy.arguments.len() != unified.arguments.len() {
                Some((
                    &part.unified,
                    "the function has another number of arguments",
                ))
            } else if legacy == unified {
                Some((&part.unified, "nothing of the function changes"))
            } else if functions
                .iter()
                .any(|known| known.legacy.name == legacy.name)
            {
                Some((&part.legacy, "the function is in another [[function]]"))
            } else {
                None
            };
            if let Some((place, message)) = wrong {
                self.error(&place.span(), message);
            }
            functions.push(RenamedFunction { legacy, unified });
        }
        functions
    }

    fn signature(&mut self, text: &Spanned<String>) -> Option<Signature> {
        let found = rule_sql::signature(text.get_ref());
        if found.is_none() {
            let message = format!(
                "found `{}`; expected `schema.function(argument, …)`, the arguments' names alone",
                text.get_ref()
            );
            self.error(&text.span(), &message);
        }
        found.map(|(name, arguments)| Signature { name, arguments })
    }
}
