//! What the port promises, a sentence a function. Every adapter runs [`run`].

mod claims;
mod rates;
mod requests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Idempotency;

/// A store under test, empty when it is made.
#[async_trait]
pub trait Harness: Send {
    /// The store.
    fn store(&self) -> Arc<dyn Idempotency>;

    /// Makes what was said so far durable, then has the process that works with the store die and a new one begin.
    /// The old [`store`](Self::store) is of no use any more.
    async fn restart(&mut self);

    /// Moves the store's clock on, or waits if it is that of the system.
    async fn advance(&self, by: Duration);
}

macro_rules! at_once {
    ($make:ident: $($sentence:path),+ $(,)?) => {
        tokio::join!($(Box::pin(async { $sentence($make().await).await })),+)
    };
}

/// Runs the whole suite, each sentence on a store of its own; all at once, as stores whose clock can't be moved make most
/// of them wait.
///
/// # Panics
/// If the adapter breaks a promise.
pub async fn run<H, F>(make: impl Fn() -> F)
where
    H: Harness,
    F: Future<Output = H>,
{
    at_once!(
        make:
        claims::one_of_two_gets_the_claim,
        claims::claim_is_free_again_after_its_lease,
        claims::settled_attempt_is_said_to_be,
        claims::forgotten_attempt_is_free_again,
        claims::late_comer_does_not_touch_the_next_ones_claim,
        requests::first_request_is_new_and_a_repeat_in_progress,
        requests::repeat_of_a_completed_request_gets_its_answer,
        requests::repeat_with_other_contents_is_a_conflict,
        requests::repeat_of_an_abandoned_request_is_new,
        requests::repeat_of_a_request_left_open_is_unfinished,
        requests::request_cut_off_by_a_crash_is_unfinished,
        requests::one_of_many_at_once_is_new,
        requests::keys_are_told_apart_by_kind_and_account,
        requests::key_is_forgotten_after_its_time,
        rates::burst_goes_at_once_and_the_next_after_its_wait,
        rates::callbacks_do_not_share_a_rate,
        rates::those_sent_away_come_back_one_after_the_other,
        rates::quiet_callback_has_its_whole_burst_again,
        rates::who_comes_back_goes_before_who_comes_first,
    );
}
