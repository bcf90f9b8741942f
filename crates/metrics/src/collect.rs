//! From what was counted to what Prometheus reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use crate::Inside;
use crate::callbacks::Numbers;
use crate::cells::{Counter, Durations};
use crate::definitions::{self, Definition, Kind, Values};
use crate::words::{Dependency, Queue, Source};

/// Hands all that is counted to a registry.
pub(crate) struct Everything {
    inside: Arc<Inside>,
    descriptions: Vec<Desc>,
}

impl Everything {
    pub(crate) fn of(inside: Arc<Inside>) -> Self {
        let description = |definition: &&Definition| {
            let labels = definition.labels.iter().map(|label| label.name.to_owned()).collect();
            let (name, help) = (definition.name.to_owned(), definition.help.to_owned());
            Desc::new(name, help, labels, HashMap::new()).expect("the definitions are valid")
        };
        Self { inside, descriptions: definitions::ALL.iter().map(description).collect() }
    }
}

impl Collector for Everything {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let inside = &self.inside;
        let about = &inside.about;
        let mut build = Family::of(&definitions::BUILD_INFO);
        build.gauge(&[about.version, about.role], 1.0);
        let mut families = vec![build];
        families.extend(intake(inside));
        families.extend(callbacks(inside));
        families.extend(worker(inside));
        families.extend(sampled(inside));
        families.into_iter().map(Family::finish).collect()
    }
}

fn intake(inside: &Inside) -> Vec<Family> {
    let Some(intake) = inside.intake.get() else { return Vec::new() };
    let mut accepted = Family::of(&definitions::EVENTS_ACCEPTED);
    let mut repeated = Family::of(&definitions::EVENTS_REPEATED);
    let mut rejected = Family::of(&definitions::EVENTS_REJECTED);
    let mut durations = Family::of(&definitions::ACCEPT_DURATION);
    for (source, numbers) in Source::ALL.into_iter().zip(&intake.sources) {
        accepted.counter(&[source], &numbers.accepted);
        repeated.counter(&[source], &numbers.repeated);
        rejected.counters(source, &numbers.rejected);
        durations.durations(&[source], &numbers.accept_duration);
    }
    vec![accepted, repeated, rejected, durations]
}

/// Of a process without a worker only how deliveries ended: it counts nothing else.
fn callbacks(inside: &Inside) -> Vec<Family> {
    let mut attempts = Family::of(&definitions::ATTEMPTS);
    let mut durations = Family::of(&definitions::ATTEMPT_DURATION);
    let mut deliveries = Family::of(&definitions::DELIVERIES);
    let mut latencies = Family::of(&definitions::DELIVERY_LATENCY);
    let mut in_flight = Family::of(&definitions::IN_FLIGHT);
    let mut retries = Family::of(&definitions::RETRIES);
    let mut circuits = Family::of(&definitions::CIRCUIT);

    let worker = inside.worker();
    // What is left of these at the end has no place of its own.
    let mut states: HashMap<_, _> = worker.iter().flat_map(|worker| (worker.circuits)()).collect();
    for (id, numbers) in inside.callbacks.all() {
        let callback = id.map_or_else(|| "other".to_owned(), |id| id.to_string());
        let Numbers { attempts: made, attempt_duration, deliveries: ended, latency, .. } =
            &*numbers;
        deliveries.counters(&callback, ended);
        if worker.is_none() {
            continue;
        }
        attempts.counters(&callback, made);
        durations.durations(&[&callback], attempt_duration);
        latencies.durations(&[&callback], latency);
        retries.counters(&callback, &numbers.retries);
        in_flight.gauge(&[&callback], numbers.in_flight.load(Ordering::Relaxed) as f64);
        let state = match id {
            Some(id) => states.remove(&id),
            // They come last.
            None => states.values().copied().max(),
        };
        if let Some(state) = state {
            circuits.gauge(&[&callback], state.into());
        }
    }
    vec![attempts, durations, deliveries, latencies, in_flight, retries, circuits]
}

fn worker(inside: &Inside) -> Vec<Family> {
    let Some(worker) = inside.worker() else { return Vec::new() };
    let mut held = Family::of(&definitions::HELD);
    held.gauge(&[], f64::from((worker.held)()));
    let mut held_max = Family::of(&definitions::HELD_MAX);
    held_max.gauge(&[], f64::from(worker.held_max));
    vec![held, held_max]
}

fn sampled(inside: &Inside) -> Vec<Family> {
    let sampled = inside.sampled();
    let mut up = Family::of(&definitions::DEPENDENCY_UP);
    for (dependency, is_up) in Dependency::ALL.into_iter().zip(sampled.up) {
        up.gauge_if(&[dependency], is_up.map(|is_up| if is_up { 1.0 } else { 0.0 }));
    }
    let mut queues = Family::of(&definitions::QUEUE_MESSAGES);
    for (queue, messages) in Queue::ALL.into_iter().zip(sampled.queues) {
        queues.gauge_if(&[queue], messages.map(|messages| messages as f64));
    }
    let mut overdue = Family::of(&definitions::OVERDUE);
    for (reason, count) in sampled.overdue.into_iter().flatten() {
        overdue.gauge(&[reason.as_str()], count as f64);
    }
    let mut oldest = Family::of(&definitions::OLDEST_PENDING);
    let held = inside.worker().map(|worker| inside.held.oldest_age((worker.now)()));
    oldest.gauge_if(&[], sampled.oldest.longest().max(held).map(|age| age.as_secs_f64()));
    vec![up, queues, overdue, oldest]
}

/// One metric with its series.
struct Family {
    definition: &'static Definition,
    series: Vec<Metric>,
}

impl Family {
    fn of(definition: &'static Definition) -> Self {
        Self { definition, series: Vec::new() }
    }

    /// What its last label may say.
    fn last_values(definition: &Definition) -> &'static [&'static str] {
        match definition.labels.last().map(|label| &label.values) {
            Some(Values::These(values)) => values,
            _ => unreachable!("{} ends with a closed set", definition.name),
        }
    }

    fn gauge(&mut self, labels: &[&str], value: f64) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        self.metric(labels).set_gauge(gauge);
    }

    fn gauge_if(&mut self, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.gauge(labels, value);
        }
    }

    fn counter(&mut self, labels: &[&str], number: &Counter) {
        let mut counter = proto::Counter::default();
        counter.set_value(number.get() as f64);
        self.metric(labels).set_counter(counter);
    }

    /// One for each value of the second label.
    fn counters(&mut self, first: &str, numbers: &[Counter]) {
        for (value, number) in Self::last_values(self.definition).iter().zip(numbers) {
            self.counter(&[first, value], number);
        }
    }

    fn durations(&mut self, labels: &[&str], durations: &Durations) {
        let (bounded, all) = durations.cumulated();
        let bucket = |(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(bounded.into_iter().map(bucket).collect());
        histogram.set_sample_count(all);
        histogram.set_sample_sum(durations.sum_seconds());
        self.metric(labels).set_histogram(histogram);
    }

    fn metric(&mut self, values: &[&str]) -> &mut Metric {
        let pair = |(label, value): (&definitions::Label, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let labels = self.definition.labels.iter().zip(values).map(pair).collect();
        self.series.push(Metric::from_label(labels));
        self.series.last_mut().expect("one was pushed")
    }

    fn finish(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.definition.name.to_owned());
        family.set_help(self.definition.help.to_owned());
        family.set_field_type(match self.definition.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram { .. } => MetricType::HISTOGRAM,
        });
        family.set_metric(self.series);
        family
    }
}
