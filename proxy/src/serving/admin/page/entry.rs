//! Who comes in, and as whom: the login, and the session behind each request.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Form, FromRequestParts, State};
use axum::http::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::markup;
use super::model::Visitor;
use super::sessions::LIFE_MAX;
use super::state::PageState;
use crate::serving::admin::connections::Peer;
use crate::serving::operators::Role;

/// What a page that looks again by itself says of its requests.
const LOOKS_AGAIN: &str = "x-crossfade-looks-again";

/// A visitor with a session, whose user is still in the user file.
#[derive(Debug)]
pub(super) struct Seen(pub Visitor);

impl FromRequestParts<Arc<PageState>> for Seen {
    type Rejection = Redirect;

    async fn from_request_parts(
        parts: &mut Parts,
        page: &Arc<PageState>,
    ) -> Result<Seen, Redirect> {
        visitor(page, &parts.headers)
            .map(Seen)
            .ok_or_else(|| Redirect::to("/login"))
    }
}

fn visitor(page: &PageState, headers: &HeaderMap) -> Option<Visitor> {
    let token = token(page, headers)?;
    let by_itself = headers.contains_key(LOOKS_AGAIN);
    let session = page.sessions.of(token, Instant::now(), by_itself)?;
    // Whoever was taken out of the file has no session any more; a role counts as it is now.
    let Some(role) = page.users.role(&session.user) else {
        page.sessions.close(token);
        return None;
    };
    Some(Visitor {
        user: session.user,
        may_operate: role == Role::Operate,
        csrf: session.csrf,
    })
}

/// What our cookie holds. A browser sends all that it has for the host.
fn token<'h>(page: &PageState, headers: &'h HeaderMap) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';'));
    cookies.find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == page.cookie).then_some(value)
    })
}

/// Whether a form was made for this visitor.
pub(super) fn is_own_form(visitor: &Visitor, csrf: &str) -> bool {
    visitor.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
}

pub(super) async fn door(State(page): State<Arc<PageState>>, headers: HeaderMap) -> Response {
    match visitor(&page, &headers) {
        Some(_) => Redirect::to("/").into_response(),
        None => said(StatusCode::OK, None),
    }
}

fn said(status: StatusCode, wrong: Option<&str>) -> Response {
    (status, Html(markup::login(wrong).into_string())).into_response()
}

#[derive(Deserialize)]
pub(super) struct Login {
    user: String,
    password: String,
}

pub(super) async fn enter(
    State(page): State<Arc<PageState>>,
    Extension(Peer(peer)): Extension<Peer>,
    Form(Login { user, password }): Form<Login>,
) -> Response {
    let address = peer.ip();
    // Those that come at once wait for each other, so that each knows how the ones before it ended.
    let Ok(turn) = Arc::clone(&page.verifying).acquire_owned().await else {
        return said(StatusCode::SERVICE_UNAVAILABLE, None);
    };
    let wait = page.attempts.wait(&user, address, Instant::now());
    if !wait.is_zero() {
        let seconds = wait.as_secs_f64().ceil();
        let wrong = format!("Too many logins failed. Try again in {seconds} s.");
        let mut told = said(StatusCode::TOO_MANY_REQUESTS, Some(&wrong));
        let headers = told.headers_mut();
        headers.insert(RETRY_AFTER, (seconds as u64).into());
        return told;
    }
    let looks = Arc::clone(&page);
    let name = user.clone();
    let looked = tokio::task::spawn_blocking(move || looks.users.role_of(&name, &password)).await;
    let Ok(Some(_role)) = looked else {
        // Somebody's password may have slipped into the wrong field.
        let is_known = page.users.role(&user).is_some();
        let named = if is_known { user.as_str() } else { "(unknown)" };
        page.attempts.failed(&user, address, Instant::now());
        drop(turn);
        tracing::warn!(user = named, %address, "a login to the page failed");
        return said(
            StatusCode::UNAUTHORIZED,
            Some("There is no such user with this password."),
        );
    };
    page.attempts.succeeded(&user, address);
    match page.sessions.open(&user, Instant::now()) {
        Ok(token) => {
            tracing::info!(user, %address, "a login to the page");
            let cookie = cookie(&page, &token, LIFE_MAX.as_secs());
            ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "nobody can log in to the page");
            said(StatusCode::SERVICE_UNAVAILABLE, Some(&error.to_string()))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct OwnForm {
    #[serde(default)]
    pub csrf: String,
}

pub(super) async fn leave(
    State(page): State<Arc<PageState>>,
    Seen(visitor): Seen,
    headers: HeaderMap,
    Form(form): Form<OwnForm>,
) -> Response {
    if !is_own_form(&visitor, &form.csrf) {
        return not_own_form(&visitor);
    }
    if let Some(token) = token(&page, &headers) {
        page.sessions.close(token);
    }
    let cookie = cookie(&page, "", 0);
    ([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

fn cookie(page: &PageState, token: &str, seconds: u64) -> String {
    let secure = if page.hosts.is_https() {
        "; Secure"
    } else {
        ""
    };
    let name = &page.cookie;
    format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}")
}

pub(super) fn not_own_form(visitor: &Visitor) -> Response {
    let why = "The form is not of this session: it may be older than the login. Open it again and send it once more.";
    let page = markup::failure("Not done", why, Some(visitor));
    (StatusCode::FORBIDDEN, Html(page.into_string())).into_response()
}
