//! What is drawn: bars, a line, and a sparkline. All of it is stretched to the room that it is given.

use std::fmt::Write as _;

use maud::{Markup, html};
use ringback_store::Traffic;

use super::scale::{Scale, share_of};
use crate::pages::parts::number;
use crate::pages::span::Span;
use crate::pages::traffic::Day;

/// How high a drawing is, in its own units.
const HEIGHT: u64 = 160;
/// How wide a step is, in the same.
const STEP: usize = 20;
/// Between two bars.
const GAP: usize = 4;

/// A bar for each step: what is bad on top of what is good.
pub(super) fn bars(columns: &[(u64, u64)], scale: Scale, titles: &[String], gist: &str) -> Markup {
    let shapes = columns.iter().enumerate().map(|(index, (good, bad))| {
        let (good, bad) = (scale.height_of(*good, HEIGHT), scale.height_of(*bad, HEIGHT));
        let x = index * STEP + GAP / 2;
        bar(x, STEP - GAP, HEIGHT, (good, bad))
    });
    let shapes: Vec<_> = shapes.collect();
    plot(columns.len(), scale, gist, titles, &html! { @for shape in &shapes { (shape) } })
}

/// A line through the steps that have a value, broken at those that have none.
pub(super) fn line(values: &[Option<u64>], scale: Scale, titles: &[String], gist: &str) -> Markup {
    let (mut path, mut dots) = (String::new(), String::new());
    let value = |index: usize| values.get(index).copied().flatten();
    for index in 0..values.len() {
        let Some(height) = value(index).map(|value| scale.height_of(value, HEIGHT)) else {
            continue;
        };
        let (x, y) = (index * STEP + STEP / 2, HEIGHT - height);
        let before = index.checked_sub(1).and_then(value);
        // One alone is a line to where it begins, which has round ends: a dot.
        match (before, value(index + 1)) {
            (Some(_), _) => write!(path, "L{x} {y}"),
            (None, Some(_)) => write!(path, "M{x} {y}"),
            (None, None) => write!(dots, "M{x} {y}h0"),
        }
        .expect("a text takes all");
    }
    plot(
        values.len(),
        scale,
        gist,
        titles,
        &html! {
            path.line d=(path) {}
            path.line.dots d=(dots) {}
        },
    )
}

fn plot(steps: usize, scale: Scale, gist: &str, titles: &[String], shapes: &Markup) -> Markup {
    let width = STEP * steps.max(1);
    html! {
        svg.plot role="img" aria-label=(gist) viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
            @for tick in scale.ticks() {
                @let y = HEIGHT - scale.height_of(tick, HEIGHT);
                line.grid x1="0" x2=(width) y1=(y) y2=(y) {}
            }
            (shapes)
            @for (index, title) in titles.iter().enumerate() {
                rect.step x=(index * STEP) width=(STEP) y="0" height=(HEIGHT) { title { (title) } }
            }
        }
    }
}

/// How the attempts of each hour of a day went, as small as a word.
pub(in crate::pages) fn sparkline(day: &Day) -> Markup {
    const HEIGHT: u64 = 28;
    const STEP: usize = 5;
    let Day { sum, hours } = day;
    let gist = format!(
        "Attempts, {}: {} succeeded, {} failed",
        Span::Day.name(),
        number(sum.succeeded),
        number(sum.failed)
    );
    let most = hours.iter().map(Traffic::attempts).max().unwrap_or(0);
    let tall = |attempts| share_of(attempts, most, HEIGHT);
    html! {
        svg.spark role="img" aria-label=(gist) preserveAspectRatio="none"
            viewBox={ "0 0 " (STEP * hours.len().max(1)) " " (HEIGHT) } {
            @for (index, hour) in hours.iter().enumerate() {
                (bar(index * STEP, STEP - 1, HEIGHT, (tall(hour.succeeded), tall(hour.failed))))
            }
        }
    }
}

/// A bar on the ground. What is bad is never hidden, be it ever so little of very much.
fn bar(x: usize, width: usize, height: u64, (good, bad): (u64, u64)) -> Markup {
    html! {
        @if good > 0 { rect.good x=(x) width=(width) y=(height - good) height=(good) {} }
        @if bad > 0 {
            rect.bad x=(x) width=(width) y=((height - good).saturating_sub(bad)) height=(bad) {}
        }
    }
}
