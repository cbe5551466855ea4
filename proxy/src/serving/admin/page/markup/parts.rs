//! Small things that several pages show.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;

/// What stands for itself in an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// A name as a part of an address.
pub(super) fn in_address(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

/// The path of a migration's page, or of what lies behind it.
pub(in super::super) fn path_of(migration: &str, behind: &str) -> String {
    format!("/migrations/{}{behind}", in_address(migration))
}

/// Words of gates and errors: lines, and commands between backticks.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (number, line) in text.trim_end().lines().enumerate() {
            @if number > 0 { br; }
            @for (part, said) in line.split('`').enumerate() {
                // A backtick that nobody closes is one.
                @if part % 2 == 0 { (said) } @else { code { (said) } }
            }
        }
    }
}

/// `3 min`
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{:.0} s", s.max(0.0)),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// A time, and how long ago that is.
pub(super) fn since(at: SystemTime, now: SystemTime) -> Markup {
    let ago = now.duration_since(at).unwrap_or(Duration::ZERO);
    html! { (moment(at)) " (" (span(ago.as_secs_f64())) " ago)" }
}

/// `2026-11-30 12:04 UTC`
pub(super) fn moment(at: SystemTime) -> Markup {
    let at = OffsetDateTime::from(at);
    let (date, hour, minute) = (at.date(), at.hour(), at.minute());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let machine = format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
        at.second()
    );
    html! {
        time datetime=(machine) {
            (format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC"))
        }
    }
}

/// The same of a time that the database has written down: `2026-11-30T12:04:31.118Z`.
pub(super) fn moment_of(text: &str) -> Markup {
    let short = text.get(..16).map(|short| short.replace('T', " "));
    html! {
        @match short {
            Some(short) => time datetime=(text) { (short) " UTC" },
            None => (text),
        }
    }
}

/// `12 345`, with narrow spaces that do not break.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `1 key`, `2 keys`
pub(super) fn many(number: i64, one: &str, several: &str) -> String {
    let word = if number == 1 { one } else { several };
    format!("{} {word}", count(number))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Bad,
    Unsure,
    Plain,
}

impl Mood {
    pub fn class(self) -> &'static str {
        match self {
            Mood::Good => "good",
            Mood::Bad => "bad",
            Mood::Unsure => "unsure",
            Mood::Plain => "",
        }
    }

    pub fn icon(self) -> Markup {
        match self {
            Mood::Good => icon("yes", "M4 10.5l4 4 8-9"),
            Mood::Bad => icon("no", "M5 5l10 10M15 5L5 15"),
            Mood::Unsure => icon(
                "unknown",
                "M7 7.5a3 3 0 1 1 4 2.8c-.7.3-1 .8-1 1.7M10 15.4v.2",
            ),
            Mood::Plain => icon("quiet", "M10 5v6M10 14.6v.2"),
        }
    }
}

/// Drawn beside words that say the same.
fn icon(class: &'static str, path: &'static str) -> Markup {
    html! {
        svg class={ "icon " (class) } viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2.4"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" { path d=(path) {} }
    }
}

pub(super) fn badge(mood: Mood, words: &str) -> Markup {
    html! { span class={ "badge " (mood.class()) } { (words) } }
}

/// What is to be seen at once, with more behind it.
pub(super) fn verdict(mood: Mood, words: &Markup) -> Markup {
    html! { div class={ "verdict " (mood.class()) } { (mood.icon()) div { (words) } } }
}

pub(super) fn legacy() -> Markup {
    html! { span class="side old" { "old" } }
}

pub(super) fn unified() -> Markup {
    html! { span class="side new" { "new" } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_for_people() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_040_271);
        let expected = "<time datetime=\"2026-11-30T12:04:31Z\">2026-11-30 12:04 UTC</time>";
        assert_eq!(moment(at).into_string(), expected);
        assert_eq!(
            moment_of("2026-11-30T12:04:31.118Z").into_string(),
            "<time datetime=\"2026-11-30T12:04:31.118Z\">2026-11-30 12:04 UTC</time>"
        );
        assert_eq!(moment_of("<").into_string(), "&lt;");
        assert_eq!(count(-1_234_567), "-1\u{202f}234\u{202f}567");
        assert_eq!(many(1, "key", "keys"), "1 key");
        assert_eq!(many(1000, "key", "keys"), "1\u{202f}000 keys");
        assert_eq!(span(-1.0), "0 s");
        assert_eq!(span(90.0 * 60.0), "90 min");
        assert_eq!(span(50.0 * 3600.0), "2 days");
    }

    #[test]
    fn commands_stand_out_and_nothing_becomes_markup() {
        assert_eq!(
            prose("run `crossfade <b>`\n& then `that").into_string(),
            "run <code>crossfade &lt;b&gt;</code><br>&amp; then <code>that</code>"
        );
        assert_eq!(
            path_of("a<b/../c d", "/advance"),
            "/migrations/a%3Cb%2F%2E%2E%2Fc%20d/advance"
        );
    }
}
