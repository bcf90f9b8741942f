//! What went wrong, as a page.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::layout;
use super::visitor::Visitor;
use crate::Console;

/// Makes a page of an answer that is problem details, which are for programs. Who is signed in keeps the navigation.
pub(super) async fn as_page(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    const BYTES_MAX: usize = 1024 * 1024;
    let headers = request.headers().clone();
    let response = next.run(request).await;
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/problem+json");
    if !is_problem {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let body = to_bytes(body, BYTES_MAX).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = |member: &str| problem[member].as_str().unwrap_or_default();
    let (title, detail) = (said("title"), sentence(said("detail")));
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let body = html! {
        div.banner.bad role="alert" {
            h1 { (title) }
            p { (detail) }
            @if errors.len() > 1 {
                ul {
                    @for error in errors {
                        li {
                            code { (error["pointer"].as_str().unwrap_or_default()) } " "
                            (error["detail"].as_str().unwrap_or_default())
                        }
                    }
                }
            }
        }
        p { a href=(super::ROOT) { "To the overview" } }
    };
    // Should the store be what is wrong, nobody is known: the page is bare then.
    let page = match Visitor::sends(&console, &headers).await {
        Ok(Some(visitor)) => layout::apart(&visitor, title, body),
        Ok(None) | Err(_) => layout::bare(title, body),
    };
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    head.headers.insert(header::CONTENT_TYPE, kind);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(page.into_string()))
}

/// On a page where somebody asked for what things as they stand do not allow: why not.
pub(super) fn not_possible(detail: &str) -> Markup {
    html! { div.banner.bad role="alert" { p { "Not possible: " (sentence(detail)) } } }
}

/// A detail as a sentence: those of the API begin small and end without a full stop.
pub(super) fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let Some(first) = letters.next() else { return String::new() };
    let end = if detail.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}
