//! What came of statements, by shape and phase.

use maud::{Markup, html};

use super::parts::count;
use crate::control::results::StatementResult;

/// The most called.
pub(super) fn card(all: &[StatementResult]) -> Markup {
    html! {
        section.card aria-labelledby="statements" {
            header { h2 id="statements" { "Statements" }
                span.quiet.small { "the most called, without their constants" } }
            @if all.is_empty() { p.quiet { "None was seen yet." } } @else { (table(all)) }
        }
    }
}

fn table(all: &[StatementResult]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Statements and what came of them" {
            table.stack {
                caption.sr { "Statements and what came of them" }
                thead { tr {
                    th scope="col" { "statement" } th scope="col" { "phase" }
                    th.number scope="col" { "calls" } th.number scope="col" { "rows" }
                    th.number scope="col" { "p99 below" } th.number scope="col" { "failed" }
                    th.number scope="col" { "refused" } th.number scope="col" { "fell back" }
                } }
                tbody { @for result in all { (row(result)) } }
            }
        }
    }
}

fn row(result: &StatementResult) -> Markup {
    html! {
        tr {
            th scope="row" data-label="statement" { span {
                code { (result.statement.as_deref().unwrap_or("(others)")) }
                @if let Some(why) = &result.why { br; span.quiet.small { (why) } }
                @if let Some(plans) = &result.plans { br; span.quiet.small { "planned worse: " (plans) } }
            } }
            td data-label="phase" { span { (result.phase) @if result.canary { " (canary)" } } }
            td.number data-label="calls" { (count(result.calls)) }
            td.number data-label="rows" { (count(result.rows)) }
            td.number data-label="p99 below" {
                @match result.p99_ms { Some(p99) => { (format!("{p99:.2}")) " ms" }, None => "–" }
            }
            td.number data-label="failed" { (count(result.failed)) }
            td.number data-label="refused" { (count(result.refused)) }
            td.number data-label="fell back" { (count(result.fallbacks)) }
        }
    }
}
