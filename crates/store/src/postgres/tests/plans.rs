//! Which index serves which query, and which days are looked at.

use std::sync::Arc;
use std::time::Duration;

use ringback_core::delivery::{Delivery, DeliveryState};
use ringback_core::{Event, EventId};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::PostgresHarness;
use crate::conformance::{
    Harness as _, sample_callback, sample_history, sample_history_at, sample_moment,
};
use crate::postgres::values::{Id, Values};
use crate::postgres::{history, statements};
use crate::sql::{self, Statement};
use crate::{
    Cursor, DeliveryQuery, EventQuery, EventSearch, HistoryRecord, StatusFilter, VariableIs,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A database with something in three days.
async fn filled() -> PostgresHarness {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    let mut records = Vec::new();
    for number in 0..6_000_u32 {
        let accepted_at =
            sample_moment() - DAY * (number % 3) + Duration::from_millis(number.into());
        for record in sample_history_at(number, accepted_at) {
            records.push(spread(record, number));
        }
    }
    store.record(records).await.expect("recorded");
    harness.sql("ANALYZE").await;
    harness
}

/// Of many accounts and callbacks, and some of each not delivered.
fn spread(record: HistoryRecord, number: u32) -> HistoryRecord {
    let account = format!("account-{}", number % 50).parse().expect("an account");
    match record {
        HistoryRecord::Event(event) => {
            HistoryRecord::Event(Arc::new(Event { account, ..(*event).clone() }))
        }
        HistoryRecord::Delivery { delivery, attempt, first } => {
            let mut delivery = (*delivery).clone();
            delivery.account = account;
            delivery.callback = sample_callback(u8::try_from(number % 200).expect("small")).id;
            delivery.state = match number / 200 {
                0 => DeliveryState::Pending { next_attempt_at: delivery.created_at, waits: None },
                1 => DeliveryState::Exhausted,
                _ => delivery.state,
            };
            HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt, first }
        }
    }
}

/// How PostgreSQL goes about a query.
async fn plan(harness: &PostgresHarness, sql: &str, values: Values) -> String {
    plan_with("", harness, sql, values).await
}

async fn plan_with(
    settings: &'static str,
    harness: &PostgresHarness,
    sql: &str,
    values: Values,
) -> String {
    let mut connection = harness.database().connect().await.expect("connected");
    sqlx::raw_sql(settings).execute(&mut connection).await.expect("set");
    let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {sql}"));
    let rows = sqlx::query_with(explain, values.0).fetch_all(&mut connection).await;
    let rows = rows.expect("a query");
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// Along this index in the days that have rows, without reading or sorting all.
async fn assert_runs_along(harness: &PostgresHarness, statement: Statement<Values>, index: &str) {
    // There is too little in it for the planner to choose by itself: what can be chosen is the question.
    let settings = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off";
    let plan = plan_with(settings, harness, &statement.sql, statement.values).await;
    for day in ["2025_12_31", "2026_01_01", "2026_01_02"] {
        let scans = plan.lines().filter(|line| line.contains("Scan") && line.contains(day));
        let scans: Vec<_> = scans.collect();
        assert!(!scans.is_empty(), "{day}: {plan}");
        assert!(scans.iter().all(|scan| scan.contains(index)), "{index}: {plan}");
    }
    let sorts = |line: &str| line.trim_start().trim_start_matches("->").trim() == "Sort";
    assert!(!plan.lines().any(sorts), "{plan}");
}

#[tokio::test]
async fn every_list_runs_along_an_index() {
    let harness = filled().await;
    let of = DeliveryQuery::default;
    let account = Some("account-7".parse().expect("an account"));
    let cursor = Cursor { at: sample_moment() + DAY, id: "x".to_owned() };
    let status = |status| DeliveryQuery { status: Some(status), ..of() };
    for (query, index) in [
        (of(), "_created_at_ms_idx"),
        (DeliveryQuery { account: account.clone(), ..of() }, "_account_created_at_ms_idx"),
        (
            DeliveryQuery { callback: Some(sample_callback(3).id), ..of() },
            "_callback_id_created_at_ms_idx",
        ),
        (status(StatusFilter::Pending), "_status_created_at_ms_idx"),
        (status(StatusFilter::Exhausted), "_status_created_at_ms_idx"),
        (status(StatusFilter::Cancelled), "_status_created_at_ms_idx"),
        (status(StatusFilter::Delivered), "_created_at_ms_idx"),
        (
            DeliveryQuery { account: account.clone(), ..status(StatusFilter::Exhausted) },
            "_account_status_created_at_ms_idx",
        ),
        (
            DeliveryQuery {
                callback: Some(sample_callback(3).id),
                ..status(StatusFilter::Exhausted)
            },
            "_callback_id_status_created_at_ms_idx",
        ),
    ] {
        // What is counted of all, or of most, may be read in any order.
        if index.contains("status") {
            let count = sql::count_deliveries(&query, 1_000);
            assert_runs_along(&harness, count, index).await;
        }
        assert_runs_along(&harness, sql::deliveries(&query, 50, Some(&cursor)), index).await;
    }
    for (query, index) in [
        (EventQuery::default(), "_accepted_at_ms_idx"),
        (EventQuery { account, ..EventQuery::default() }, "_account_accepted_at_ms_idx"),
    ] {
        assert_runs_along(&harness, sql::events(&query, 50, Some(&cursor)), index).await;
    }
}

#[tokio::test]
async fn searches_and_what_is_pending_run_along_indexes() {
    let harness = filled().await;
    let account = "account-7".parse().expect("an account");
    let cursor = Cursor { at: sample_moment() + DAY, id: "x".to_owned() };
    let variable = VariableIs { name: "ID".to_owned(), value: "178".to_owned() };
    let search = EventSearch { variable: Some(variable), ..EventSearch::default() };
    let bound = sql::bound_of_search(&search, 50, Some(&cursor));
    let place = (Some(&cursor), Some(sample_moment() - DAY * 9));
    let found = sql::search_events(&search, 50, place, "strpos");
    for (statement, index) in [
        (bound, "_accepted_at_ms_idx"),
        (found, "_accepted_at_ms_idx"),
        (sql::oldest_pending(None), "_status_created_at_ms_idx"),
        (sql::oldest_pending(Some(&account)), "_account_status_created_at_ms_idx"),
        (sql::ahead(sample_callback(3).id, 50), "_callback_id_next_attempt_at_ms_idx"),
    ] {
        assert_runs_along(&harness, statement, index).await;
    }
}

#[tokio::test]
async fn many_at_once_and_what_is_late_run_along_indexes() {
    let harness = filled().await;
    let tried = records_of(sample_history(1));
    let late = Values::none().and(sample_moment().ms()).and(sample_moment().ms());
    for (sql, values, index) in [
        (
            statements::open_circuits(),
            history::callbacks(&[sample_callback(3).id]),
            "_callback_id_next_attempt_at_ms_idx",
        ),
        (statements::last_outcomes(), history::last_attempts(&tried), "attempt_2026_01_02_pkey"),
        (sql::backlog(statements::BACKLOG), late, "_reason_next_attempt_at_ms_idx"),
    ] {
        let plan = plan(&harness, &sql, values).await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan on delivery_2026"), "{plan}");
        assert!(!plan.contains("Seq Scan on attempt_2026"), "{plan}");
    }
}

#[tokio::test]
async fn last_outcome_is_that_of_the_same_day() {
    let harness = PostgresHarness::new().await;
    let store = harness.store();
    let next_day = sample_moment() + DAY;
    let [today, tomorrow] = [sample_history(1), sample_history_at(1, next_day)];
    let mut deliveries = records_of(today.clone());
    deliveries.extend(records_of(tomorrow.clone()));
    store.record(today).await.expect("recorded");
    store.record(without_attempts(tomorrow)).await.expect("recorded");
    assert_eq!(deliveries[0].id, deliveries[1].id, "it was sent again a day later");
    let found = store.last_outcomes(&deliveries).await.expect("read");
    assert!(matches!(found[..], [Some(_), None]), "{found:?}");
}

/// The deliveries among these.
fn records_of(records: Vec<HistoryRecord>) -> Vec<Delivery> {
    let of = |record| match record {
        HistoryRecord::Delivery { delivery, .. } => Some(Delivery::clone(&delivery)),
        HistoryRecord::Event(_) => None,
    };
    records.into_iter().filter_map(of).collect()
}

fn without_attempts(mut records: Vec<HistoryRecord>) -> Vec<HistoryRecord> {
    for record in &mut records {
        if let HistoryRecord::Delivery { attempt, .. } = record {
            *attempt = None;
        }
    }
    records
}

#[tokio::test]
async fn what_is_recorded_is_looked_up_in_one_day_alone() {
    let harness = filled().await;
    let day = crate::postgres::partitions::day_of(sample_moment());
    let values = Values::none().and(day).and(vec![Id(Uuid::nil()), Id(Uuid::max())]);
    let plan = plan(&harness, statements::RECORDED, values).await;
    assert!(plan.contains("delivery_2026_01_02_pkey"), "{plan}");
    assert!(!plan.contains("2026_01_01") && !plan.contains("default"), "{plan}");
}

#[tokio::test]
async fn single_rows_are_found_by_their_keys() {
    let harness = filled().await;
    let id = EventId::from_uuid(Uuid::nil());
    let statement = sql::event::<Values>(id, None);
    let event = plan(&harness, &statement.sql, statement.values).await;
    assert!(event.contains("event_2026_01_02_pkey"), "{event}");
    let query = DeliveryQuery { event: Some(id), ..DeliveryQuery::default() };
    let statement = sql::deliveries::<Values>(&query, 50, None);
    let deliveries = plan(&harness, &statement.sql, statement.values).await;
    assert!(deliveries.contains("delivery_2026_01_02_event_id_idx"), "{deliveries}");
    let values = Values::none().and(Id(Uuid::nil())).and(10_i64);
    let parked = plan(&harness, statements::PARKED, values).await;
    assert!(parked.contains("delivery_2026_01_02_callback_id_created_at_ms_idx1"), "{parked}");
    assert!(!parked.contains("Seq Scan on event_2026"), "{parked}");
}
