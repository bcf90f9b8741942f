//! Which index serves which query.

use ringback_core::{Account, EventId, Timestamp};
use ringback_sqlite::Database;
use sqlx::Row as _;

use super::{SqliteHarness, callback};
use crate::conformance::sample_replay;
use crate::sql;
use crate::sqlite::history;
use crate::sqlite::values::Values;
use crate::{Cursor, DeliveryQuery, EventQuery, EventSearch, Replay, StatusFilter, VariableIs};

/// How SQLite goes about a query.
async fn plan(database: &Database, sql: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(database.readers())
        .await
        .expect("a query");
    let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
    steps.collect::<Vec<_>>().join("; ")
}

async fn assert_runs_along(database: &Database, sql: &str, index: &str) {
    let plan = plan(database, sql).await;
    let reads_all = plan.contains("SCAN delivery") && !plan.contains("SCAN delivery USING INDEX");
    let sorts = plan.contains("TEMP B-TREE");
    assert!(plan.contains(index) && !reads_all && !sorts, "{sql}: {plan}");
}

#[tokio::test]
async fn every_list_of_deliveries_runs_along_an_index() {
    let harness = SqliteHarness::new().await;
    let of = DeliveryQuery::default;
    let account: Option<Account> = Some("acme".parse().expect("an account"));
    let status = |status| DeliveryQuery { status: Some(status), ..of() };
    for (query, index) in [
        (of(), "delivery_by_time"),
        (DeliveryQuery { account: account.clone(), ..of() }, "delivery_by_account"),
        (DeliveryQuery { callback: Some(callback(1).id), ..of() }, "delivery_by_callback"),
        (status(StatusFilter::Pending), "delivery_undelivered"),
        (status(StatusFilter::Exhausted), "delivery_undelivered"),
        (status(StatusFilter::Cancelled), "delivery_undelivered"),
        (status(StatusFilter::Delivered), "delivery_by_time"),
    ] {
        let statement = sql::deliveries::<Values>(&query, 50, Some(&cursor()));
        assert_runs_along(harness.database(), &statement.sql, index).await;
    }
    for undelivered in [StatusFilter::Pending, StatusFilter::Exhausted, StatusFilter::Cancelled] {
        let of_account = DeliveryQuery { account: account.clone(), ..status(undelivered) };
        let of_callback = DeliveryQuery { callback: Some(callback(1).id), ..status(undelivered) };
        for (query, index) in [
            (of_account, "delivery_undelivered_of_account (account=? AND status=?"),
            (of_callback, "delivery_undelivered_of_callback (callback_id=? AND status=?"),
        ] {
            let statement = sql::deliveries::<Values>(&query, 50, Some(&cursor()));
            assert_runs_along(harness.database(), &statement.sql, index).await;
            let statement = sql::count_deliveries::<Values>(&query, 1_000);
            assert_runs_along(harness.database(), &statement.sql, index).await;
        }
    }
    // One event's few deliveries may be sorted, whatever else is asked of them.
    let event = Some(EventId::from_uuid(uuid::Uuid::nil()));
    let to = Some(callback(1).id);
    for query in [
        DeliveryQuery { event, ..of() },
        DeliveryQuery { event, account: account.clone(), ..of() },
        DeliveryQuery { event, account: account.clone(), ..status(StatusFilter::Pending) },
        DeliveryQuery { event, callback: to, account, ..status(StatusFilter::Exhausted) },
    ] {
        for statement in [
            sql::deliveries::<Values>(&query, 50, Some(&cursor())),
            sql::count_deliveries::<Values>(&query, 50),
        ] {
            let plan = plan(harness.database(), &statement.sql).await;
            assert!(plan.contains("delivery_by_event"), "{}: {plan}", statement.sql);
        }
    }
}

#[tokio::test]
async fn every_list_of_events_runs_along_an_index() {
    let harness = SqliteHarness::new().await;
    let account: Option<Account> = Some("acme".parse().expect("an account"));
    let variable = VariableIs { name: "ID".to_owned(), value: "178".to_owned() };
    let search = EventSearch { variable: Some(variable), ..EventSearch::default() };
    for (search, index) in [
        (search.clone(), "event_by_time"),
        (EventSearch { account: account.clone(), ..search }, "event_by_account"),
    ] {
        let place = (Some(&cursor()), Some(Timestamp::EPOCH));
        let statement = sql::search_events::<Values>(&search, 50, place, "instr");
        assert_runs_along(harness.database(), &statement.sql, index).await;
        let statement = sql::bound_of_search::<Values>(&search, 50, Some(&cursor()));
        let covering = format!("COVERING INDEX {index}");
        assert_runs_along(harness.database(), &statement.sql, &covering).await;
    }
    for (query, index) in [
        (EventQuery::default(), "event_by_time"),
        (EventQuery { account, ..EventQuery::default() }, "event_by_account"),
    ] {
        let statement = sql::events::<Values>(&query, 50, Some(&cursor()));
        assert_runs_along(harness.database(), &statement.sql, index).await;
    }
}

#[tokio::test]
async fn what_is_pending_is_found_along_indexes() {
    let harness = SqliteHarness::new().await;
    let account = "acme".parse().expect("an account");
    for (statement, index) in [
        (sql::oldest_pending::<Values>(None), "INDEX delivery_undelivered (status=?"),
        (
            sql::oldest_pending::<Values>(Some(&account)),
            "delivery_undelivered_of_account (account=? AND status=?",
        ),
        (sql::ahead::<Values>(callback(1).id, 50), "delivery_ahead"),
    ] {
        assert_runs_along(harness.database(), &statement.sql, index).await;
    }
}

#[tokio::test]
async fn many_at_once_are_found_along_indexes() {
    let harness = SqliteHarness::new().await;
    for (sql, index) in [
        (history::open_circuits_of(2), "delivery_ahead"),
        (history::last_outcomes_of(2), "sqlite_autoindex_attempt_1"),
    ] {
        assert_runs_along(harness.database(), &sql, index).await;
    }
}

#[tokio::test]
async fn traffic_is_found_along_indexes() {
    let harness = SqliteHarness::new().await;
    let of_callbacks = "traffic_by_time (kind=? AND step_ms=? AND at_ms>?";
    let old = "traffic_by_time (kind=? AND step_ms=? AND at_ms<?";
    for (sql, index) in [
        (sql::TRAFFIC, "(kind=? AND subject=? AND step_ms=? AND at_ms>?"),
        (sql::TRAFFIC_OF_CALLBACKS, of_callbacks),
        (sql::DELETE_SHORT_STEPS, old),
        (sql::DELETE_SHORT_STEPS, "(kind=? AND subject=? AND step_ms=? AND at_ms=?"),
        (sql::DELETE_OLD[2], old),
    ] {
        let plan = plan(harness.database(), sql).await;
        assert!(plan.contains(index) && !plan.contains("SCAN traffic"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn what_is_parked_is_found_along_its_index() {
    let harness = SqliteHarness::new().await;
    assert_runs_along(harness.database(), sql::PARKED, "delivery_parked").await;
    let resumed = format!("SELECT id {}", sql::RESUMED_WITH_PARKED);
    assert_runs_along(harness.database(), &resumed, "delivery_parked").await;
}

#[tokio::test]
async fn retention_runs_along_indexes() {
    let harness = SqliteHarness::new().await;
    let keys = [("id".into(), "account".into()), ("id".into(), "account".into())];
    let delete_events = sql::delete_events::<Values>(&keys).sql;
    let delete_deliveries = sql::delete_deliveries::<Values>(&keys).sql;
    let delete_attempts = sql::delete_attempts::<Values>(&["id".into()]).sql;
    for (sql, index) in [
        (sql::DELETABLE_EVENTS, "event_by_time"),
        (sql::DELETABLE_EVENTS, "delivery_by_event"),
        (&delete_events, "sqlite_autoindex_event_1"),
        (&delete_events, "delivery_by_event"),
        (&delete_deliveries, "delivery_by_event"),
        (&delete_attempts, "sqlite_autoindex_attempt_1"),
    ] {
        assert_runs_along(harness.database(), sql, index).await;
    }
}

#[tokio::test]
async fn what_is_cancelled_or_replayed_is_found_along_indexes() {
    let harness = SqliteHarness::new().await;
    assert_runs_along(harness.database(), sql::CANCEL_EVENT, "delivery_by_event").await;
    // The few that are not finished may be sorted.
    let free = plan(harness.database(), sql::FREE_REPLAY).await;
    assert!(free.contains("replay_open"), "{free}");
    for (change, index) in [
        ((|_| {}) as fn(&mut Replay), "delivery_undelivered"),
        (|job| job.filter.status = StatusFilter::Delivered, "delivery_by_time"),
        (|job| job.filter.callback = Some(callback(1).id), "delivery_"),
        (|job| job.filter.account = Some("acme".parse().expect("an account")), "delivery_"),
    ] {
        let mut job = sample_replay();
        job.cursor = Some(cursor());
        change(&mut job);
        let statement = sql::replayable::<Values>(&job, 50, sql::Parts::default()).sql;
        let (_, found) = statement.split_once("FROM (").expect("deliveries are found first");
        let (found, _) = found.split_once(") AS found").expect("and joined then");
        assert_runs_along(harness.database(), found, index).await;
    }
}

fn cursor() -> Cursor {
    Cursor { at: Timestamp::EPOCH, id: "x".to_owned() }
}
