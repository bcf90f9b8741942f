//! PostgreSQL's rows and values behind the traits of [`crate::rows`].

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef,
};
use sqlx::{Decode, Encode, Postgres, Row as _, Type};
use uuid::Uuid;

use crate::rows::{Bind, Columns};

/// The values of a statement.
#[derive(Default)]
pub(super) struct Values(pub(super) PgArguments);

impl Values {
    /// None.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// These and one more.
    pub(super) fn and<T>(mut self, value: T) -> Self
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        sqlx::Arguments::add(&mut self.0, value).expect("texts, numbers and ids can be encoded");
        self
    }
}

impl Bind for Values {
    fn text<T: AsRef<str>>(&mut self, value: Option<T>) {
        let value = value.as_ref().map(AsRef::as_ref);
        sqlx::Arguments::add(&mut self.0, value).expect("texts can be encoded");
    }

    fn number(&mut self, value: Option<i64>) {
        sqlx::Arguments::add(&mut self.0, value).expect("numbers can be encoded");
    }

    fn id(&mut self, value: Uuid) {
        sqlx::Arguments::add(&mut self.0, Id(value)).expect("ids can be encoded");
    }
}

impl Columns for PgRow {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn id(&self, column: &str) -> Result<Uuid, sqlx::Error> {
        self.try_get(column).map(|Id(uuid)| uuid)
    }
}

/// An id of the history: `UUID`. sqlx has one of its own behind a feature, which would bring its MySQL into the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) Uuid);

/// Of `UUID` and `UUID[]`, in `pg_type`.
pub(super) const UUID_OID: u32 = 2950;
pub(super) const UUIDS_OID: u32 = 2951;

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(UUID_OID))
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(UUIDS_OID))
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Id {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let uuid = match value.format() {
            PgValueFormat::Binary => Uuid::from_slice(value.as_bytes()?)?,
            PgValueFormat::Text => value.as_str()?.parse()?,
        };
        Ok(Self(uuid))
    }
}
