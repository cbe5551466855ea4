//! Statements that would be planned worse in the phases to come.

use maud::{Markup, html};

use super::parts::{count, prose, span};
use crate::control::plans::PlanFinding;

/// The worst of the last comparison.
pub(super) fn card(migration: &str, all: &[PlanFinding]) -> Markup {
    let worse: Vec<&PlanFinding> = all.iter().filter(|f| f.verdict.is_regression()).collect();
    html! {
        section.card aria-labelledby="plans" {
            header { h2 id="plans" { "Plan regressions" }
                span.quiet.small {
                    @match all.first() {
                        Some(first) => { "compared " (span(first.compared_seconds_ago)) " ago" },
                        None => "never compared",
                    }
                } }
            @if worse.is_empty() {
                p.quiet { (prose(&match all.is_empty() {
                    true => format!("`crossfade coverage {migration} --plans` says which statements the server would plan worse"),
                    false => format!("None is known. `crossfade coverage {migration} --plans` looks again"),
                })) }
            } @else { (table(&worse)) }
        }
    }
}

fn table(worse: &[&PlanFinding]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Statements that would be planned worse" {
            table.stack {
                caption.sr { "Statements that would be planned worse" }
                thead { tr {
                    th scope="col" { "statement" } th scope="col" { "in" }
                    th.number scope="col" { "calls" } th scope="col" { "found" }
                } }
                tbody { @for found in worse { (row(found)) } }
            }
        }
    }
}

fn row(found: &PlanFinding) -> Markup {
    html! {
        tr {
            th scope="row" data-label="statement" { span { code { (found.statement) } } }
            td data-label="in" { span { (found.phase) } }
            td.number data-label="calls" { (count(found.calls)) }
            td data-label="found" { span { (found.words()) } }
        }
    }
}
