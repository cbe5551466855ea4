//! Rows of the two sides that do not agree.

use maud::{Markup, html};

use super::super::model::{Detail, Sample, Value};
use super::parts::{Mood, badge, count, many, moment, prose, span};
use crate::control::instances::InstanceTotals;
use crate::control::ledger::LedgerEntry;
use crate::control::shown;
use crate::verify::record::Last;

pub(super) fn comparison(found: &Detail) -> Markup {
    let status = &found.status;
    let counted: InstanceTotals = status.instances.iter().map(|i| i.counted).sum();
    html! {
        section.card aria-labelledby="comparison" {
            header { h2 id="comparison" { "Do both sides agree?" } }
            dl.figures {
                div { dt { "last verify" } dd { (verify(status.last_verify.as_ref())) } }
                div { dt { "ledger" } dd { (many(status.divergence_count, "key", "keys"))
                    small {
                        @match &status.last_divergence_at {
                            Some(at) => { "the last one at " (at) },
                            None => "no write ever added one",
                        }
                    }
                } }
                div { dt { "shadow reads" } dd {
                    (count(counted.shadow_different)) " different"
                    small { (count(counted.shadow_equal)) " equal, " (count(counted.shadow_failed)) " not comparable" }
                } }
                div { dt { "fallbacks" } dd { (count(counted.fallbacks))
                    small {
                        @match status.days_without_fallback {
                            Some(days) => { "none for " (format!("{days:.1}")) " days" },
                            None => "since the proxies started",
                        }
                    }
                } }
                div { dt { "tombstones" } dd { (count(status.tombstones)) } }
            }
            @for around in &status.around { p { (around) } }
            @for line in &status.direct { p { (prose(line)) } }
            @if !found.ledger.is_empty() { (ledger(&found.ledger, status.divergence_count)) }
            @if !found.samples.is_empty() { (samples(&found.samples)) }
        }
    }
}

fn verify(last: Option<&Last>) -> Markup {
    html! {
        @match last {
            None => { "never" },
            Some(last) => {
                @if last.clean { span.yes { "clean" } } @else { span.no { "NOT clean" } }
                small {
                    (count(last.missing)) " missing, " (count(last.extra)) " extra, "
                    (count(last.different)) " different, " (span(last.age_seconds)) " ago"
                    @if !last.after_backfill { ", older than the backfill" }
                    @if !last.of_these_rules { ", of other rules than these" }
                }
            }
        }
    }
}

fn ledger(entries: &[LedgerEntry], all: i64) -> Markup {
    let of = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    html! {
        h3 { "The ledger" }
        @if of < all { p.quiet { "The oldest " (count(of)) " of " (many(all, "key", "keys")) } }
        div.scroll tabindex="0" role="region" aria-label="Keys in the ledger" {
            table.stack {
                caption.sr { "Keys whose unified half is known to be wrong" }
                thead { tr {
                    th scope="col" { "table" } th scope="col" { "key" } th scope="col" { "why" }
                    th.number scope="col" { "times" } th scope="col" { "last" }
                } }
                tbody {
                    @for entry in entries { tr {
                        td data-label="table" { (shown(&entry.legacy_table)) }
                        th scope="row" data-label="key" { code { (entry.key) } }
                        td data-label="why" { span { (entry.reason) " " span.quiet { (entry.sqlstate) } } }
                        td.number data-label="times" { (count(entry.times)) }
                        td data-label="last" { (moment(entry.last_at)) }
                    } }
                }
            }
        }
    }
}

fn samples(samples: &[Sample]) -> Markup {
    html! {
        h3 { "Side by side" }
        p.quiet { "Rows that the last verify found to differ, as it found them; columns that differ are marked." }
        @for sample in samples { (side_by_side(sample)) }
    }
}

fn side_by_side(sample: &Sample) -> Markup {
    let mood = match sample.kind.as_str() {
        "different" => Mood::Bad,
        _one_sided => Mood::Unsure,
    };
    html! {
        details {
            summary { (badge(mood, &sample.kind)) " " (shown(&sample.table)) " " code { (sample.key) } }
            @match sample.kind.as_str() {
                "missing" => p.quiet { "The new table lacks this row of the old one." },
                "extra" => p.quiet { "The old table has no such row." },
                _different => {},
            }
            @if !sample.columns.is_empty() {
                table.stack.sides {
                    caption.sr { "The row on both sides" }
                    thead { tr { th scope="col" { "column" } th scope="col" { "old" } th scope="col" { "new" } } }
                    tbody {
                        @for (column, old, new, differs) in &sample.columns {
                            tr class=[differs.then_some("differs")] {
                                th scope="row" data-label="column" { span { (column) @if *differs { span.sr { ", differs" } } } }
                                td data-label="old" { (value(old, *differs)) }
                                td data-label="new" { (value(new, *differs)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn value(value: &Value, differs: bool) -> Markup {
    html! {
        @match value {
            Value::Hidden => span.null { (if differs { "differs" } else { "same" }) },
            Value::Null => span.null { "NULL" },
            Value::Absent => span.null { "no row" },
            Value::Text(value) => @if differs { strong { (value) } } @else { (value) },
        }
    }
}
