//! The door.

use maud::{Markup, html};

use super::frame::Page;
use super::parts::{Mood, verdict};

/// `wrong`: why the last attempt led nowhere.
pub(in super::super) fn login(wrong: Option<&str>) -> Markup {
    let page = Page {
        title: "Log in",
        visitor: None,
        at: "",
        live: false,
    };
    page.with(&html! {
        section.card.login {
            h1 { "Log in" }
            @if let Some(wrong) = wrong {
                div role="alert" { (verdict(Mood::Bad, &html! { p { (wrong) } })) }
            }
            form method="post" action="/login" {
                div.fields {
                    div {
                        label for="user" { "User" }
                        input type="text" id="user" name="user" autocomplete="username" autocapitalize="none"
                            spellcheck="false" required autofocus;
                    }
                    div {
                        label for="password" { "Password" }
                        input type="password" id="password" name="password" autocomplete="current-password" required;
                    }
                }
                button.main type="submit" { "Log in" }
            }
        }
    })
}
