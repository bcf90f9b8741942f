//! The catalog: types of events, one by one and all together.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use ringback_api::{
    Caller, FieldError, JsonBody, PageAnswer, PageQuery, PathName, Problem, Query, read_body,
    require_json,
};
use ringback_core::catalog::{Catalog, EventType, Origin};
use ringback_core::{EventName, Timestamp, operational};
use ringback_store::{CallbackChange, Cursor, Page, Revision};

use crate::state::Console;
use crate::wire::event_type::{
    CatalogAnswer, CatalogSettings, EventTypeAnswer, EventTypeSettings, ImportAnswer, OWN_TYPES_MAX,
};

/// The largest catalog that is imported: 4 MiB.
const CATALOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is said of a name that only Ringback may give.
const ITS_OWN: &str = "names that begin with `ringback.` are Ringback's own";
/// How many callbacks an answer names.
const NAMED_MAX: usize = 10;

/// List the types of events, by their names.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "catalog",
    params(
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "50 unless given"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = PageAnswer<EventTypeAnswer>), Problem)
)]
pub(crate) async fn list(
    State(console): State<Console>,
    _caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<EventTypeAnswer>>, Problem> {
    let asked = PageQuery::take(&mut query)?;
    query.end()?;
    let catalog = catalog(&console).await?;
    let after = asked.after.map(|cursor| cursor.id);
    let mut left = catalog
        .iter()
        .filter(|(kind, _)| after.as_ref().is_none_or(|after| kind.name.as_str() > after.as_str()));
    let items: Vec<_> = left.by_ref().take(asked.limit).collect();
    // Types have no time that anybody asks for: they come by their names.
    let place =
        |kind: &EventType| Cursor { at: Timestamp::EPOCH, id: kind.name.as_str().to_owned() };
    let next = left.next().and(items.last().map(|(kind, _)| place(kind)));
    Ok(Json(PageAnswer::of(Page { items, next }, |(kind, origin)| {
        EventTypeAnswer::of(kind, origin)
    })))
}

/// One type of event.
#[utoipa::path(
    get, path = "/v1/event-types/{name}", tag = "catalog",
    params(("name" = String, Path)),
    responses((status = 200, description = "The type", body = EventTypeAnswer), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    _caller: Caller,
    PathName(name): PathName<EventName>,
) -> Result<Json<EventTypeAnswer>, Problem> {
    let catalog = catalog(&console).await?;
    let (kind, origin) = catalog.get(&name).ok_or_else(unknown)?;
    Ok(Json(EventTypeAnswer::of(kind, origin)))
}

/// Add a type of event, or replace it.
///
/// A built-in type can be replaced, too. Events that come from now on are checked against it. A type can't be renamed.
#[utoipa::path(
    put, path = "/v1/event-types/{name}", tag = "catalog",
    params(("name" = String, Path)),
    request_body = EventTypeSettings,
    responses(
        (status = 200, description = "Replaced", body = EventTypeAnswer),
        (status = 201, description = "Added", body = EventTypeAnswer),
        Problem,
    )
)]
pub(crate) async fn put(
    State(console): State<Console>,
    caller: Caller,
    PathName(name): PathName<EventName>,
    JsonBody(settings): JsonBody<EventTypeSettings>,
) -> Result<(StatusCode, Json<EventTypeAnswer>), Problem> {
    caller.require_instance()?;
    let kind = settings.of_name(&name).map_err(Problem::invalid)?;
    if operational::is_reserved(&name) {
        return Err(Problem::invalid(vec![FieldError::new("/name", ITS_OWN)]));
    }
    let before = catalog(&console).await?;
    let origin_before = before.get(&name).map(|(_, origin)| origin);
    let own = before.iter().filter(|(_, origin)| *origin != Origin::BuiltIn).count();
    if matches!(origin_before, None | Some(Origin::BuiltIn)) && own >= OWN_TYPES_MAX {
        let detail =
            format!("the catalog has {OWN_TYPES_MAX} types of your own, and takes no more");
        return Err(Problem::conflict(detail));
    }
    let now = console.clock.now();
    console.store.change_event_types(std::slice::from_ref(&kind), &[], now).await?;
    let (status, origin) = match origin_before {
        None => (StatusCode::CREATED, Origin::Own),
        Some(Origin::Own) => (StatusCode::OK, Origin::Own),
        Some(Origin::BuiltIn | Origin::ReplacesBuiltIn) => {
            (StatusCode::OK, Origin::ReplacesBuiltIn)
        }
    };
    Ok((status, Json(EventTypeAnswer::of(&kind, origin))))
}

/// Remove a type of event.
///
/// Of one that replaces a built-in type the built-in one is back. One that is built in can't be removed, and neither can
/// one that an enabled callback names in `events`.
#[utoipa::path(
    delete, path = "/v1/event-types/{name}", tag = "catalog",
    params(("name" = String, Path)),
    responses((status = 204, description = "Removed"), Problem)
)]
pub(crate) async fn remove(
    State(console): State<Console>,
    caller: Caller,
    PathName(name): PathName<EventName>,
) -> Result<StatusCode, Problem> {
    caller.require_instance()?;
    let catalog = catalog(&console).await?;
    match catalog.get(&name).ok_or_else(unknown)? {
        (_, Origin::BuiltIn) => {
            return Err(Problem::conflict(format!(
                "`{name}` is built in: it can be replaced, and not removed"
            )));
        }
        (_, Origin::Own) => nobody_names(&console, std::slice::from_ref(&name)).await?,
        (_, Origin::ReplacesBuiltIn) => {}
    }
    let now = console.clock.now();
    if console.store.change_event_types(&[], &[name], now).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown())
    }
}

/// The whole catalog, for a file.
#[utoipa::path(
    get, path = "/v1/catalog", tag = "catalog",
    responses((status = 200, description = "All types that count", body = CatalogAnswer), Problem)
)]
pub(crate) async fn export(
    State(console): State<Console>,
    _caller: Caller,
) -> Result<Json<CatalogAnswer>, Problem> {
    Ok(Json(CatalogAnswer::of(&catalog(&console).await?)))
}

/// Put a whole catalog in the place of the one that is there: all of it, or nothing.
///
/// Types that are not in it are removed, but for the built-in ones, which count unless it replaces them.
#[utoipa::path(
    put, path = "/v1/catalog", tag = "catalog",
    request_body = CatalogSettings,
    responses((status = 200, description = "Imported", body = ImportAnswer), Problem)
)]
pub(crate) async fn import(
    State(console): State<Console>,
    caller: Caller,
    request: Request,
) -> Result<Json<ImportAnswer>, Problem> {
    /// How often it is compared anew with what somebody else changed in between.
    const TRIES: usize = 3;
    caller.require_instance()?;
    let types = read_catalog(request).await?.into_types().map_err(Problem::invalid)?;
    for _ in 0..TRIES {
        let own = console.store.event_types().await?;
        let import = Import::of(&types, own);
        if let Some(kind) = import.put.iter().find(|kind| operational::is_reserved(&kind.name)) {
            let detail = format!("`{}`: {ITS_OWN}", kind.name);
            return Err(Problem::invalid(vec![FieldError::new("/event_types", detail)]));
        }
        nobody_names(&console, &import.vanishing).await?;
        let now = console.clock.now();
        if console.store.change_event_types(&import.put, &import.removed, now).await? {
            return Ok(Json(import.into_answer()));
        }
    }
    Err(Problem::conflict("the catalog is being changed by others all the time: try again"))
}

async fn read_catalog(request: Request) -> Result<CatalogSettings, Problem> {
    let (parts, body) = request.into_parts();
    require_json(&parts.headers)?;
    let bytes = read_body(&parts.headers, body, CATALOG_BYTES_MAX).await?;
    // A struct would be read from an array too, its fields by their place: nobody means that.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let detail = "expected an object, got an array";
        return Err(Problem::invalid(vec![FieldError::new("", detail)]));
    }
    ringback_api::parse(&bytes)
}

/// What an import changes.
#[derive(Debug, Default)]
struct Import {
    put: Vec<EventType>,
    removed: Vec<EventName>,
    /// Those removed that are not built in: nobody knows them afterwards.
    vanishing: Vec<EventName>,
}

impl Import {
    fn of(types: &[EventType], own: Vec<EventType>) -> Self {
        let built_in = Catalog::with([]);
        let is_built_in = |kind: &EventType| {
            built_in.get(&kind.name).is_some_and(|(built_in, _)| built_in == kind)
        };
        let mut own: BTreeMap<_, _> =
            own.into_iter().map(|kind| (kind.name.clone(), kind)).collect();
        let mut import = Self::default();
        for kind in types.iter().filter(|kind| !is_built_in(kind)) {
            if own.remove(&kind.name).as_ref() != Some(kind) {
                import.put.push(kind.clone());
            }
        }
        import.removed = own.into_keys().collect();
        import.vanishing = import.removed.clone();
        import.vanishing.retain(|name| built_in.get(name).is_none());
        import
    }

    fn into_answer(self) -> ImportAnswer {
        ImportAnswer {
            put: self.put.iter().map(|kind| kind.name.to_string()).collect(),
            removed: self.removed.iter().map(ToString::to_string).collect(),
        }
    }
}

async fn catalog(console: &Console) -> Result<Catalog, Problem> {
    Ok(Catalog::with(console.store.event_types().await?))
}

fn unknown() -> Problem {
    Problem::not_found("event type")
}

/// Refuses to remove types that an enabled callback names: it would wait for events that a strict account can no longer
/// send.
async fn nobody_names(console: &Console, types: &[EventName]) -> Result<(), Problem> {
    if types.is_empty() {
        return Ok(());
    }
    let (changes, _) = console.store.callback_changes(Revision::ZERO).await?;
    let callbacks = changes.into_iter().filter_map(|change| match change {
        CallbackChange::Put(callback) => Some(callback),
        CallbackChange::Deleted(_) => None,
    });
    for name in types {
        let named: Vec<_> = callbacks
            .clone()
            .filter(|callback| callback.state.is_enabled())
            .filter(|callback| callback.events.patterns().iter().any(|of| of == name.as_str()))
            .map(|callback| callback.id.to_string())
            .collect();
        if !named.is_empty() {
            let rest = named.len().saturating_sub(NAMED_MAX);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let named = named[..named.len().min(NAMED_MAX)].join(", ");
            return Err(Problem::conflict(format!(
                "`{name}` is named in `events` of enabled callbacks: {named}{more}; change or disable them first"
            )));
        }
    }
    Ok(())
}
