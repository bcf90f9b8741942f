//! What is counted of each callback, and of how many callbacks.
//!
//! **Problem.** A label with a callback's id is a look-up for each attempt, and series without end: who makes a thousand
//! callbacks a day would fill the memory of this process and of Prometheus.
//!
//! **Design.** Whoever works with a callback holds its [`CallbackMetrics`], which finds its numbers once, when the first
//! of them is needed. The first 10,000 that need some get a place of their own, with all outcomes at 0, so that a rate
//! sees the first of each kind but the very first; all others share the place `other`. A place is free again when nobody holds it any more, which
//! is when its callback is deleted and nothing of it is under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use ringback_core::delivery::{Attempt, DeliveryState, WaitReason};
use ringback_core::{CallbackId, Outcome};

use crate::cells::{Counter, Durations};
use crate::definitions::{ATTEMPT_DURATION, DELIVERY_LATENCY};
use crate::words::{self, CANCELLED, OUTCOMES, RETRY_REASONS, STATUSES};

/// What is counted of one callback. Counting takes no lock and allocates nothing, but for the first time.
#[derive(Debug)]
pub struct CallbackMetrics {
    /// None: of callbacks that are not known any more.
    id: Option<CallbackId>,
    callbacks: Arc<Callbacks>,
    numbers: OnceLock<Arc<Numbers>>,
}

/// Counts a request as under way as long as it lives.
#[derive(Debug)]
pub struct InFlight(Arc<Numbers>);

/// The numbers of one callback, or of all that have no place of their own.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) attempts: [Counter; OUTCOMES],
    pub(crate) attempt_duration: Durations,
    pub(crate) deliveries: [Counter; STATUSES],
    pub(crate) latency: Durations,
    pub(crate) in_flight: AtomicI64,
    pub(crate) retries: [Counter; RETRY_REASONS],
}

/// All callbacks that something was counted of.
#[derive(Debug)]
pub(crate) struct Callbacks {
    places: Mutex<HashMap<CallbackId, Place>>,
    places_max: usize,
    other: OnceLock<Arc<Numbers>>,
}

#[derive(Debug)]
struct Place {
    numbers: Arc<Numbers>,
    holders: usize,
    /// Somebody counted here who holds nothing, and will say when it is deleted.
    is_kept: bool,
}

impl CallbackMetrics {
    /// A request is sent to it.
    #[must_use]
    pub fn attempt_begins(&self) -> InFlight {
        let numbers = self.numbers().clone();
        numbers.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(numbers)
    }

    /// An attempt is recorded.
    pub fn attempted(&self, attempt: &Attempt) {
        let numbers = self.numbers();
        numbers.attempts[words::outcome(&attempt.outcome)].add(1);
        if !matches!(attempt.outcome, Outcome::Blocked { .. }) {
            numbers.attempt_duration.observe(attempt.duration, 1);
        }
    }

    /// It is recorded where a delivery stands now.
    pub fn stands(&self, state: DeliveryState) {
        if let Some(status) = words::status(state) {
            self.numbers().deliveries[status].add(1);
        }
        if let DeliveryState::Pending { waits: Some(waits), .. } = state {
            self.waits(waits);
        }
    }

    /// So many deliveries are cancelled together.
    pub fn cancelled(&self, deliveries: usize) {
        self.numbers().deliveries[CANCELLED].add(deliveries as u64);
    }

    /// A delivery succeeded so long after its event was accepted, or was to be delivered.
    pub fn delivered_after(&self, latency: Duration) {
        self.numbers().latency.observe(latency, 1);
    }

    fn waits(&self, waits: WaitReason) {
        if let Some(reason) = words::retry_reason(waits) {
            self.numbers().retries[reason].add(1);
        }
    }

    fn numbers(&self) -> &Arc<Numbers> {
        self.numbers.get_or_init(|| match self.id {
            Some(id) => self.callbacks.take_place(id),
            None => self.callbacks.other().clone(),
        })
    }
}

impl Drop for CallbackMetrics {
    fn drop(&mut self) {
        if let (Some(id), Some(numbers)) = (self.id, self.numbers.get()) {
            self.callbacks.leave_place(id, numbers);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Numbers {
    fn new() -> Self {
        Self {
            attempts: Default::default(),
            attempt_duration: Durations::of(&ATTEMPT_DURATION),
            deliveries: Default::default(),
            latency: Durations::of(&DELIVERY_LATENCY),
            in_flight: AtomicI64::new(0),
            retries: Default::default(),
        }
    }
}

impl Callbacks {
    pub(crate) fn new(places_max: usize) -> Arc<Self> {
        Arc::new(Self { places: Mutex::default(), places_max, other: OnceLock::new() })
    }

    /// Takes no place yet.
    pub(crate) fn metrics(self: &Arc<Self>, id: Option<CallbackId>) -> CallbackMetrics {
        CallbackMetrics { id, callbacks: self.clone(), numbers: OnceLock::new() }
    }

    /// So many deliveries are cancelled to a callback that the caller does not hold.
    pub(crate) fn cancelled(&self, id: Option<CallbackId>, deliveries: u64) {
        let mut places = self.lock();
        let place = id.and_then(|id| self.place(&mut places, id));
        let numbers = match place {
            Some(place) => {
                place.is_kept = true;
                &place.numbers
            }
            None => self.other(),
        };
        numbers.deliveries[CANCELLED].add(deliveries);
    }

    /// A callback is deleted: what was counted of it for those who hold nothing goes.
    pub(crate) fn deleted(&self, id: CallbackId) {
        let mut places = self.lock();
        if let Some(place) = places.get_mut(&id) {
            place.is_kept = false;
            if place.holders == 0 {
                places.remove(&id);
            }
        }
    }

    /// All that have a place, and then the others together.
    pub(crate) fn all(&self) -> Vec<(Option<CallbackId>, Arc<Numbers>)> {
        let places = self.lock();
        let of_place = |(id, place): (&CallbackId, &Place)| (Some(*id), place.numbers.clone());
        let others = self.other.get().map(|other| (None, other.clone()));
        places.iter().map(of_place).chain(others).collect()
    }

    fn take_place(&self, id: CallbackId) -> Arc<Numbers> {
        let mut places = self.lock();
        match self.place(&mut places, id) {
            Some(place) => {
                place.holders += 1;
                place.numbers.clone()
            }
            None => self.other().clone(),
        }
    }

    fn place<'a>(
        &self,
        places: &'a mut HashMap<CallbackId, Place>,
        id: CallbackId,
    ) -> Option<&'a mut Place> {
        if places.len() >= self.places_max && !places.contains_key(&id) {
            return None;
        }
        let empty = || Place { numbers: Arc::new(Numbers::new()), holders: 0, is_kept: false };
        Some(places.entry(id).or_insert_with(empty))
    }

    fn leave_place(&self, id: CallbackId, numbers: &Arc<Numbers>) {
        let mut places = self.lock();
        if let Some(place) = places.get_mut(&id)
            && Arc::ptr_eq(&place.numbers, numbers)
        {
            place.holders -= 1;
            if place.holders == 0 && !place.is_kept {
                places.remove(&id);
            }
        }
    }

    fn other(&self) -> &Arc<Numbers> {
        self.other.get_or_init(|| Arc::new(Numbers::new()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallbackId, Place>> {
        self.places.lock().expect("nobody panics holding it")
    }
}
