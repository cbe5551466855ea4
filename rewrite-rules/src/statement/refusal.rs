//! What is told to a client whose statement is not run.

/// A value for a column that takes none but DEFAULT.
pub(crate) const GENERATED_ALWAYS: &str = "428C9";
/// What PostgreSQL says of a computed column in COPY's list.
pub(crate) const IS_GENERATED: &str = " is a generated column";

/// The server's major version; 0 is one that was never told, and too old for everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion(pub u32);

impl ServerVersion {
    /// What no server is older than: for whoever has none at hand.
    pub const NEWEST: ServerVersion = ServerVersion(u32::MAX);

    /// What a server calls itself: `18.1`, `17beta2`, `15.14 (Debian 15.14-0+deb12u1)`.
    #[must_use]
    pub fn told(text: &str) -> ServerVersion {
        let digits = text.trim_start().bytes().take_while(u8::is_ascii_digit);
        let major = digits.fold(0_u32, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(u32::from(digit - b'0'))
        });
        ServerVersion(major)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub sqlstate: &'static str,
    pub message: String,
    pub hint: String,
    /// 1-based character position in the client's text.
    pub position: Option<u32>,
}

impl Refusal {
    /// Whether PostgreSQL says the same of the statement in every phase, of values for columns that fill
    /// themselves.
    #[must_use]
    pub fn is_of_generated(&self) -> bool {
        self.sqlstate == GENERATED_ALWAYS || self.message.ends_with(IS_GENERATED)
    }

    /// Whether the statement is refused for what Crossfade cannot do, not for an error that
    /// PostgreSQL would find in it just the same: a refusal of ours says what to do instead.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let ours = ["0A000", "54000", "54001", "55000"].contains(&self.sqlstate);
        (ours && !self.hint.is_empty()) || self.sqlstate == "XX000"
    }
}
