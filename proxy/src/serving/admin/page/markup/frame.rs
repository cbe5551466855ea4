//! What stands around every page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::model::Visitor;

pub(in super::super) const STYLE: &str = include_str!("../style.css");
pub(in super::super) const SCRIPT: &str = include_str!("../live.js");

/// A page and where it stands among the others.
#[derive(Debug)]
pub(in super::super) struct Page<'a> {
    pub title: &'a str,
    pub visitor: Option<&'a Visitor>,
    /// The path of the entry that it belongs to.
    pub at: &'static str,
    /// Whether it looks again by itself.
    pub live: bool,
}

const ENTRIES: [(&str, &str); 3] = [
    ("/", "Migrations"),
    ("/proxies", "Proxies"),
    ("/events", "Events"),
];

impl Page<'_> {
    pub fn with(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Crossfade" }
                    // So that no browser asks for one.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top { div {
                        a.brand href="/" { (mark()) "Crossfade" }
                        @if let Some(visitor) = self.visitor { (self.entries(visitor)) }
                    } }
                    main id="main" { (body) }
                    footer {
                        span { "Crossfade " (env!("CARGO_PKG_VERSION")) }
                        @if self.live {
                            span { a href="" { "Look again" } }
                            span id="live" {}
                        }
                    }
                    @if self.live { script { (PreEscaped(SCRIPT)) } }
                }
            }
        }
    }

    fn entries(&self, visitor: &Visitor) -> Markup {
        html! {
            nav aria-label="Main" { ul {
                @for (path, name) in ENTRIES {
                    li { a href=(path) aria-current=[(path == self.at).then_some("page")] { (name) } }
                }
            } }
            div.who {
                span { strong { (visitor.user) } " "
                    span.quiet { (if visitor.may_operate { "may operate" } else { "may look" }) } }
                form.inline method="post" action="/logout" {
                    (csrf(visitor))
                    button.link type="submit" { "Log out" }
                }
            }
        }
    }
}

/// What every form of a visitor's carries.
pub(super) fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf); }
}

/// Two lines that cross: the old side goes out, the new one comes in.
fn mark() -> Markup {
    html! {
        svg viewBox="0 0 34 24" aria-hidden="true" fill="none" stroke-width="4" stroke-linecap="round" {
            path d="M3 5C14 5 20 19 31 19" stroke="var(--old)" {}
            path d="M3 19C14 19 20 5 31 5" stroke="var(--new)" {}
        }
    }
}

/// What is said in place of a page.
pub(in super::super) fn failure(title: &str, why: &str, visitor: Option<&Visitor>) -> Markup {
    let page = Page {
        title,
        visitor,
        at: "",
        live: false,
    };
    page.with(&html! {
        section.card {
            h1 { (title) }
            p { (super::parts::prose(why)) }
            p { a href="/" { "All migrations" } }
        }
    })
}
