//! Whether a job may be attempted now, and what becomes of it if not.

use std::time::Duration;

use ringback_core::Timestamp;
use ringback_core::callback::CallbackState;
use ringback_core::delivery::{CancelReason, WaitReason};
use ringback_core::rate;

use super::Pipeline;
use crate::circuit::{Asking, NotNow, Pass};
use crate::directory::{Entry, Listing};
use crate::gate::Place;
use crate::job::Job;
use crate::waits::{put_off_by, spread};

/// A retry by hand is looked at again so often while its callback is paused.
const PAUSED_WAIT: Duration = Duration::from_secs(60);

/// What becomes of a job now.
pub(super) enum Admission<'a> {
    /// It is attempted.
    Go(Leave<'a>),
    /// It comes back after a while.
    PutOff(WaitReason, Duration),
    /// It comes back then: its event is to be delivered later.
    Schedule(Timestamp),
    /// It is kept until its callback is resumed.
    Park,
    /// It comes back at once: its claim may run out during the attempt.
    ClaimAgain,
    /// It is given up on.
    Cancel(CancelReason),
}

/// Leave to make one attempt.
pub(super) struct Leave<'a> {
    pub(super) entry: &'a Entry,
    /// Its circuit's, which wants to hear what came of it.
    pub(super) pass: Pass,
    /// Among its callback's requests under way.
    pub(super) place: Place,
}

impl Pipeline {
    /// Asks who may turn it away for longest first. The rate limit comes last: a request that it counted is sent.
    pub(super) async fn admit<'a>(&self, job: &Job, listing: &'a Listing) -> Admission<'a> {
        let Some(entry) = listing.get(job.target.callback) else {
            return Admission::Cancel(CancelReason::CallbackDeleted);
        };
        let callback = &entry.callback;
        let by_hand = job.target.is_by_hand();
        // Whether its callback is paused is asked when its time has come.
        if let Some(due) = job.scheduled_for(self.clock.now())
            && callback.state.is_enabled()
        {
            return Admission::Schedule(due);
        }
        match callback.state {
            CallbackState::Enabled => {}
            // It is asked for to learn whether the callback can be resumed.
            CallbackState::Paused if job.target.is_trial() => {}
            CallbackState::Disabled(_) => {
                return Admission::Cancel(CancelReason::CallbackDisabled);
            }
            // The history may know its delivery as settled, and would not take it back as pending: parked, it would be
            // nowhere.
            CallbackState::Paused if by_hand => {
                return Admission::PutOff(WaitReason::Paused, PAUSED_WAIT);
            }
            CallbackState::Paused => return Admission::Park,
        }
        let put_off_again = || put_off_by(job.target.deferrals.saturating_add(1));
        let asking = if by_hand { Asking::ByHand } else { Asking::InTurn };
        let pass = match entry.circuit.admit(&callback.circuit, asking, self.clock.now()) {
            Ok(pass) => pass,
            Err(NotNow::Open { left }) => {
                let wait = left + spread(callback.circuit.open_for / 4);
                return Admission::PutOff(WaitReason::CircuitOpen, wait);
            }
            Err(NotNow::Probing) => {
                return Admission::PutOff(WaitReason::CircuitOpen, put_off_again());
            }
        };
        let Some(place) = entry.gate.admit(self.room.available_permits()).await else {
            let wait = entry.gate.put_off().unwrap_or_else(put_off_again);
            return Admission::PutOff(WaitReason::Concurrency, wait);
        };
        // After all that may take long: a wait for the history or for a place, or a process that stood still.
        if job.claim_is_old(self.clock.now()) {
            return Admission::ClaimAgain;
        }
        let comes_back = job.target.deferrals > 0;
        let asking = if comes_back { rate::Asking::Again } else { rate::Asking::First };
        match self.rates.pace(entry, asking).await {
            Ok(()) => Admission::Go(Leave { entry, pass, place }),
            Err(wait) => Admission::PutOff(WaitReason::RateLimit, wait),
        }
    }
}
