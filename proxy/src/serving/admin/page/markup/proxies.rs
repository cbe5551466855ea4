//! The proxies, and what they serve.

use maud::{Markup, html};

use super::super::model::{Proxies, Visitor};
use super::frame::Page;
use super::parts::{Mood, badge, count, path_of, span};
use crate::control::instances::Instance;

/// Those that serve one migration, beside it.
pub(super) fn card(instances: &[Instance]) -> Markup {
    html! {
        section.card aria-labelledby="proxies" {
            header { h2 id="proxies" { "Proxies" } a href="/proxies" { "All" } }
            @if instances.is_empty() { p.quiet { "None is registered." } }
            @for instance in instances {
                div.proxy {
                    div { strong { (instance.address) } " " (state(instance)) }
                    div.quiet.small {
                        (instance.phase) ", " (epoch(instance)) ", id " (id(instance))
                        @if let Some(p99) = instance.p99_ms.filter(|_| instance.live) {
                            br; "its clients wait " (format!("{p99:.1}")) " ms (p99)"
                        }
                    }
                }
            }
        }
    }
}

pub(in super::super) fn proxies(found: &Proxies, visitor: &Visitor) -> Markup {
    let page = Page {
        title: "Proxies",
        visitor: Some(visitor),
        at: "/proxies",
        live: true,
    };
    page.with(&html! {
        div.heading { h1 { "Proxies" } }
        section.card {
            @if found.served.is_empty() {
                p.quiet { "None is registered." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Proxies and what they serve" {
                    table.stack {
                        caption.sr { "Proxies and what they serve" }
                        thead { tr {
                            th scope="col" { "address" } th scope="col" { "id" } th scope="col" { "migration" }
                            th scope="col" { "phase" } th scope="col" { "epoch" } th scope="col" { "state" }
                            th.number scope="col" { "p99" } th.number scope="col" { "fallbacks" }
                            th.number scope="col" { "divergences" } th.number scope="col" { "seen" }
                        } }
                        tbody {
                            @for served in &found.served {
                                @let instance = &served.instance;
                                tr {
                                    th scope="row" data-label="address" { (instance.address) }
                                    td data-label="id" { code { (id(instance)) } }
                                    td data-label="migration" {
                                        a href=(path_of(&served.migration, "")) { (served.migration) }
                                    }
                                    td data-label="phase" { (instance.phase) }
                                    td data-label="epoch" { (instance.epoch.map_or_else(|| "none".to_owned(), |e| e.to_string())) }
                                    td data-label="state" { span { (state(instance)) } }
                                    td.number data-label="p99" {
                                        @match instance.p99_ms { Some(p99) => { (format!("{p99:.1}")) " ms" }, None => "–" }
                                    }
                                    td.number data-label="fallbacks" { (count(instance.counted.fallbacks)) }
                                    td.number data-label="divergences" { (count(instance.counted.divergences)) }
                                    td.number.nowrap data-label="seen" { (span(instance.seen_seconds_ago)) " ago" }
                                }
                            }
                        }
                    }
                }
            }
        }
        p.quiet.small {
            "One that falls silent is not waited for: the database refuses what it writes in an epoch that is over. "
            code { "crossfade instances --forget ID" } " takes it off the list."
        }
    })
}

fn state(instance: &Instance) -> Markup {
    match (instance.live, instance.drained) {
        (true, true) => badge(Mood::Good, "drained"),
        (true, false) => badge(Mood::Unsure, "not drained"),
        (false, _) => badge(
            Mood::Bad,
            &format!("silent for {}", span(instance.seen_seconds_ago)),
        ),
    }
}

fn epoch(instance: &Instance) -> String {
    instance
        .epoch
        .map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"))
}

fn id(instance: &Instance) -> &str {
    instance.instance.get(..8).unwrap_or(&instance.instance)
}
