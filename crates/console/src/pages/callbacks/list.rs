//! The list of callbacks: sought, sorted and paged in memory.

mod sort;

use std::collections::BTreeSet;

use maud::{Markup, html};
use ringback_api::{Problem, Query};
use ringback_core::callback::{CallbackState, DisabledReason};
use ringback_core::{Account, Callback};

use self::sort::{Column, Sort};
use super::actions::row_actions;
use crate::pages::ROOT;
use crate::pages::chart::sparkline;
use crate::pages::filters::{CHOICES_MAX, Filter, choice_field, hinted_field, text_field};
use crate::pages::known::{self, Callbacks};
use crate::pages::layout::{Section, page as whole_page};
use crate::pages::parts::{
    ROWS, address, callback_badge, callback_link, day, nothing, number, percent,
};
use crate::pages::traffic::{self, Day, Days};
use crate::pages::visitor::Visitor;
use crate::state::Console;

/// Whose events a callback gets: each kind has a list of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) enum Reach {
    /// One account's.
    Account,
    /// Those of all accounts.
    Instance,
}

impl Reach {
    fn is_of(self, callback: &Callback) -> bool {
        (self == Self::Account) == callback.account.is_some()
    }

    /// Below [`ROOT`].
    const fn path(self) -> &'static str {
        match self {
            Self::Account => "/callbacks",
            Self::Instance => "/integrations",
        }
    }
}

/// One callback with its last day.
struct Row<'a> {
    callback: &'a Callback,
    day: Option<&'a Day>,
}

/// The page with the list.
pub(in crate::pages) async fn page(
    console: &Console,
    visitor: &Visitor,
    query: Query,
    reach: Reach,
) -> Result<Markup, Problem> {
    let mut filter = Filter::of(query);
    let search = filter.take::<String>("search")?.unwrap_or_default();
    let account = filter.take::<Account>("account")?;
    visitor.account_for(account.clone())?;
    let state = filter.take::<String>("state")?;
    let sort = filter.take_exact::<Sort>("sort")?;
    let number: usize = filter.take_exact("page")?.unwrap_or(1);
    filter.end()?;
    let is_filtered = !search.is_empty() || !filter.text("account").is_empty() || state.is_some();
    let callbacks = known::callbacks(console).await?;
    let days = traffic::of_callbacks(console).await?;
    let sought = Sought { search: search.to_lowercase(), account, state };
    let found = callbacks.of(&visitor.caller).filter(|callback| reach.is_of(callback));
    let mut rows: Vec<_> = match filter.is_right() {
        true => {
            found.filter(|callback| sought.is_met_by(callback)).map(|it| row(it, &days)).collect()
        }
        false => Vec::new(),
    };
    sort.unwrap_or(Sort::FIRST).apply(&mut rows);
    let others = callbacks.of(&visitor.caller).filter(|callback| !reach.is_of(callback)).count();
    let list = List { visitor, reach, filter: &filter, sort, is_filtered };
    let body = html! {
        (list.head(others))
        (list.form(&callbacks))
        (list.table(&rows, number))
    };
    let (section, title) = match reach {
        Reach::Account => (Section::Callbacks, "Callbacks"),
        Reach::Instance => (Section::Integrations, "Integrations"),
    };
    Ok(whole_page(visitor, section, title, body))
}

fn row<'a>(callback: &'a Callback, days: &'a Days) -> Row<'a> {
    Row { callback, day: days.get(&callback.id) }
}

/// What a callback in the list has to be.
struct Sought {
    /// In small letters.
    search: String,
    account: Option<Account>,
    state: Option<String>,
}

impl Sought {
    fn is_met_by(&self, callback: &Callback) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.search);
        (self.search.is_empty()
            || has(&callback.description)
            || has(callback.url.as_str())
            || has(&callback.id.to_string())
            || callback.events.patterns().iter().any(|pattern| has(pattern))
            || callback.account.as_ref().is_some_and(|account| has(account.as_str())))
            && (self.account.is_none() || self.account == callback.account)
            && self.state.as_deref().is_none_or(|state| state == word_of(callback.state))
    }
}

const STATES: [&str; 4] = ["enabled", "paused", "disabled", "gone"];

const fn word_of(state: CallbackState) -> &'static str {
    match state {
        CallbackState::Enabled => STATES[0],
        CallbackState::Paused => STATES[1],
        CallbackState::Disabled(DisabledReason::ByOwner) => STATES[2],
        CallbackState::Disabled(DisabledReason::Gone) => STATES[3],
    }
}

impl Row<'_> {
    fn ratio(&self) -> Option<f64> {
        self.day.and_then(|day| day.sum.success_ratio())
    }
}

/// The list as it was asked for.
struct List<'a> {
    visitor: &'a Visitor,
    reach: Reach,
    filter: &'a Filter,
    sort: Option<Sort>,
    is_filtered: bool,
}

impl List<'_> {
    fn head(&self, others: usize) -> Markup {
        let others = u64::try_from(others).unwrap_or(u64::MAX);
        html! {
            @match self.reach {
                Reach::Account => div.head {
                    h1 { "Callbacks" }
                    a.button.primary href={ (ROOT) "/callbacks/new" } data-dialog { "Add a callback" }
                    @if self.visitor.is_administrator() {
                        p.lead {
                            "Where each account’s events are sent. Callbacks for all accounts are "
                            a href={ (ROOT) "/integrations" } { "integrations (" (number(others)) ")" } "."
                        }
                    }
                },
                Reach::Instance => div.head {
                    h1 { "Integrations" }
                    a.button.primary href={ (ROOT) "/integrations/new" } data-dialog { "Add an integration" }
                    p.lead {
                        "Callbacks that get the events of all accounts. Those of single accounts are among the "
                        a href={ (ROOT) "/callbacks" } { "callbacks (" (number(others)) ")" } "."
                    }
                },
            }
        }
    }

    fn form(&self, callbacks: &Callbacks) -> Markup {
        let choice = |word: &str| (word.to_owned(), word.to_owned());
        let states = STATES.map(choice);
        let accounts: BTreeSet<_> = callbacks
            .of(&self.visitor.caller)
            .filter_map(|callback| callback.account.as_ref().map(Account::as_str))
            .collect();
        let has_account = self.reach == Reach::Account && self.visitor.is_administrator();
        html! {
            form.filters method="get" {
                (hinted_field(self.filter, "Search", "search", (None, "Name, URL, account, event or id")))
                @if has_account && accounts.len() <= CHOICES_MAX {
                    @let accounts: Vec<_> = accounts.into_iter().map(choice).collect();
                    (choice_field(self.filter, "Account", "account", ("All accounts", &accounts)))
                } @else if has_account {
                    (text_field(self.filter, "Account", "account", None))
                }
                (choice_field(self.filter, "State", "state", ("All states", &states)))
                @if let Some(sort) = self.sort { input type="hidden" name="sort" value=(sort.word()); }
                div.actions {
                    button type="submit" { "Show" }
                    @if self.is_filtered { a href={ (ROOT) (self.reach.path()) } { "Show all" } }
                }
            }
        }
    }

    fn table(&self, rows: &[Row<'_>], page: usize) -> Markup {
        let pages = rows.len().div_ceil(ROWS).max(1);
        let page = page.clamp(1, pages);
        let sort = self.sort.map(Sort::word).unwrap_or_default();
        // Of the first page as it is without a number.
        let number = if page > 1 { page.to_string() } else { String::new() };
        let here = self.address(&sort, &number);
        let shown = &rows[(page - 1) * ROWS..rows.len().min(page * ROWS)];
        html! {
            div #callbacks data-live="30" {
                div.card.bare-list {
                    @if shown.is_empty() { (self.none()) } @else {
                        table.list {
                            thead { tr {
                                (self.column("Name", Some(Column::Name)))
                                @if self.reach == Reach::Account { (self.column("Account", None)) }
                                (self.column("Events", None))
                                (self.column("State", Some(Column::State)))
                                (self.column("Success in 24 h", Some(Column::Success)))
                                (self.column("Created", Some(Column::Created)))
                                th scope="col" { span.visually-hidden { "What can be done" } }
                            } }
                            tbody { @for row in shown { (self.row(row, &here)) } }
                        }
                    }
                }
                (self.pager(page, pages, rows.len()))
            }
        }
    }

    fn column(&self, label: &str, sorts_by: Option<Column>) -> Markup {
        let sort = self.sort.unwrap_or(Sort::FIRST);
        let Some(by) = sorts_by else {
            return html! { th scope="col" { (label) } };
        };
        let is_sorted = sort.by == by;
        let order = match (is_sorted, sort.descends) {
            (false, _) => None,
            (true, false) => Some("ascending"),
            (true, true) => Some("descending"),
        };
        let other = Sort { by, descends: is_sorted && !sort.descends };
        let mark = match order {
            None => "",
            Some("ascending") => " ↑",
            Some(_) => " ↓",
        };
        html! {
            th scope="col" aria-sort=[order] {
                a href=(self.address(&other.word(), "")) { (label) span aria-hidden="true" { (mark) } }
            }
        }
    }

    fn row(&self, row: &Row<'_>, here: &str) -> Markup {
        let callback = row.callback;
        html! {
            tr {
                th scope="row" {
                    div.named {
                        (callback_link(Some(callback), callback.id))
                        @if !callback.description.is_empty() { code.under { (callback.url.as_str()) } }
                    }
                }
                @if self.reach == Reach::Account {
                    td data-label="Account" { @if let Some(account) = &callback.account { (account) } }
                }
                td.few-words data-label="Events" { (in_short(callback)) }
                td data-label="State" { (callback_badge(callback.state)) }
                td data-label="Success in 24 h" { (success(row)) }
                td data-label="Created" { (day(callback.created_at)) }
                td { (row_actions(self.visitor, callback, here)) }
            }
        }
    }

    fn none(&self) -> Markup {
        if self.is_filtered {
            let all = html! { "Search for less, or " a href={ (ROOT) (self.reach.path()) } { "show all" } "." };
            return nothing("Nothing matches", all);
        }
        match self.reach {
            Reach::Account => nothing(
                "There are no callbacks yet",
                html! {
                    "A callback says where events are sent, and which. "
                    a href={ (ROOT) "/callbacks/new" } data-dialog { "Add the first one" } "."
                },
            ),
            Reach::Instance => nothing(
                "There are no integrations yet",
                html! {
                    "An integration gets the events of all accounts. "
                    a href={ (ROOT) "/integrations/new" } data-dialog { "Add the first one" } "."
                },
            ),
        }
    }

    fn pager(&self, page: usize, pages: usize, rows: usize) -> Markup {
        let sort = self.sort.map(Sort::word).unwrap_or_default();
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        html! {
            @if pages > 1 {
                nav.pager aria-label="Pages" {
                    @if page > 1 {
                        a rel="prev" href=(self.address(&sort, &(page - 1).to_string())) { "Page before" }
                    }
                    span.muted { "Page " (page) " of " (pages) ", " (number(rows)) " in all" }
                    @if page < pages {
                        a rel="next" href=(self.address(&sort, &(page + 1).to_string())) { "Next page" }
                    }
                }
            }
        }
    }

    /// The address of the same list in this order, at this page.
    fn address(&self, sort: &str, page: &str) -> String {
        let kept = ["search", "account", "state"].map(|name| (name, self.filter.text(name)));
        let parameters: Vec<_> = kept.into_iter().chain([("sort", sort), ("page", page)]).collect();
        address(self.reach.path(), &parameters)
    }
}

fn success(row: &Row<'_>) -> Markup {
    let (Some(ratio), Some(day)) = (row.ratio(), row.day) else {
        return html! { span.muted { "no attempts" } };
    };
    html! {
        div.named {
            span { (percent(ratio)) }
            (sparkline(day))
        }
    }
}

/// Which events it gets, in a few words.
fn in_short(callback: &Callback) -> Markup {
    /// As many names as fit.
    const NAMES: usize = 2;
    if callback.events.matches_all() {
        return html! { "all events" };
    }
    let patterns = callback.events.patterns();
    let more = patterns.len().saturating_sub(NAMES);
    html! {
        div.named {
            @for pattern in patterns.iter().take(NAMES) { code { (pattern) } }
            @if more > 0 { span.muted title=(patterns.join(", ")) { "and " (more) " more" } }
        }
    }
}
