//! What every store must do: one function for each sentence of the port. An adapter runs them all with
//! [`store_conformance!`](crate::store_conformance).

mod backlog;
mod catalog;
mod configuration;
mod history;
mod lists;
mod logged_requests;
mod parked;
mod replays;
mod retention;
mod samples;
mod searches;
mod sessions;
mod traffic;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{HistoryRecord, Store};

pub use backlog::*;
pub use catalog::*;
pub use configuration::*;
pub use history::*;
pub use lists::*;
pub use logged_requests::*;
pub use parked::*;
pub use replays::*;
pub use retention::*;
pub use searches::*;
pub use sessions::*;
pub use traffic::*;

/// An adapter with a database of its own.
#[async_trait]
pub trait Harness: Send {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes the store and opens it again, over the same database.
    async fn reopen(&mut self);
}

/// Makes a test of each function of the suite, over a new harness each (`$harness` is an expression that may await).
#[macro_export]
macro_rules! store_conformance {
    ($harness:expr) => {
        $crate::store_conformance! { $harness =>
            callback_comes_back_with_every_field,
            unknown_callback_is_none,
            update_counts_only_if_nothing_changed_meanwhile,
            time_of_change_grows_with_every_update,
            gone_callback_is_disabled_unless_its_owner_changed_it,
            deleted_callback_is_gone_and_deleting_it_again_is_false,
            changes_since_a_revision_are_those_and_no_others,
            callback_that_is_made_again_after_it_was_deleted_is_there,
            revision_is_told_before_a_change_returns,
            refused_change_raises_no_revision,
            callbacks_are_listed_newest_first_and_by_account,
            api_keys_are_kept_until_deleted,
            last_key_for_the_instance_stays,
            configuration_outlives_the_process,
            event_types_come_back_with_every_field,
            change_of_types_is_all_or_nothing,
            account_settings_are_those_that_were_put_last,
            catalog_outlives_the_process,
            events_come_back_with_every_field,
            event_is_found_within_its_account,
            deliveries_come_back_in_every_state,
            attempts_come_back_with_every_outcome,
            delivery_and_its_attempts_are_of_one_moment,
            recording_again_changes_nothing,
            delivery_never_goes_back,
            last_state_of_one_batch_wins,
            recorded_leaves_out_what_is_not_known,
            many_callers_record_at_once,
            live_attempts_are_those_recorded_from_now_on,
            history_outlives_the_process,
            events_are_filtered_by_each_field_and_all_together,
            deliveries_are_filtered_by_each_field_and_all_together,
            pages_stay_right_while_items_are_added,
            what_is_not_due_is_no_backlog,
            oldest_is_due_since_it_could_have_been_delivered,
            overdue_deliveries_are_counted_by_reason,
            overdue_deliveries_are_counted_up_to_a_limit,
            parked_deliveries_are_found_oldest_first_with_their_events,
            parked_delivery_that_goes_on_is_found_no_more,
            resumed_callbacks_with_parked_deliveries_are_those_and_no_others,
            parked_deliveries_are_cancelled_with_the_rest,
            delivery_that_is_let_go_waits_no_more,
            delivery_that_was_written_since_it_was_read_is_not_let_go,
            pending_deliveries_of_one_callback_are_cancelled_and_stay_so,
            pending_delivery_is_cancelled_and_a_settled_one_is_not,
            attempt_under_way_does_not_bring_back_what_was_cancelled_on_request,
            pending_deliveries_of_one_event_are_cancelled_and_no_others,
            replays_of_an_event_are_counted_one_by_one,
            bulk_replay_comes_back_with_every_field,
            bulk_replays_are_listed_newest_first_and_by_account,
            bulk_replay_is_one_owners_until_its_time_is_over,
            bulk_replay_that_ended_is_nobodys,
            replayable_deliveries_are_those_of_the_filter_oldest_first,
            what_changed_since_a_bulk_replay_began_is_none_of_its_own,
            replayable_delivery_without_its_event_says_so,
            retention_deletes_what_is_old_and_all_that_belongs_together,
            retention_keeps_what_is_pending_and_is_not_stopped_by_it,
            logged_request_comes_back_with_every_field,
            last_logged_requests_of_each_account_are_kept,
            retention_deletes_old_logged_requests,
            retention_deletes_bulk_replays_that_ended,
            event_is_found_by_what_a_variable_holds,
            search_goes_on_page_by_page,
            search_looks_at_so_many_events_at_once,
            deliveries_are_counted_up_to_a_limit,
            oldest_pending_delivery_says_since_when,
            what_is_ahead_comes_by_its_next_attempt,
            last_outcomes_are_those_of_the_last_attempts,
            circuits_are_open_where_what_is_next_waits_for_them,
            session_is_good_until_it_expires_or_ends,
            expired_sessions_and_links_are_forgotten,
            console_link_is_redeemed_once,
            traffic_adds_up_by_callback_account_and_step,
            what_was_not_tried_is_no_traffic,
            retention_deletes_old_traffic,
            ready_store_says_so,
        }
    };
    ($harness:expr => $($test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                $crate::conformance::$test(&mut $harness).await;
            }
        )*
    };
}

/// A store that serves says that it is ready.
pub async fn ready_store_says_so(harness: &mut impl Harness) {
    harness.store().ready().await.expect("it serves");
}

/// The beginning of time of these samples: what is numbered `number` was made so many milliseconds later.
#[must_use]
pub fn sample_moment() -> ringback_core::Timestamp {
    samples::at(0)
}

/// A callback like most, for an adapter's own tests.
#[must_use]
pub fn sample_callback(number: u8) -> ringback_core::Callback {
    samples::callback(number)
}

/// An event, its delivery and the one attempt that delivered it, for an adapter's own tests.
#[must_use]
pub fn sample_history(number: u32) -> Vec<HistoryRecord> {
    sample_history_of(&samples::event(number, "acme", "COMMENT_CREATED"))
}

/// The same, of an event that was accepted at another moment.
#[must_use]
pub fn sample_history_at(number: u32, accepted_at: ringback_core::Timestamp) -> Vec<HistoryRecord> {
    let event = samples::event(number, "acme", "COMMENT_CREATED");
    sample_history_of(&ringback_core::Event { accepted_at, ..event })
}

fn sample_history_of(event: &ringback_core::Event) -> Vec<HistoryRecord> {
    let state = ringback_core::delivery::DeliveryState::Delivered;
    let delivery = samples::delivery(event, &samples::callback(1), state, 1);
    let response = samples::response(200, b"ok");
    let attempt = samples::attempt(&delivery, 1, samples::success(), Some(response));
    vec![samples::event_record(event), samples::delivery_record(&delivery, Some(attempt))]
}

/// An event, and its delivery kept for a callback that is paused, for an adapter's own tests.
#[must_use]
pub fn sample_parked(number: u32, to: &ringback_core::Callback) -> Vec<HistoryRecord> {
    let event = samples::event(number, "acme", "COMMENT_CREATED");
    let state = ringback_core::delivery::DeliveryState::Pending {
        next_attempt_at: samples::at(0),
        waits: Some(ringback_core::delivery::WaitReason::Paused),
    };
    let delivery = samples::delivery(&event, to, state, 0);
    vec![samples::event_record(&event), samples::delivery_record(&delivery, None)]
}

/// The attempts of a delivery that is there.
///
/// # Panics
/// If it is not.
pub async fn attempts_of(
    store: &dyn Store,
    delivery: ringback_core::DeliveryId,
) -> Vec<ringback_core::delivery::Attempt> {
    let read = store.delivery_with_attempts(delivery).await.expect("read");
    read.expect("it is there").1
}

/// Fails if two callbacks differ in anything, secrets included.
pub fn assert_same_callback(left: &ringback_core::Callback, right: &ringback_core::Callback) {
    samples::assert_same(left, right);
}
