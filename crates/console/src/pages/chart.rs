//! Charts, drawn on the server: SVG in the page, which needs no script and takes its colours from the style sheet.
//!
//! The drawing is stretched to the width that there is; what is to be read stands beside it as text, so that it has the same
//! size on a phone. Everything that a chart shows is in a table below it, too.

mod plot;
mod scale;

use maud::{Markup, html};
use ringback_core::Timestamp;
use ringback_store::Traffic;

use self::plot::{bars, line};
use self::scale::{PER_MILLE, Scale};
use super::parts::{duration, number, percent, time};
use super::span::{Past, Span};

pub(super) use self::plot::sparkline;

/// Deliveries that came to an end: delivered, and given up on.
pub(super) fn deliveries(past: &Past) -> Markup {
    let counted = Counted {
        name: "Deliveries",
        good: ("delivered", delivered),
        bad: ("exhausted", exhausted),
    };
    stacked(past, &counted)
}

/// Attempts: those that were answered with 2xx, and the others.
pub(super) fn attempts(past: &Past) -> Markup {
    let counted =
        Counted { name: "Attempts", good: ("succeeded", succeeded), bad: ("failed", failed) };
    stacked(past, &counted)
}

/// The share of attempts that succeeded.
pub(super) fn success(past: &Past) -> Markup {
    let measured = Measured {
        name: "Success of attempts",
        unit: "share that succeeded",
        value: |traffic| {
            traffic.succeeded.saturating_mul(PER_MILLE).checked_div(traffic.attempts())
        },
        text: |traffic| traffic.success_ratio().map(percent),
        scale: |_| Scale::WHOLE,
        tick: |share| format!("{} %", share * 100 / PER_MILLE),
    };
    measured_line(past, &measured)
}

/// The same of all the time, as a tile.
pub(super) fn success_tile(past: &Past) -> Markup {
    let sum = &past.sum;
    html! {
        div.tile {
            dt { "Success of attempts" }
            dd {
                @match sum.success_ratio() {
                    Some(ratio) => { (percent(ratio)) small { (number(sum.failed)) " of " (number(sum.attempts())) " failed" } }
                    None => { "–" small { "nothing was tried" } }
                }
            }
        }
    }
}

/// How long attempts took on average.
pub(super) fn response_time(past: &Past) -> Markup {
    let measured = Measured {
        name: "Response time",
        unit: "mean of all attempts",
        value: |traffic| {
            traffic.duration_mean().map(|mean| u64::try_from(mean.as_millis()).unwrap_or(u64::MAX))
        },
        text: |traffic| traffic.duration_mean().map(duration),
        scale: Scale::up_to,
        tick: |ms| duration(std::time::Duration::from_millis(ms)),
    };
    measured_line(past, &measured)
}

/// Two numbers that make a bar.
struct Counted {
    name: &'static str,
    good: (&'static str, fn(&Traffic) -> u64),
    bad: (&'static str, fn(&Traffic) -> u64),
}

/// A number that makes a line.
struct Measured {
    name: &'static str,
    unit: &'static str,
    /// None: there is nothing to measure.
    value: fn(&Traffic) -> Option<u64>,
    text: fn(&Traffic) -> Option<String>,
    scale: fn(u64) -> Scale,
    tick: fn(u64) -> String,
}

fn delivered(traffic: &Traffic) -> u64 {
    traffic.delivered
}

fn exhausted(traffic: &Traffic) -> u64 {
    traffic.exhausted
}

fn succeeded(traffic: &Traffic) -> u64 {
    traffic.succeeded
}

fn failed(traffic: &Traffic) -> u64 {
    traffic.failed
}

fn stacked(past: &Past, counted: &Counted) -> Markup {
    let Counted { name, good: (good_name, good), bad: (bad_name, bad) } = counted;
    let said = |traffic: &Traffic| {
        format!("{} {good_name}, {} {bad_name}", number(good(traffic)), number(bad(traffic)))
    };
    let columns: Vec<_> = past.traffic.iter().map(|step| (good(step), bad(step))).collect();
    let most = columns.iter().map(|(good, bad)| good.saturating_add(*bad)).max().unwrap_or(0);
    let is_empty = most == 0;
    let scale = Scale::up_to(most);
    let gist = format!("{name}, {}: {}.", past.span.name(), said(&past.sum));
    let titles = titles(past, said);
    let drawn = Drawn {
        name,
        gist,
        plot: |gist| bars(&columns, scale, &titles, gist),
        ticks: scale.ticks().map(scale::short).collect(),
        legend: html! { li.good { (good_name) } li.bad { (bad_name) } },
        table: table(past, &[good_name, bad_name], |step| {
            let numbers = [good(step), bad(step)];
            (numbers != [0, 0]).then(|| numbers.map(number).to_vec())
        }),
    };
    figure(past, is_empty, drawn)
}

fn measured_line(past: &Past, measured: &Measured) -> Markup {
    let Measured { name, unit, value, text, scale, tick } = measured;
    let values: Vec<_> = past.traffic.iter().map(value).collect();
    let most = values.iter().copied().flatten().max();
    let scale = scale(most.unwrap_or(0));
    let said = |traffic: &Traffic| text(traffic).unwrap_or_else(|| "nothing tried".to_owned());
    let gist = format!("{name}, {}: {} on the whole.", past.span.name(), said(&past.sum));
    let titles = titles(past, said);
    let drawn = Drawn {
        name,
        gist,
        plot: |gist| line(&values, scale, &titles, gist),
        ticks: scale.ticks().map(tick).collect(),
        legend: html! { li.line { (unit) } },
        table: table(past, &[unit], |step| text(step).map(|text| vec![text])),
    };
    figure(past, most.is_none(), drawn)
}

/// What a figure is put together from.
struct Drawn<'a, P: FnOnce(&str) -> Markup> {
    name: &'a str,
    /// What the drawing says, for whoever does not see it.
    gist: String,
    plot: P,
    /// At its left: the highest first.
    ticks: Vec<String>,
    legend: Markup,
    table: Markup,
}

fn figure<P: FnOnce(&str) -> Markup>(past: &Past, is_empty: bool, drawn: Drawn<'_, P>) -> Markup {
    html! {
        figure.card {
            figcaption { h2 { (drawn.name) } }
            @if is_empty {
                p.muted { "Nothing was tried in the " (past.span.name()) "." }
            } @else {
                div.chart {
                    div.y aria-hidden="true" { @for tick in &drawn.ticks { span { (tick) } } }
                    ((drawn.plot)(&drawn.gist))
                    (times(past))
                }
                ul.legend { (drawn.legend) li.zone { (zone(past.span)) } }
                details.block { summary { "As a table" } (drawn.table) }
            }
        }
    }
}

/// When steps begin, below the drawing: as many as have room on a phone.
fn times(past: &Past) -> Markup {
    html! {
        div.x aria-hidden="true" {
            @for at in past.steps.begins().step_by(past.span.steps_labelled().into()) {
                @if let Some(shows) = shows(past.span) {
                    span data-time=(at) data-shows=(shows) { (label(past.span, at)) }
                } @else {
                    span { (label(past.span, at)) }
                }
            }
        }
    }
}

/// What script shows in the viewer's zone. Days are those of UTC and of no other zone.
const fn shows(span: Span) -> Option<&'static str> {
    match span {
        Span::Hour | Span::Day => Some("clock"),
        Span::Week => Some("day-clock"),
        Span::Month => None,
    }
}

fn zone(span: Span) -> Markup {
    match span {
        Span::Month => html! { "Days of UTC" },
        Span::Hour | Span::Day | Span::Week => html! { span data-zone { "Times in UTC" } },
    }
}

fn label(span: Span, at: Timestamp) -> String {
    let (day, clock) = day_and_clock(at);
    match span {
        Span::Hour | Span::Day => clock,
        Span::Week => format!("{day}\n{clock}"),
        Span::Month => day,
    }
}

/// `2 Jan` and `03:04`, of UTC.
fn day_and_clock(at: Timestamp) -> (String, String) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month - 1));
    let day = part(8..10).trim_start_matches('0');
    (format!("{day} {}", month.unwrap_or(&"")), part(11..16).to_owned())
}

/// What is said of each step when it is pointed at.
fn titles(past: &Past, said: impl Fn(&Traffic) -> String) -> Vec<String> {
    let steps = past.steps.begins().zip(&past.traffic);
    let title = |(at, traffic): (Timestamp, &Traffic)| {
        let (day, clock) = day_and_clock(at);
        match past.span {
            Span::Month => format!("{day} (UTC): {}", said(traffic)),
            Span::Hour | Span::Day | Span::Week => {
                format!("From {day}, {clock} UTC: {}", said(traffic))
            }
        }
    };
    steps.map(title).collect()
}

/// The same in numbers: the steps of which there are any, newest first.
fn table(past: &Past, names: &[&str], cells: impl Fn(&Traffic) -> Option<Vec<String>>) -> Markup {
    let steps: Vec<_> = past.steps.begins().zip(&past.traffic).collect();
    html! {
        p.hint { "Each row is " (past.span.step_name()) ". Those in which nothing happened are left out." }
        table {
            thead { tr { th scope="col" { "From" } @for name in names { th.number scope="col" { (capital(name)) } } } }
            tbody {
                @for (at, traffic) in steps.iter().rev() {
                    @if let Some(cells) = cells(traffic) {
                        tr { th scope="row" { (time(*at)) } @for cell in cells { td.number { (cell) } } }
                    }
                }
            }
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
