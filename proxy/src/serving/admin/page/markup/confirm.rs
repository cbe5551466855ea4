//! Before a step: what it does, what stands in its way, and the migration's name to be typed.

use maud::{Markup, html};
use rewrite_rules::Phase;

use super::super::model::{Confirmation, Visitor};
use super::frame::{Page, csrf};
use super::parts::{Mood, path_of, prose, verdict};
use super::{ladder, step};
use crate::steps::step::StepDirection;

pub(in super::super) const REASON_CHARS_MAX: usize = 500;

pub(in super::super) fn confirm(asked: &Confirmation, visitor: &Visitor) -> Markup {
    let row = &asked.row;
    let (from, to) = (row.phase, asked.to);
    let (verb, behind) = match asked.direction {
        StepDirection::Forward => ("Advance", "/advance"),
        StepDirection::Back => ("Roll back", "/rollback"),
    };
    let title = format!("{verb} {} to {to}", row.name);
    let page = Page {
        title: &title,
        visitor: Some(visitor),
        at: "/",
        live: false,
    };
    page.with(&html! {
        p.crumb { a href="/" { "Migrations" } " / " a href=(path_of(&row.name, "")) { (row.name) } " /" }
        h1 { (title) }
        p.lead { "From " strong { (from.name()) } " to " strong { (to.name()) } ": " (means(from, to)) }
        section.card aria-labelledby="way" {
            header { h2 id="way" { "What stands in its way" } span.quiet.small { (step::age(&asked.gates)) } }
            (step::gates(&asked.gates))
            (step::holders(&asked.holders))
            p.quiet.small {
                "The gates are looked at once more when the step is taken, and it is refused unless all are met. "
                "It then waits for every proxy and for the transactions of now."
            }
        }
        section.card aria-labelledby="confirm" {
            header { h2 id="confirm" { "Confirm" } }
            @if let Some(wrong) = &asked.wrong {
                div role="alert" { (verdict(Mood::Bad, &html! { p { (prose(wrong)) } })) }
            }
            form method="post" action=(path_of(&row.name, behind)) {
                (csrf(visitor))
                input type="hidden" name="from" value=(from.name());
                input type="hidden" name="to" value=(to.name());
                div.fields {
                    div {
                        label for="name" { "Type " code { (row.name) } " to confirm" }
                        input type="text" id="name" name="name" required autocomplete="off" autocapitalize="none"
                            spellcheck="false" aria-invalid=[asked.wrong.as_ref().map(|_| "true")];
                    }
                    div {
                        label for="reason" { "Why" }
                        input type="text" id="reason" name="reason" maxlength=(REASON_CHARS_MAX) value=(asked.reason)
                            aria-describedby="reason-hint" autocomplete="off";
                        p.hint id="reason-hint" { "Goes on the record, with your name." }
                    }
                }
                div.actions {
                    button type="submit" class=(class(asked.direction)) { (verb) " to " (to.name()) }
                    a.button href=(path_of(&row.name, "")) { "Leave it" }
                }
            }
        }
        section.card aria-labelledby="phases" {
            header { h2 id="phases" { "Where it stands now" } }
            (ladder::ladder(from))
        }
    })
}

fn class(direction: StepDirection) -> &'static str {
    match direction {
        StepDirection::Forward => "main",
        StepDirection::Back => "grave",
    }
}

/// What changes for the application's statements.
fn means(from: Phase, to: Phase) -> &'static str {
    match (from < to, to) {
        (true, Phase::DualWrite) => "every write also reaches the new table.",
        (true, Phase::ShadowRead) => "a sample of reads is compared with the new table.",
        (true, Phase::DualRead) => {
            "reads are answered from the new table; rows that it lacks come from the old one."
        }
        (true, Phase::UnifiedRead) => {
            "reads are answered from the new table alone; writes still reach the old one."
        }
        (true, Phase::UnifiedOnly) => {
            "nothing is written to the old table any more: from here on the way back needs a copy back."
        }
        (true, Phase::Retired) => "the old table may be put aside and dropped.",
        (false, Phase::LegacyOnly) => {
            "the new table is left alone, and what was copied so far has to be copied again."
        }
        (false, Phase::DualWrite) => "reads are no longer compared.",
        (false, Phase::ShadowRead) => "reads are answered from the old table again.",
        (false, Phase::DualRead) => "rows that the new table lacks come from the old one again.",
        (false, Phase::UnifiedRead) => {
            "writes reach the old table again; what it missed meanwhile has to be copied back before it is read."
        }
        (false, Phase::UnifiedOnly) => "the old table must be there again.",
        (true, Phase::LegacyOnly) | (false, Phase::Retired) => "",
    }
}
