//! Sessions that read as in the next phase.

use maud::{Markup, html};

use super::parts::{Mood, span, verdict};
use crate::control::canary::members;
use crate::steps::canary::CanaryView;

/// Who is one, and how they do beside the others.
pub(super) fn line(canary: &CanaryView) -> Markup {
    let row = &canary.row;
    verdict(
        Mood::Unsure,
        &html! {
            p {
                strong { "Canary: " } (members(&row.canary)) " read as in " (canary.reads_as().name())
                ", for " (span(row.age_seconds)) ", by " strong { (row.began_by) }
            }
            ul { @for measure in canary.measures() { li { (measure.name) ": " (measure.found) } } }
        },
    )
}
