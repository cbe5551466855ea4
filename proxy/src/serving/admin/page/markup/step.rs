//! The next step: what it waits for, who holds that, and what its gates say.

use maud::{Markup, html};

use super::super::model::Gates;
use super::parts::{Mood, many, prose, span, verdict};
use crate::steps::status::Status;
use crate::steps::views::{GateAnswer, GateRow, HolderRow, Holds};

/// What stands in the way, in a sentence, for whoever looks for a moment.
pub(super) fn summary(status: &Status, holders: &[HolderRow], gates: &Gates) -> Markup {
    if !status.prepared {
        return verdict(
            Mood::Unsure,
            &html! { p { "The database is not prepared: " code { "crossfade prepare" } } },
        );
    }
    let mut lines = Vec::new();
    let mut mood = Mood::Good;
    if !status.drained {
        mood = Mood::Unsure;
        lines.push(not_drained(status, holders));
    }
    match gates {
        Gates::NoStep => return html! {},
        Gates::Looking => {
            mood = Mood::Unsure;
            lines.push("The gates are being looked at.".to_owned());
        }
        Gates::Failed { why, .. } => {
            mood = Mood::Unsure;
            lines.push(format!("Nobody can tell what the gates say: {why}"));
        }
        Gates::Known { rows, .. } => {
            let of = |answer| rows.iter().filter(|row| row.answer == answer).count();
            let (unmet, unknown) = (of(GateAnswer::NotMet), of(GateAnswer::CannotTell));
            if unmet + unknown > 0 {
                mood = if unmet > 0 { Mood::Bad } else { Mood::Unsure };
                let mut told = Vec::new();
                if unmet > 0 {
                    let is = if unmet == 1 { "is" } else { "are" };
                    told.push(format!("{unmet} {is} not met"));
                }
                if unknown > 0 {
                    told.push(format!("of {unknown} nobody can tell"));
                }
                lines.push(format!("Of {} gates {}.", rows.len(), told.join(", and ")));
            } else if lines.is_empty() {
                lines.push(format!("Nothing stands in its way: {} met.", all(rows)));
            } else {
                lines.push(format!("Its gates: {} met.", all(rows)));
            }
        }
    }
    verdict(mood, &html! { @for line in &lines { p { (prose(line)) } } })
}

fn all(rows: &[GateRow]) -> String {
    match rows.len() {
        0 => "there are none to be".to_owned(),
        1 => "the one gate is".to_owned(),
        count => format!("all {count} gates are"),
    }
}

fn not_drained(status: &Status, holders: &[HolderRow]) -> String {
    let late = status
        .instances
        .iter()
        .filter(|instance| instance.live && !(instance.drained && instance.phase == status.phase));
    let waiting = holders.iter().filter(|row| row.holds != Holds::Newest);
    let (late, waiting) = (late.count(), by_transaction(waiting).len());
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let phase = &status.phase;
    match (late, waiting) {
        (0, 0) => format!(
            "Nobody has seen the step to {phase} drained yet; the next `crossfade advance` looks, and so does the button below."
        ),
        (0, _) => format!(
            "The step to {phase} waits for {}.",
            many(whole(waiting), "transaction", "transactions")
        ),
        (_, 0) => format!(
            "The step to {phase} waits for {}.",
            many(whole(late), "proxy", "proxies")
        ),
        (_, _) => format!(
            "The step to {phase} waits for {} and {}.",
            many(whole(late), "proxy", "proxies"),
            many(whole(waiting), "transaction", "transactions")
        ),
    }
}

/// Who holds something that a step waits for.
pub(super) fn holders(holders: &[HolderRow]) -> Markup {
    let (now, then): (Vec<&HolderRow>, Vec<&HolderRow>) =
        holders.iter().partition(|row| row.holds != Holds::Newest);
    let (now, then) = (by_transaction(now), by_transaction(then));
    html! {
        @if !now.is_empty() {
            h3 { "Who holds it up" }
            (table(&now, "Transactions that the last step waits for"))
        }
        @if !then.is_empty() {
            details open[now.is_empty() && then.len() <= 5] {
                summary {
                    (many(i64::try_from(then.len()).unwrap_or(i64::MAX), "transaction", "transactions"))
                    " in this phase now, for which the next step would wait"
                }
                (table(&then, "Transactions that the next step would wait for"))
            }
        }
    }
}

/// Rows of one transaction, which may hold several things, side by side.
fn by_transaction<'h>(rows: impl IntoIterator<Item = &'h HolderRow>) -> Vec<Vec<&'h HolderRow>> {
    let mut all: Vec<Vec<&HolderRow>> = Vec::new();
    for row in rows {
        let known = all
            .iter_mut()
            .find(|of| row.pid.is_some() && of.first().is_some_and(|first| first.pid == row.pid));
        match known {
            Some(known) => known.push(row),
            None => all.push(vec![row]),
        }
    }
    all
}

fn table(rows: &[Vec<&HolderRow>], caption: &str) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table.stack {
                caption.sr { (caption) }
                thead { tr {
                    th scope="col" { "pid" }
                    th scope="col" { "user" }
                    th scope="col" { "application" }
                    th scope="col" { "from" }
                    th scope="col" { "holds" }
                    th.number scope="col" { "for" }
                    th scope="col" { "statement" }
                } }
                tbody { @for row in rows { (line(row)) } }
            }
        }
    }
}

fn line(holds: &[&HolderRow]) -> Markup {
    let Some(row) = holds.first() else {
        return html! {};
    };
    html! {
        tr {
            th scope="row" data-label="pid" {
                @match row.pid { Some(pid) => (pid), None => "prepared transaction" }
            }
            td data-label="user" { (row.user) }
            td data-label="application" {
                @if row.application.is_empty() { span.quiet { "unnamed" } } @else { (row.application) }
            }
            td data-label="from" {
                span {
                    @if row.address.is_empty() { "a socket file" } @else { (row.address) }
                    @if let Some(proxy) = &row.proxy { br; span.quiet { "through " (proxy) } }
                }
            }
            td data-label="holds" {
                span {
                    @for (number, held) in holds.iter().enumerate() {
                        @if number > 0 { br; }
                        (held.holds.words())
                        @if let Some(epoch) = held.epoch {
                            br; span.quiet { "epoch " (epoch) @if let Some(phase) = &held.phase { ", " (phase) } }
                        }
                    }
                }
            }
            td.number.nowrap data-label="for" { (span(row.age_seconds)) }
            td.statement data-label="statement" {
                span { code { (row.statement) } br; span.quiet.small { (row.state) } }
            }
        }
    }
}

/// What the gates say, and what settles those that are not met.
pub(super) fn gates(gates: &Gates) -> Markup {
    html! {
        @match gates {
            Gates::NoStep => {},
            Gates::Looking => { p.quiet { "They are being looked at: some compare rows with the rules." } },
            Gates::Failed { why, age } => {
                p.unknown { "They could not be looked at " (span(age.as_secs_f64())) " ago: " (prose(why)) }
            },
            Gates::Known { rows, .. } => {
                ul.gates { @for row in rows { (gate(row)) } }
                @if rows.is_empty() { p.quiet { "This step has no gates: whatever is wrong, it is the way out." } }
            },
        }
    }
}

fn gate(row: &GateRow) -> Markup {
    let (mood, class) = match row.answer {
        GateAnswer::Met => (Mood::Good, "yes"),
        GateAnswer::NotMet => (Mood::Bad, "no"),
        GateAnswer::CannotTell => (Mood::Unsure, "unknown"),
    };
    html! {
        li {
            (mood.icon())
            div {
                strong { (row.name) } " "
                span class={ "small " (class) } { (row.answer.words()) }
                div.found { (prose(&row.found)) }
                @if !row.settle.is_empty() { p.settle { (prose(&row.settle)) } }
            }
        }
    }
}

/// How old what is shown of the gates is.
pub(super) fn age(gates: &Gates) -> Markup {
    html! {
        @match gates {
            Gates::NoStep | Gates::Looking => {},
            Gates::Failed { age, .. } | Gates::Known { age, looking: false, .. } => {
                "looked at " (span(age.as_secs_f64())) " ago"
            },
            Gates::Known { looking: true, .. } => { "being looked at again" },
        }
    }
}
