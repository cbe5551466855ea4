//! MERGE under the legacy name, once unified leads.

use super::{Call, Functions, templates, written};
use crate::lens::Function;

templates! { Merge "steps/merge.sql" }

impl Functions<'_> {
    pub(super) fn merge(&self) -> Function {
        Merge::function(self, self.lens.call_name(Call::Merge))
    }
}
