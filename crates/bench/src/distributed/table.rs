//! Figures of several runs, and how they are shown.

use std::ops::Sub;

/// Processor time by process: seconds, or seconds for 10,000 deliveries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) ingest: f64,
    pub(super) worker: f64,
    pub(super) console: f64,
    pub(super) rabbitmq: f64,
    pub(super) redis: f64,
    pub(super) postgres: f64,
    pub(super) receiver: f64,
    pub(super) producers: f64,
    /// Whatever else the machine did. What is measured while it is much is worth little.
    pub(super) others: f64,
}

impl Parts {
    /// What it takes to deliver: all but those who send and receive.
    pub(super) fn system(self) -> f64 {
        self.ingest + self.worker + self.console + self.rabbitmq + self.redis + self.postgres
    }

    /// All that the machine did.
    pub(super) fn machine(self) -> f64 {
        self.system() + self.receiver + self.producers + self.others
    }

    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            ingest: f(self.ingest, other.ingest),
            worker: f(self.worker, other.worker),
            console: f(self.console, other.console),
            rabbitmq: f(self.rabbitmq, other.rabbitmq),
            redis: f(self.redis, other.redis),
            postgres: f(self.postgres, other.postgres),
            receiver: f(self.receiver, other.receiver),
            producers: f(self.producers, other.producers),
            others: f(self.others, other.others),
        }
    }

    /// Seconds, as seconds for 10,000 of `deliveries`.
    pub(super) fn for_10k(self, deliveries: u64) -> Self {
        self.zip(self, |seconds, _| seconds * 10_000.0 / deliveries as f64)
    }
}

impl Sub for Parts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.zip(earlier, |now, then| now - then)
    }
}

/// The median, of an odd number of figures; none of none.
pub(super) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = sorted(figures);
    sorted.get(sorted.len() / 2).copied()
}

/// The median and the range, with so many decimals.
pub(super) fn spread(figures: impl IntoIterator<Item = f64>, decimals: usize) -> String {
    let sorted = sorted(figures);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return "–".to_owned();
    };
    let median = sorted[sorted.len() / 2];
    if sorted.len() == 1 {
        return format!("{median:.decimals$}");
    }
    format!("{median:.decimals$} [{least:.decimals$}–{most:.decimals$}]")
}

/// The median of the ratios within each round, for the machine is not the same in all of them.
pub(super) fn ratio(of: &[f64], to: &[f64]) -> Option<f64> {
    median(of.iter().zip(to).map(|(a, b)| a / b))
}

/// A ratio as it is shown.
pub(super) fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn sorted(figures: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures
}
