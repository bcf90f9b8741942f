//! A row in PostgreSQL for each delivery: primary key, two more indexes, batches by UNNEST.

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

const TABLES: &str = "
    CREATE TABLE attempts (
        id TEXT PRIMARY KEY,
        event_id TEXT NOT NULL,
        callback_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        status INTEGER NOT NULL,
        duration_ms BIGINT NOT NULL,
        response TEXT NOT NULL,
        at_ms BIGINT NOT NULL
    );
    CREATE INDEX attempts_by_event ON attempts (event_id);
    CREATE INDEX attempts_by_callback ON attempts (callback_id, at_ms);
";

const INSERT: &str = "
    INSERT INTO attempts (id, event_id, callback_id, number, status, duration_ms, response, at_ms)
    SELECT * FROM UNNEST(
        $1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INT[], $5::INT[], $6::BIGINT[], $7::TEXT[], $8::BIGINT[]
    )
    ON CONFLICT (id) DO NOTHING
";

/// What is kept of an answer: about 100 bytes.
const RESPONSE: &str = r#"{"date":"Sun, 22 Nov 2026 00:00:00 GMT","content-length":"0","server":"a receiver of events","body":""}"#;

/// What is written down of a delivery.
pub(super) struct Row {
    pub(super) event_id: String,
    pub(super) target: u16,
    pub(super) status: u16,
    pub(super) duration_ms: i64,
    pub(super) at_ms: i64,
}

pub(crate) async fn create_tables(database_url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    connection.execute(AssertSqlSafe(TABLES)).await?;
    Ok(connection.close().await?)
}

/// How many rows there are.
pub(crate) async fn count_rows(database_url: &str) -> Result<u64> {
    let mut connection = PgConnection::connect(database_url).await?;
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM attempts").fetch_one(&mut connection).await?;
    Ok(u64::try_from(count)?)
}

pub(super) struct Rows(PgConnection);

impl Rows {
    pub(super) async fn connect(database_url: &str) -> Result<Self> {
        Ok(Self(PgConnection::connect(database_url).await?))
    }

    /// Returns once they are committed.
    pub(super) async fn insert(&mut self, rows: &[Row]) -> Result<()> {
        let texts = |of: &dyn Fn(&Row) -> String| rows.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: &dyn Fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<_>>();
        let id = |row: &Row| format!("{}-{}", row.event_id, row.target);
        let callback = |row: &Row| format!("callback-{:023}", row.target);
        sqlx::query(INSERT)
            .bind(texts(&id))
            .bind(texts(&|row| row.event_id.clone()))
            .bind(texts(&callback))
            .bind(vec![1_i32; rows.len()])
            .bind(rows.iter().map(|row| i32::from(row.status)).collect::<Vec<_>>())
            .bind(numbers(&|row| row.duration_ms))
            .bind(vec![RESPONSE; rows.len()])
            .bind(numbers(&|row| row.at_ms))
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}
