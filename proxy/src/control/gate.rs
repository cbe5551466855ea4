//! What must hold before a step, as it was found.

use serde::Serialize;

/// One condition of a step, as found.
#[derive(Clone, Debug, Serialize)]
pub struct Gate {
    pub name: &'static str,
    pub met: bool,
    pub found: String,
    /// What to run or do when it is not met.
    pub settle: String,
}

/// How what was found begins where nobody can say whether the condition holds; such a gate is not met.
pub const CANNOT_TELL: &str = "it cannot be told";

impl Gate {
    /// Nobody can say whether the condition holds.
    #[must_use]
    pub fn cannot_tell(&self) -> bool {
        !self.met && self.found.starts_with(CANNOT_TELL)
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.met { "met" } else { "NOT met" };
        write!(f, "{:<22} {mark}: {}", self.name, self.found)?;
        if self.met {
            Ok(())
        } else {
            let under = format!("\n{:<26}", "");
            write!(f, "\n{:<22} -> {}", "", self.settle.replace('\n', &under))
        }
    }
}
