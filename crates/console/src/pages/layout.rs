//! What all pages have in common: head, navigation, and the headers they are sent with.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use maud::{DOCTYPE, Markup, html};

use super::ROOT;
use super::assets::{ICON_URL, SCRIPT_URL, STYLE_URL};
use super::parts::{opens, post_button};
use super::visitor::Visitor;

/// The parts of the console, in the order of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Callbacks,
    Integrations,
    Events,
    Deliveries,
    Failed,
    EventNotification,
    Log,
    Reference,
    Settings,
}

impl Section {
    const ALL: [Self; 10] = [
        Self::Overview,
        Self::Callbacks,
        Self::Integrations,
        Self::Events,
        Self::Deliveries,
        Self::Failed,
        Self::EventNotification,
        Self::Log,
        Self::Reference,
        Self::Settings,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Callbacks => "Callbacks",
            Self::Integrations => "Integrations",
            Self::Events => "Events",
            Self::Deliveries => "Deliveries",
            Self::Failed => "Failed",
            Self::EventNotification => "Event Notification",
            Self::Log => "Log",
            Self::Reference => "Reference",
            Self::Settings => "Settings",
        }
    }

    /// Below [`ROOT`].
    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Callbacks => "/callbacks",
            Self::Integrations => "/integrations",
            Self::Events => "/events",
            Self::Deliveries => "/deliveries",
            Self::Failed => "/failed",
            Self::EventNotification => "/event-notification",
            Self::Log => "/log",
            Self::Reference => "/reference",
            Self::Settings => "/settings",
        }
    }

    /// Whether it is a visitor's: what is the instance's is an administrator's.
    fn is_for(self, visitor: &Visitor) -> bool {
        self != Self::Integrations || visitor.is_administrator()
    }
}

/// A page of the console.
pub(super) fn page(visitor: &Visitor, section: Section, title: &str, body: Markup) -> Markup {
    framed(visitor, Some(section), title, body)
}

/// A page of the console that is in none of its parts.
pub(super) fn apart(visitor: &Visitor, title: &str, body: Markup) -> Markup {
    framed(visitor, None, title, body)
}

fn framed(visitor: &Visitor, section: Option<Section>, title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                a.skip href="#main" { "Skip to the content" }
                (bar(visitor, section))
                main #main tabindex="-1" {
                    @if let Some(said) = visitor.said {
                        div class={ "banner " (said.class()) } role="status" { p { (said.sentence()) } }
                    }
                    (body)
                }
            }
        }
    }
}

/// A page for whoever is not signed in, or for what is no part of the console.
pub(super) fn bare(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare {
                header.bar { (brand()) }
                main #main tabindex="-1" { (body) }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " – Ringback" }
            link rel="icon" href=(*ICON_URL) type="image/svg+xml";
            link rel="stylesheet" href=(*STYLE_URL);
            script src=(*SCRIPT_URL) defer {}
        }
    }
}

fn brand() -> Markup {
    html! {
        a.brand href=(ROOT) { img src=(*ICON_URL) alt="" width="24" height="24"; "Ringback" }
    }
}

/// On a narrow screen the navigation is opened by a button, without script.
fn bar(visitor: &Visitor, section: Option<Section>) -> Markup {
    html! {
        header.bar {
            (brand())
            button.menu type="button" popovertarget="navigation" { "Menu" }
            div #navigation popover {
                nav aria-label="Console" {
                    ul {
                        @for other in Section::ALL.into_iter().filter(|other| other.is_for(visitor)) {
                            li {
                                a href={ (ROOT) (other.path()) } aria-current=[(Some(other) == section).then_some("page")] {
                                    (other.name())
                                }
                            }
                        }
                    }
                }
                div.who {
                    p { "Signed in for " (opens(visitor.caller.account())) }
                    (post_button(visitor, &format!("{ROOT}/logout"), "Sign out", ""))
                }
            }
        }
    }
}

/// Nothing is loaded from elsewhere, nothing runs that is not ours, nobody frames it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The headers of every answer below [`ROOT`].
pub(super) async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    put(CONTENT_SECURITY_POLICY, POLICY);
    put(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // The address of a link that opens a session must not be told to anybody.
    put(REFERRER_POLICY, "same-origin");
    put(CACHE_CONTROL, "no-store");
    response
}
