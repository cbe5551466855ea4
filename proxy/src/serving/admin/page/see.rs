//! What is shown to whoever may look.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;
use serde::Deserialize;

use super::entry::Seen;
use super::markup;
use super::model::Visitor;
use super::state::{NoPage, PageState};

pub(super) async fn overview(State(page): State<Arc<PageState>>, Seen(visitor): Seen) -> Response {
    let found = page.overview().await;
    shown(found, &visitor, |found| {
        markup::overview(found, &visitor, SystemTime::now())
    })
}

pub(super) async fn migration(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    Path(name): Path<String>,
) -> Response {
    let found = page.migration(&name).await;
    shown(found, &visitor, |found| {
        markup::migration(found, &visitor, SystemTime::now())
    })
}

pub(super) async fn proxies(State(page): State<Arc<PageState>>, Seen(visitor): Seen) -> Response {
    let found = page.proxies().await;
    shown(found, &visitor, |found| markup::proxies(found, &visitor))
}

#[derive(Deserialize)]
pub(super) struct Which {
    migration: Option<String>,
    before: Option<i64>,
}

pub(super) async fn events(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    Query(which): Query<Which>,
) -> Response {
    let found = page.history(which.migration, which.before).await;
    shown(found, &visitor, |found| markup::history(found, &visitor))
}

/// A page, or why there is none.
fn shown<T>(
    found: Result<T, NoPage>,
    visitor: &Visitor,
    page: impl FnOnce(&T) -> Markup,
) -> Response {
    match found {
        Ok(found) => Html(page(&found).into_string()).into_response(),
        Err(why) => failed(&why, visitor),
    }
}

pub(super) fn failed(why: &NoPage, visitor: &Visitor) -> Response {
    let (status, title) = match why {
        NoPage::NoMigration | NoPage::NoStep => (StatusCode::NOT_FOUND, "There is nothing here"),
        NoPage::Control(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The database could not be asked",
        ),
    };
    let page = markup::failure(title, &why.to_string(), Some(visitor));
    (status, Html(page.into_string())).into_response()
}

pub(super) async fn nothing(Seen(visitor): Seen) -> Response {
    let page = markup::failure(
        "There is nothing here",
        "No page has this address.",
        Some(&visitor),
    );
    (StatusCode::NOT_FOUND, Html(page.into_string())).into_response()
}
