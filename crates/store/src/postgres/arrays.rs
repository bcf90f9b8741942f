//! Many rows as a few values: an array for each column, which `UNNEST` makes rows of again.
//!
//! The arrays are written as they go over the wire, so that a value is copied once and nothing is put on the heap for it.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};
use uuid::Uuid;

use super::values::{Id, UUID_OID, Values};
use crate::rows::Bind;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `TEXT`.
    Text,
    /// `BIGINT`.
    Number,
    /// `UUID`.
    Id,
    /// `INTEGER`: exactly what the column is, as a cast would be one more step of the plan.
    Day,
}

/// The columns of some rows. Values are given row by row, in the order of the columns.
pub(super) struct Arrays {
    columns: Vec<Array>,
    next: usize,
}

impl Arrays {
    pub(super) fn of(kinds: &[Kind]) -> Self {
        let columns = kinds.iter().map(|kind| Array::of(*kind)).collect();
        Self { columns, next: 0 }
    }

    pub(super) fn day(&mut self, value: i32) {
        self.next().day(value);
    }

    /// Adds them to the values of a statement.
    pub(super) fn bind(self, values: Values) -> Values {
        debug_assert_eq!(self.next, 0, "the last row is complete");
        self.columns.into_iter().fold(values, Values::and)
    }

    fn next(&mut self) -> &mut Array {
        let place = self.next;
        self.next = (place + 1) % self.columns.len();
        &mut self.columns[place]
    }
}

impl Bind for Arrays {
    fn text<T: AsRef<str>>(&mut self, value: Option<T>) {
        self.next().text(value.as_ref().map(AsRef::as_ref));
    }

    fn number(&mut self, value: Option<i64>) {
        self.next().number(value);
    }

    fn id(&mut self, value: Uuid) {
        self.next().id(value);
    }
}

/// An array of one dimension.
///
/// # Source
/// `array_recv` in PostgreSQL's `arrayfuncs.c`: number of dimensions, whether there are NULLs, the element's type, and of
/// each dimension its length and first index; then each element with its length, which is -1 for NULL.
struct Array {
    kind: Kind,
    len: i32,
    has_null: bool,
    elements: Vec<u8>,
}

const NULL_LEN: i32 = -1;
const TEXT_OID: u32 = 25;
const BIGINT_OID: u32 = 20;
const INTEGER_OID: u32 = 23;

impl Array {
    fn of(kind: Kind) -> Self {
        Self { kind, len: 0, has_null: false, elements: Vec::new() }
    }

    fn text(&mut self, value: Option<&str>) {
        debug_assert_eq!(self.kind, Kind::Text);
        match value {
            // A record is kept for people to read, and one that PostgreSQL refuses would be tried for ever.
            Some(text) if text.contains('\0') => {
                self.push(Some(text.replace('\0', "\u{fffd}").as_bytes()));
            }
            text => self.push(text.map(str::as_bytes)),
        }
    }

    fn number(&mut self, value: Option<i64>) {
        debug_assert_eq!(self.kind, Kind::Number);
        self.push(value.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    }

    fn id(&mut self, value: Uuid) {
        debug_assert_eq!(self.kind, Kind::Id);
        self.push(Some(value.as_bytes()));
    }

    fn day(&mut self, value: i32) {
        debug_assert_eq!(self.kind, Kind::Day);
        self.push(Some(&value.to_be_bytes()));
    }

    fn push(&mut self, value: Option<&[u8]>) {
        self.len += 1;
        let Some(bytes) = value else {
            self.has_null = true;
            self.elements.extend_from_slice(&NULL_LEN.to_be_bytes());
            return;
        };
        let len = i32::try_from(bytes.len()).expect("far below the 1 GiB of a value");
        self.elements.extend_from_slice(&len.to_be_bytes());
        self.elements.extend_from_slice(bytes);
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let dimensions = i32::from(self.len > 0);
        let element = match self.kind {
            Kind::Text => TEXT_OID,
            Kind::Number => BIGINT_OID,
            Kind::Id => UUID_OID,
            Kind::Day => INTEGER_OID,
        };
        buffer.extend_from_slice(&dimensions.to_be_bytes());
        buffer.extend_from_slice(&i32::from(self.has_null).to_be_bytes());
        buffer.extend_from_slice(&element.to_be_bytes());
        if self.len > 0 {
            buffer.extend_from_slice(&self.len.to_be_bytes());
            buffer.extend_from_slice(&1_i32.to_be_bytes());
        }
        buffer.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(match self.kind {
            Kind::Text => <Vec<String> as Type<Postgres>>::type_info(),
            Kind::Number => <Vec<i64> as Type<Postgres>>::type_info(),
            Kind::Id => <Vec<Id> as Type<Postgres>>::type_info(),
            Kind::Day => <Vec<i32> as Type<Postgres>>::type_info(),
        })
    }
}

impl Type<Postgres> for Array {
    /// Never asked for: [`Encode::produces`] says which one it is.
    fn type_info() -> PgTypeInfo {
        <Vec<String> as Type<Postgres>>::type_info()
    }
}
