//! Types of events, and the settings of accounts.

use ringback_core::catalog::EventType;
use ringback_core::{EventName, Timestamp};

use super::{Bind, Columns, Row};
use crate::changes::Statements;
use crate::{AccountSettings, Error, UnknownTypes, sql};

pub(crate) fn event_type<R: Columns>(row: &R) -> Result<EventType, Error> {
    let row = Row::of("event_type", row);
    Ok(EventType {
        name: row.parsed("name")?,
        description: row.text("description")?.to_owned(),
        variables: row.json("variables")?,
    })
}

pub(crate) fn account_settings<R: Columns>(row: &R) -> Result<AccountSettings, Error> {
    let row = Row::of("account", row);
    Ok(AccountSettings {
        account: row.parsed("name")?,
        unknown_types: match row.number::<i64>("strict")? {
            0 => UnknownTypes::Accepted,
            _ => UnknownTypes::Refused,
        },
    })
}

/// Removes and then puts, so that whatever is named in both stands there.
pub(crate) fn change_event_types<B: Bind + Default>(
    put: &[EventType],
    delete: &[EventName],
    now: Timestamp,
) -> Statements<B> {
    let delete = delete.iter().map(|name| {
        let mut values = B::default();
        values.text(Some(name.as_str()));
        (sql::DELETE_EVENT_TYPE, values)
    });
    let put = put.iter().map(|kind| {
        let variables = serde_json::to_string(&kind.variables);
        let mut values = B::default();
        values.text(Some(kind.name.as_str()));
        values.text(Some(kind.description.as_str()));
        values.text(Some(variables.expect("texts, numbers and raw values always serialize")));
        values.number(Some(now.ms()));
        values.number(Some(now.ms()));
        (sql::PUT_EVENT_TYPE, values)
    });
    delete.chain(put).collect()
}

pub(crate) fn put_account_settings<B: Bind + Default>(
    settings: &AccountSettings,
    now: Timestamp,
) -> Statements<B> {
    let mut values = B::default();
    values.text(Some(settings.account.as_str()));
    values.number(Some((settings.unknown_types == UnknownTypes::Refused).into()));
    values.number(Some(now.ms()));
    vec![(sql::PUT_ACCOUNT_SETTINGS, values)]
}
