//! The hook: who outside is told of what happens.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[hook]`. Without `url` and `program` nobody is told.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookConfig {
    /// `http://` or `https://`; it may hold a token, so it is never shown.
    pub url: Option<String>,
    /// What requests are signed with: the bytes of this file, without a line's end behind them. Others may not read it.
    pub secret_file: Option<PathBuf>,
    /// Who signs the certificate of an `https` address; the system's, where it is not said.
    pub root_certificates: Option<PathBuf>,
    /// A program that is run instead, with the event on its standard input.
    pub program: Option<PathBuf>,
    /// The kinds of events that it is told of.
    pub kinds: Vec<String>,
    /// The longest that one attempt may take.
    pub timeout_ms: u64,
}

/// What somebody wants to hear at night.
const KINDS: [&str; 5] = [
    "advance",
    "rollback",
    "divergence",
    "canary_back",
    "backfill",
];

impl Default for HookConfig {
    fn default() -> Self {
        HookConfig {
            url: None,
            secret_file: None,
            root_certificates: None,
            program: None,
            kinds: KINDS.map(str::to_owned).into(),
            // Longer than a service that is well takes, and short enough for the next event not to wait.
            timeout_ms: 10_000,
        }
    }
}

impl fmt::Debug for HookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookConfig")
            .field("url", &self.url.as_ref().map(|_| "(set)"))
            .field("program", &self.program)
            .field("kinds", &self.kinds)
            .finish_non_exhaustive()
    }
}

impl HookConfig {
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.url.is_some() || self.program.is_some()
    }

    pub(super) fn relative_to(&mut self, directory: &Path) {
        for path in [
            &mut self.secret_file,
            &mut self.root_certificates,
            &mut self.program,
        ] {
            *path = path.take().map(|path| directory.join(path));
        }
    }

    /// A key whose value cannot be, and what was expected.
    pub(super) fn fault(&self, has_control: bool) -> Option<(&'static str, String, &'static str)> {
        let wrong = |key, value: &str, expected| Some((key, value.to_owned(), expected));
        if self.url.is_some() && self.program.is_some() {
            return wrong("hook", "url and program", "one of them");
        }
        if self.is_set() && !has_control {
            return wrong(
                "hook",
                "set",
                "url in [control] beside it: events stand in the database",
            );
        }
        if let Some(url) = &self.url {
            // Shown is nothing of it: it may hold a token.
            let is_http = url.starts_with("http://") || url.starts_with("https://");
            if !is_http || url.contains('@') {
                let expected = "an address of http or https, without a user or a password in it";
                return wrong("hook.url", "(not shown)", expected);
            }
            if self.secret_file.is_none() {
                return wrong(
                    "hook.url",
                    "(not shown)",
                    "secret_file beside it, to sign with",
                );
            }
        }
        if self.kinds.is_empty() || self.kinds.iter().any(String::is_empty) {
            return wrong(
                "hook.kinds",
                &format!("{:?}", self.kinds),
                "kinds of events",
            );
        }
        if !(100..=300_000).contains(&self.timeout_ms) {
            return wrong(
                "hook.timeout_ms",
                &self.timeout_ms.to_string(),
                "100 to 300000, five minutes",
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::HookConfig;

    fn hook(text: &str) -> HookConfig {
        toml::from_str(text).expect("it is TOML")
    }

    #[test]
    fn what_cannot_be_is_told_of_without_the_address() {
        for (text, has_control, key) in [
            ("url = 'https://h/t0ken'", true, Some("hook.url")),
            ("url = 'https://h/t0ken'\nsecret_file = 's'", true, None),
            (
                "url = 'https://h/t0ken'\nsecret_file = 's'",
                false,
                Some("hook"),
            ),
            (
                "url = 'ftp://t0ken'\nsecret_file = 's'",
                true,
                Some("hook.url"),
            ),
            (
                "url = 'https://t0ken@h/'\nsecret_file = 's'",
                true,
                Some("hook.url"),
            ),
            ("url = 'http://h/t0ken'\nprogram = 'p'", true, Some("hook")),
            ("program = 'p'", true, None),
            ("program = 'p'\nkinds = []", true, Some("hook.kinds")),
            (
                "program = 'p'\ntimeout_ms = 1",
                true,
                Some("hook.timeout_ms"),
            ),
            ("", false, None),
        ] {
            let hook = hook(text);
            let fault = hook.fault(has_control);
            assert_eq!(fault.as_ref().map(|fault| fault.0), key, "{text}");
            assert!(!format!("{fault:?} {hook:?}").contains("t0ken"), "{text}");
        }
    }
}
