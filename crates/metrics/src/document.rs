//! `docs/metrics.md`, made of the definitions.

use std::fmt::Write as _;

use crate::CALLBACKS_MAX_DEFAULT;
use crate::definitions::{self, Definition, Kind, Label, Values};

/// What the document says before the list.
const ABOUT: &str = "# Metrics

Each process tells what it counted at `GET /metrics`, in Prometheus' text format and without a key: where it listens, or at
`metrics_listen`, where nothing else is served but health. `serve` has all of what follows. What to watch and when to wake
somebody is in [monitoring.md](monitoring.md).

This page is made of the code: `cargo xtask docs` writes it, `cargo xtask check` fails if it is stale, or if a dashboard, an
alert or a runbook names a metric or a label that does not exist.

**Counters begin at 0 when a process starts.** Take `rate()` or `increase()`, and the sum over all processes. Attempts and
deliveries are counted once they are recorded, by the process that recorded them, so the sums agree with the history. If a
process dies between a request and its record, the receiver has seen one request more. What is repeated because of a crash
is counted each time that it is recorded.

**Every delivery counts**, be it of an event, a test, a replay or an operational event; and each time that it comes to its
end: one that is exhausted and then tried again by hand ends twice.

**Gauges of what is shared** (`ringback_queue_messages`, `ringback_deliveries_overdue`, `ringback_oldest_pending_seconds`) are
asked for every 5 s, by each console for itself: take the maximum. What can't be asked is not there, rather than what was
true once; `ringback_dependency_up` is 0 then. Circuits are each worker's own, so take the maximum there, too.

";

/// What it says of the label `callback`.
const CALLBACKS: &str = "## The label `callback`

It is the callback's id. A callback has series from the first thing that is counted of it, all outcomes, statuses and reasons
at 0 together, so that a rate sees a failure that is the first of its kind; not one that is the first of all. The first
CALLBACKS_MAX callbacks of a process have series of their own
([`metrics_callbacks_max`](settings.md)); all others, and those that are deleted, count together as `callback=\"other\"`.
A callback's series go within seconds after it is deleted; the next one without any takes its place. About 50 series are
made for each: a scrape with 10,000 callbacks has half a million lines, so give Prometheus time for that, or lower the
setting. It is written down once a second at the most: who asks again within it is told the same.

";

/// The whole document.
#[must_use]
pub fn document() -> String {
    let mut text = ABOUT.to_owned();
    text.push_str("| metric | type | labels | of |\n| --- | --- | --- | --- |\n");
    for definition in definitions::ALL {
        let Definition { name, kind, labels, roles, .. } = definition;
        let labels: Vec<_> = labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let labels = labels.join(", ");
        line(
            &mut text,
            format_args!("| [`{name}`](#{name}) | {} | {labels} | {roles} |", kind.as_str()),
        );
    }
    line(&mut text, format_args!("| `process_…` | | | all |\n"));
    text.push_str(&CALLBACKS.replace("CALLBACKS_MAX", &CALLBACKS_MAX_DEFAULT.to_string()));
    text.push_str("## Each of them\n\n");
    for definition in definitions::ALL {
        one(&mut text, definition);
    }
    text.push_str(
        "### `process_…`\n\nOf the process, as Prometheus' client libraries name them: `process_cpu_seconds_total`, \
         `process_resident_memory_bytes`,\n`process_virtual_memory_bytes`, `process_open_fds`, `process_max_fds`, \
         `process_threads`, `process_start_time_seconds`.\n",
    );
    text
}

fn one(text: &mut String, definition: &Definition) {
    line(text, format_args!("### {}\n\n{}\n", definition.name, definition.help));
    for Label { name, values } in definition.labels {
        match values {
            Values::These(values) => {
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                line(text, format_args!("- `{name}`: {}", values.join(", ")));
            }
            Values::Callback => {
                line(
                    text,
                    format_args!("- `{name}`: [a callback's id](#the-label-callback), or `other`"),
                );
            }
            Values::Text(what) => line(text, format_args!("- `{name}`: {what}")),
        }
    }
    if let Kind::Histogram { bounds } = definition.kind {
        let bounds: Vec<_> = bounds.iter().map(ToString::to_string).collect();
        line(text, format_args!("- buckets up to: {}", bounds.join(", ")));
    }
    if !definition.labels.is_empty() {
        text.push('\n');
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes it");
}
