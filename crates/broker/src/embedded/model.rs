//! The queue against a simple model of it: thousands of random steps, crashes among them.
//!
//! A crash drops the runtime that all tasks of the queue run on, at whatever await each of them stands, and opens the
//! file again. What was not committed is lost then, as with a killed process.

use std::collections::BTreeMap;
use std::time::Duration;

use ringback_testkit::ManualClock;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::tests::{Running, little_room};
use super::*;
use crate::conformance::{dispatch_of, numbers};

const SOON: Duration = Duration::from_secs(10);
const SEEDS: u64 = 20;
const STEPS: u32 = 250;

#[test]
fn queue_does_what_its_model_does() {
    for seed in 1..=SEEDS {
        // Shown if the test fails.
        eprintln!("seed {seed}");
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
        }
        simulation.finish();
    }
}

/// What the model knows of one dispatch.
#[derive(Clone, Copy, Debug)]
struct Known {
    due: Option<Timestamp>,
    promise: Promise,
    /// It was handed out, by this process or an earlier one.
    handed_out: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Confirmed,
    /// Its publish was never answered.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    Held,
    /// Acked in this process: it must not come again.
    Acked,
    /// Acked, but the process died before that was certain to be durable: it may come again.
    PerhapsAcked,
    /// Acked, and the process stopped in good order: it must not come again.
    Gone,
}

struct Simulation {
    random: u64,
    directory: TempDir,
    clock: ManualClock,
    process: Option<(Runtime, Running)>,
    known: BTreeMap<u32, Known>,
    consumers: Vec<Holder>,
    open: Vec<OpenPublish>,
}

/// A consumer, and the messages it has not acked.
struct Holder {
    consumer: Box<dyn Consumer>,
    held: Vec<(Receipt, Vec<u32>)>,
}

/// A publish that nobody waits for.
struct OpenPublish {
    publish: JoinHandle<Result<(), PublishError>>,
    numbers: Vec<u32>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut simulation = Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            directory: tempfile::tempdir().expect("a directory"),
            clock: ManualClock::default(),
            process: None,
            known: BTreeMap::new(),
            consumers: Vec::new(),
            open: Vec::new(),
        };
        simulation.start();
        simulation
    }

    fn start(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let running =
            runtime.block_on(Running::start(self.directory.path(), &self.clock, little_room()));
        self.process = Some((runtime, running));
    }

    fn step(&mut self) {
        match self.below(100) {
            0..20 => self.publish(),
            20..35 => self.publish_without_waiting(),
            35..65 => self.consume(),
            65..80 => self.ack(),
            80..84 => self.drop_consumer(),
            84..94 => {
                let by = Duration::from_millis(self.below(400));
                self.clock.advance(by);
            }
            94..97 => self.crash(),
            97 => self.restart(),
            _ => self.let_it_run(),
        }
    }

    /// All that is promised comes, and nothing else.
    fn finish(&mut self) {
        self.crash();
        self.clock.advance(Duration::from_secs(10));
        while self.must_come() > 0 {
            self.consume();
            while self.ack_one() {}
        }
        self.restart();
        let (runtime, running) = self.process.as_ref().expect("it runs");
        let depth = runtime.block_on(running.broker.depth()).expect("asked");
        let left = depth.fresh + depth.returned + depth.delayed;
        // Of open and perhaps acked ones, there may be some left.
        let may_be_left = self.known.values().filter(|known| {
            known.place == Place::PerhapsAcked
                || (known.place == Place::Waiting && known.promise == Promise::Open)
        });
        assert!(left <= u64::try_from(may_be_left.count()).expect("few"), "{depth:?}");
    }

    fn publish(&mut self) {
        let publish = self.new_publish(Promise::Confirmed);
        let (runtime, _) = self.process.as_ref().expect("it runs");
        let published = runtime.block_on(async { tokio::time::timeout(SOON, publish.0).await });
        published.expect("confirmed in time").expect("confirmed");
    }

    fn publish_without_waiting(&mut self) {
        let (publish, numbers) = self.new_publish(Promise::Open);
        let (runtime, _) = self.process.as_ref().expect("it runs");
        self.open.push(OpenPublish { publish: runtime.spawn(publish), numbers });
    }

    /// A publish of new dispatches, known to the model with this promise, and their numbers.
    fn new_publish(
        &mut self,
        promise: Promise,
    ) -> (impl Future<Output = Result<(), PublishError>> + use<>, Vec<u32>) {
        let delayed = self.below(2) == 0;
        let now = self.clock.now();
        let first = u32::try_from(self.known.len()).expect("few");
        let numbers: Vec<u32> =
            (first..=first + u32::try_from(self.below(6)).expect("few")).collect();
        let mut dues = Vec::new();
        for number in &numbers {
            // Some of them in the past.
            let due = delayed.then(|| {
                now + Duration::from_millis(self.below(1_000)) - Duration::from_millis(100)
            });
            dues.push(due);
            let known = Known { due, promise, handed_out: false, place: Place::Waiting };
            self.known.insert(*number, known);
        }
        let broker = Arc::clone(&self.process.as_ref().expect("it runs").1.broker);
        let made = numbers.clone();
        let publish = async move {
            let with_due = made.iter().zip(dues);
            if delayed {
                let delayed = with_due.filter_map(|(number, due)| {
                    Some(Delayed { due: due?, dispatch: dispatch_of(*number) })
                });
                broker.publish_after(delayed.collect()).await
            } else {
                broker.publish(made.iter().copied().map(dispatch_of).collect()).await
            }
        };
        (publish, numbers)
    }

    /// How many must be handed out now, if somebody asks.
    fn must_come(&mut self) -> usize {
        self.look_at_open();
        let now = self.clock.now();
        // Due times are rounded up to a step.
        let step = Duration::from_millis(20);
        let due = |known: &Known| known.due.is_none_or(|due| due + step <= now);
        let waiting = |known: &&Known| {
            known.place == Place::Waiting && known.promise == Promise::Confirmed && due(known)
        };
        self.known.values().filter(waiting).count()
    }

    fn consume(&mut self) {
        if self.consumers.len() < 3 && (self.consumers.is_empty() || self.below(5) == 0) {
            let (runtime, running) = self.process.as_ref().expect("it runs");
            let consumer = runtime.block_on(running.broker.consume()).expect("always");
            self.consumers.push(Holder { consumer, held: Vec::new() });
        }
        let must_come = self.must_come() > 0;
        let which = self.pick(self.consumers.len());
        let (runtime, _) = self.process.as_ref().expect("it runs");
        let Holder { consumer, held } = &mut self.consumers[which];
        let message = runtime.block_on(async {
            if must_come {
                let message = tokio::time::timeout(SOON, consumer.next()).await;
                Some(message.expect("what was confirmed comes").expect("no shutdown"))
            } else {
                tokio::select! {
                    biased;
                    message = consumer.next() => Some(message.expect("no shutdown")),
                    () = tokio::task::yield_now() => None,
                }
            }
        });
        let Some(message) = message else { return };
        let now = self.clock.now();
        for number in numbers(&message) {
            let known = self.known.get_mut(&number).expect("nothing is invented");
            assert!(known.due.is_none_or(|due| due <= now), "{number} came early: {known:?}");
            assert!(
                matches!(known.place, Place::Waiting | Place::PerhapsAcked),
                "{number} came again: {known:?}"
            );
            assert!(
                message.redelivered || !known.handed_out,
                "{number} came again unmarked: {known:?}"
            );
            known.handed_out = true;
            known.place = Place::Held;
        }
        held.push((message.receipt, numbers(&message)));
    }

    fn ack(&mut self) {
        for _ in 0..=self.below(3) {
            self.ack_one();
        }
    }

    fn ack_one(&mut self) -> bool {
        let holders: Vec<usize> =
            (0..self.consumers.len()).filter(|i| !self.consumers[*i].held.is_empty()).collect();
        if holders.is_empty() {
            return false;
        }
        let holder = holders[self.pick(holders.len())];
        let which = self.pick(self.consumers[holder].held.len());
        let (receipt, numbers) = self.consumers[holder].held.swap_remove(which);
        self.process.as_ref().expect("it runs").1.broker.ack(receipt);
        self.place(&numbers, Place::Acked);
        true
    }

    fn drop_consumer(&mut self) {
        if !self.consumers.is_empty() {
            let which = self.pick(self.consumers.len());
            let Holder { consumer, held } = self.consumers.swap_remove(which);
            drop(consumer);
            for (_, numbers) in held {
                self.place(&numbers, Place::Waiting);
            }
        }
    }

    /// Lets the tasks of the queue get a few steps further.
    fn let_it_run(&mut self) {
        let turns = self.below(20);
        let (runtime, _) = self.process.as_ref().expect("it runs");
        runtime.block_on(async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        });
    }

    fn crash(&mut self) {
        self.let_it_run();
        self.look_at_open();
        self.open.clear();
        let (runtime, running) = self.process.take().expect("it runs");
        drop(runtime);
        drop(running);
        self.consumers.clear();
        for known in self.known.values_mut() {
            known.place = match known.place {
                Place::Waiting | Place::Held => Place::Waiting,
                Place::Acked | Place::PerhapsAcked => Place::PerhapsAcked,
                Place::Gone => Place::Gone,
            };
        }
        self.start();
    }

    fn restart(&mut self) {
        self.look_at_open();
        let (runtime, running) = self.process.take().expect("it runs");
        let open = std::mem::take(&mut self.open);
        runtime.block_on(async {
            running.stop().await;
            for OpenPublish { publish, .. } in open {
                // Answered or refused: what it says of its dispatches is nothing certain.
                let _ = publish.await;
            }
        });
        self.consumers.clear();
        drop(runtime);
        for known in self.known.values_mut() {
            known.place = match known.place {
                Place::Waiting | Place::Held => Place::Waiting,
                Place::Acked | Place::Gone => Place::Gone,
                Place::PerhapsAcked => Place::PerhapsAcked,
            };
        }
        self.start();
    }

    /// Publishes that were answered meanwhile are promises now.
    fn look_at_open(&mut self) {
        let open = std::mem::take(&mut self.open);
        for OpenPublish { publish, numbers } in open {
            if !publish.is_finished() {
                self.open.push(OpenPublish { publish, numbers });
                continue;
            }
            let (runtime, _) = self.process.as_ref().expect("it runs");
            runtime.block_on(publish).expect("no panic").expect("confirmed");
            for number in numbers {
                self.known.get_mut(&number).expect("it was made").promise = Promise::Confirmed;
            }
        }
    }

    fn place(&mut self, numbers: &[u32], place: Place) {
        for number in numbers {
            self.known.get_mut(number).expect("it was handed out").place = place;
        }
    }

    fn pick(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).expect("few"))).expect("few")
    }

    /// A number from 0 to `end`, without it (xorshift).
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % end
    }
}
