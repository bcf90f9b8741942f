use std::time::Duration;

use super::*;
use crate::pages::traffic::Day;

fn past(span: Span, steps: &[(u32, Traffic)]) -> Past {
    let grid = span.steps_until(Timestamp::from_ms(1_767_323_045_678));
    let found = steps.iter().map(|(step, traffic)| (grid.first + grid.length * *step, *traffic));
    Past::of(span, grid, found.collect())
}

fn tried(succeeded: u64, failed: u64, duration_ms: u64) -> Traffic {
    let duration = Duration::from_millis(duration_ms);
    Traffic { succeeded, failed, duration, duration_max: duration, ..Traffic::default() }
}

#[test]
fn bars_are_stacked_and_said_in_words_and_in_a_table() {
    let past = past(Span::Day, &[(0, tried(150, 50, 0)), (23, tried(0, 1, 0))]);
    let shown = attempts(&past).into_string();
    assert!(
        shown.contains("aria-label=\"Attempts, last 24 hours: 150 succeeded, 51 failed.\""),
        "{shown}"
    );
    // 200 is the top of the axis.
    assert!(
        shown.contains("<rect class=\"good\" x=\"2\" width=\"16\" y=\"40\" height=\"120\">"),
        "{shown}"
    );
    assert!(
        shown.contains("<rect class=\"bad\" x=\"2\" width=\"16\" y=\"0\" height=\"40\">"),
        "{shown}"
    );
    // One of 200 would be less than can be seen.
    assert!(
        shown.contains("<rect class=\"bad\" x=\"462\" width=\"16\" y=\"158\" height=\"2\">"),
        "{shown}"
    );
    assert!(
        shown.contains("<title>From 1 Jan, 04:00 UTC: 150 succeeded, 50 failed</title>"),
        "{shown}"
    );
    assert_eq!(shown.matches("<tr>").count(), 3, "a head, and the steps that have something");
    assert!(shown.contains("datetime=\"2026-01-01T04:00:00.000Z\""), "{shown}");
    for tick in ["200", "150", "100", "50", "0"] {
        assert!(shown.contains(&format!("<span>{tick}</span>")), "{tick}: {shown}");
    }
    assert!(!shown.contains("style="), "the policy of our pages forbids it");
}

#[test]
fn line_is_broken_where_nothing_was_tried_and_one_point_alone_is_a_dot() {
    let steps =
        [(0, tried(1, 0, 100)), (1, tried(2, 0, 100)), (2, tried(0, 0, 0)), (3, tried(0, 1, 200))];
    let shown = response_time(&past(Span::Hour, &steps)).into_string();
    // 200 ms is the top.
    assert!(shown.contains("d=\"M10 80L30 120\""), "{shown}");
    assert!(shown.contains("d=\"M70 0h0\""), "{shown}");
    assert!(shown.contains("Response time, last hour: 100 ms on the whole."), "{shown}");

    let one = success(&past(Span::Hour, &[(11, tried(3, 1, 0))])).into_string();
    assert!(one.contains("d=\"M230 40h0\""), "{one}");
    assert!(one.contains("75.0 %") && one.contains("<span>100 %</span>"), "{one}");
}

#[test]
fn nothing_is_said_and_not_drawn() {
    for span in [Span::Hour, Span::Day, Span::Week, Span::Month] {
        let past = past(span, &[]);
        for shown in [attempts(&past), deliveries(&past), success(&past), response_time(&past)] {
            let shown = shown.into_string();
            assert!(shown.contains("Nothing was tried in the last"), "{shown}");
            assert!(!shown.contains("<svg"), "{shown}");
        }
    }
}

#[test]
fn large_numbers_stay_within_the_drawing() {
    let most = Traffic { delivered: u64::MAX / 2, exhausted: 1, ..Traffic::default() };
    let shown = deliveries(&past(Span::Month, &[(29, most)])).into_string();
    assert!(shown.contains("Days of UTC") && shown.contains("bn</span>"), "{shown}");
    assert!(shown.contains("9,223,372,036,854,775,807"), "{shown}");
    let day = |hours| Day { sum: tried(3, 1, 0), hours };
    let spark = sparkline(&day(vec![tried(u64::MAX / 2, 1, 0), tried(0, 0, 0)])).into_string();
    assert!(spark.contains("y=\"1\" height=\"27\"") && spark.contains("class=\"bad\""), "{spark}");
    assert!(sparkline(&day(Vec::new())).into_string().contains("viewBox=\"0 0 5 28\""));
}

#[test]
fn labels_are_few_and_are_times_that_script_can_turn() {
    let traffic = [(0, tried(1, 0, 1))];
    let week = attempts(&past(Span::Week, &traffic)).into_string();
    assert_eq!(week.matches("data-shows=\"day-clock\"").count(), 7);
    assert!(week.contains("data-time=\"2025-12-26T06:00:00.000Z\""), "{week}");
    assert!(week.contains("26 Dec\n06:00"), "{week}");
    let month = attempts(&past(Span::Month, &traffic)).into_string();
    assert!(!month.contains("data-time"), "days of UTC are none of another zone: {month}");
    assert!(month.contains("<span>4 Dec</span>"), "{month}");
}
