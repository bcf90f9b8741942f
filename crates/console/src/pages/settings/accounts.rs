//! Strict accounts: those whose events are refused if the catalog does not know their type.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use ringback_api::{Caller, FieldError, PathName, Problem};
use ringback_core::Account;
use ringback_store::{AccountSettings, UnknownTypes};

use super::{PATH, form_page, inputs, refused};
use crate::Console;
use crate::accounts;
use crate::pages::inputs::Mistakes;
use crate::pages::posted::{Fields, Posted};
use crate::pages::said::Said;
use crate::pages::visitor::Visitor;
use crate::pages::{ROOT, parts};

/// What somebody sees of their own account.
pub(super) async fn own(
    console: &Console,
    caller: &Caller,
    account: &Account,
) -> Result<Markup, Problem> {
    let is_strict = accounts::is_strict(console, caller, account).await?;
    Ok(html! {
        div.card {
            h2 { "Account " (account) }
            dl.facts {
                dt { "Events of types that the catalog does not know" }
                dd { @if is_strict { "are refused: this account is strict" } @else { "are accepted" } }
            }
            p.hint { "Whoever runs this instance can change that. What the catalog knows stands in the " a href={ (ROOT) "/reference" } { "reference" } "." }
        }
    })
}

/// All strict accounts.
pub(super) async fn list(console: &Console, visitor: &Visitor) -> Result<Markup, Problem> {
    let all = console.store.account_settings().await?;
    let is_strict = |settings: &AccountSettings| settings.unknown_types == UnknownTypes::Refused;
    let strict: Vec<_> = all.into_iter().filter(is_strict).collect();
    Ok(html! {
        section aria-labelledby="strict-accounts" {
            div.head {
                h2 #strict-accounts { "Strict accounts" }
                a.button data-dialog href={ (ROOT) (PATH) "/accounts/new" } { "Make an account strict" }
                p.lead {
                    "Their events are refused if the catalog does not know their type. Those of all other accounts are accepted, "
                    "whatever they are called."
                }
            }
            @if !strict.is_empty() {
                div.card.bare-list { (table(visitor, &strict)) }
            }
        }
    })
}

fn table(visitor: &Visitor, strict: &[AccountSettings]) -> Markup {
    html! {
        table.list {
            thead {
                tr {
                    th scope="col" { "Account" }
                    th scope="col" { span.visually-hidden { "Actions" } }
                }
            }
            tbody {
                @for AccountSettings { account, .. } in strict {
                    tr {
                        th scope="row" { (account) }
                        td.actions-cell {
                            (parts::post_button(
                                visitor, &format!("{ROOT}{PATH}/accounts/{account}/lenient"), "Accept all types again", "small",
                            ))
                        }
                    }
                }
            }
        }
    }
}

/// The form to make one.
pub(super) async fn form(visitor: Visitor) -> Result<Markup, Problem> {
    visitor.require_administrator()?;
    Ok(form_with(&visitor, &Fields::default(), &Mistakes::default()))
}

fn form_with(visitor: &Visitor, fields: &Fields, mistakes: &Mistakes) -> Markup {
    let inputs = inputs(fields, mistakes);
    let form = html! {
        (inputs.summary())
        p {
            "From then on an event of this account whose type is not in the catalog is refused (422), and its producer is told so. "
            "Look that all its types are there first."
        }
        (inputs.text("account", "Its name, as in its events."))
    };
    form_page(visitor, "Make an account strict", "/settings/accounts/new", form, "Make it strict")
}

/// Makes one strict.
pub(super) async fn make_strict(
    State(console): State<Console>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, Problem> {
    visitor.require_administrator()?;
    let set = match fields.text("account").trim().parse() {
        Ok(account) => set(&console, &visitor, account, UnknownTypes::Refused).await,
        Err(error) => {
            let error: <Account as std::str::FromStr>::Err = error;
            Err(Problem::invalid(vec![FieldError::new("/account", error.to_string())]))
        }
    };
    match set {
        Ok(()) => Ok(Said::AccountStrict.at(&format!("{ROOT}{PATH}")).into_response()),
        Err(problem) => refused(problem, |mistakes| form_with(&visitor, &fields, mistakes)),
    }
}

/// Makes one like all others.
pub(super) async fn make_lenient(
    State(console): State<Console>,
    PathName(account): PathName<Account>,
    Posted { visitor, .. }: Posted,
) -> Result<Redirect, Problem> {
    visitor.require_administrator()?;
    set(&console, &visitor, account, UnknownTypes::Accepted).await?;
    Ok(Said::AccountLenient.at(&format!("{ROOT}{PATH}")))
}

async fn set(
    console: &Console,
    visitor: &Visitor,
    account: Account,
    unknown_types: UnknownTypes,
) -> Result<(), Problem> {
    let settings = AccountSettings { account, unknown_types };
    accounts::set(console, &visitor.caller, &settings).await
}
