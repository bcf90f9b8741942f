//! Types of events as they come and go, and what accounts want of the catalog.

use std::collections::HashMap;

use ringback_api::FieldError;
use ringback_core::catalog::{Catalog, EventType, LENGTH_MAX, Origin, Variable, VariableType};
use ringback_core::{Account, EventName};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::limits::from_1_to;

/// The most types that somebody may add or replace.
pub(crate) const OWN_TYPES_MAX: usize = 1_000;

/// A type of event, as it is put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventTypeSettings {
    /// The name of its events. Where the path names it, it may be left out, and is the same if it is not.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,128}$", example = "ORDER_PAID")]
    name: Option<String>,
    /// What happened: at most 4,000 characters.
    #[serde(default)]
    #[schema(max_length = 4000)]
    description: String,
    /// The variables, in the order they are shown. Events may have others besides.
    #[serde(default)]
    #[schema(max_items = 1000)]
    variables: Vec<VariableSettings>,
    /// What an answer says: it may be sent back, and says nothing here.
    #[serde(default)]
    #[expect(dead_code, reason = "it is taken, and nothing is made of it")]
    #[schema(value_type = Option<String>, read_only)]
    origin: Option<IgnoredAny>,
}

/// A variable of a type of event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariableSettings {
    /// 1 to 256 characters. No two of one type have the same.
    #[schema(example = "ORDER_ID", min_length = 1, max_length = 256)]
    name: String,
    /// What its value is. `timestamp` is a string with an RFC 3339 time.
    #[serde(default)]
    #[schema(
        default = "any",
        pattern = "^(string|integer|number|boolean|timestamp|object|array|any)$"
    )]
    r#type: Option<String>,
    /// Of a string: the most characters it may have.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_length: Option<i64>,
    /// Whether every event has it. One that is not required may be absent, or null.
    #[serde(default)]
    required: bool,
    /// What it says: at most 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1000)]
    description: String,
    /// A value as it may come: of its type, at most 4,096 bytes of JSON.
    #[serde(default)]
    #[schema(value_type = Option<serde_json::Value>)]
    example: Option<Box<RawValue>>,
}

/// The catalog, as it is imported.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogSettings {
    /// All types that are to count besides the built-in ones. One that is the same as a built-in one stays built in.
    #[schema(max_items = 1000)]
    event_types: Vec<EventTypeSettings>,
}

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeAnswer {
    #[serde(flatten)]
    kind: EventTypeShape,
    /// `built_in`, `own` (somebody added it), or `replaces_built_in` (somebody put it in the place of a built-in one).
    #[schema(pattern = "^(built_in|own|replaces_built_in)$")]
    origin: &'static str,
}

/// A type of event, but for where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeShape {
    #[schema(value_type = String)]
    name: EventName,
    description: String,
    variables: Vec<VariableShape>,
}

/// A variable of a type of event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VariableShape {
    name: String,
    r#type: &'static str,
    /// Of a string: the most characters it may have; absent: as many as fit into an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u32>,
    required: bool,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    example: Option<Box<RawValue>>,
}

/// The catalog, as it is exported: what it answers can be imported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogAnswer {
    /// All types that count, by their names, the built-in ones among them.
    event_types: Vec<EventTypeShape>,
}

/// What an import has changed.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ImportAnswer {
    /// Types that were added or changed.
    pub(crate) put: Vec<String>,
    /// Types that were removed, or are built in again.
    pub(crate) removed: Vec<String>,
}

/// What an account wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountSettingsBody {
    /// Whether its events are refused if the catalog does not know their type.
    pub(crate) strict: bool,
    /// What an answer says: it may be sent back, and says nothing here.
    #[serde(default)]
    #[expect(dead_code, reason = "it is taken, and nothing is made of it")]
    #[schema(value_type = Option<String>, read_only)]
    account: Option<IgnoredAny>,
}

/// An account, and what it wants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountAnswer {
    #[schema(value_type = String)]
    pub(crate) account: Account,
    /// Whether its events are refused if the catalog does not know their type.
    pub(crate) strict: bool,
}

impl EventTypeSettings {
    /// The type of this name.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn of_name(self, name: &EventName) -> Result<EventType, Vec<FieldError>> {
        let mut errors = Vec::new();
        if self.name.as_ref().is_some_and(|given| given != name.as_str()) {
            let detail = format!(
                "the path says `{name}`, and a type can't be renamed: put the new one, and delete this one"
            );
            errors.push(FieldError::new("/name", detail));
        }
        let kind = self.into_type(name.clone(), &mut errors);
        if errors.is_empty() { Ok(kind) } else { Err(errors) }
    }

    /// What is wrong is told with pointers into the type.
    fn into_type(self, name: EventName, errors: &mut Vec<FieldError>) -> EventType {
        let variables = self.variables.into_iter().enumerate();
        let variables = variables.map(|(index, variable)| {
            variable.into_variable(&format!("/variables/{index}"), errors)
        });
        let variables = variables.collect();
        let kind = EventType { name, description: self.description, variables };
        let faults = kind.faults().into_iter();
        errors.extend(faults.map(|fault| FieldError::new(fault.pointer, fault.detail)));
        kind
    }
}

impl VariableSettings {
    fn into_variable(self, pointer: &str, errors: &mut Vec<FieldError>) -> Variable {
        let mut say = |member: &str, detail: String| {
            errors.push(FieldError::new(format!("{pointer}/{member}"), detail));
        };
        let kind = self.r#type.as_deref().map_or(Some(VariableType::Any), VariableType::of_word);
        let kind = kind.unwrap_or_else(|| {
            let words: Vec<_> = VariableType::ALL.iter().map(|kind| kind.as_str()).collect();
            say("type", format!("one of {}", words.join(", ")));
            VariableType::Any
        });
        let max_length = self.max_length.and_then(|length| {
            let checked = from_1_to(LENGTH_MAX, length);
            checked.map_err(|detail| say("max_length", detail)).ok()
        });
        Variable {
            name: self.name,
            kind,
            max_length,
            required: self.required,
            description: self.description,
            example: self.example.map(Into::into),
        }
    }
}

impl CatalogSettings {
    /// The types.
    ///
    /// # Errors
    /// All that is wrong with them: a name that stands there twice among it.
    pub(crate) fn into_types(self) -> Result<Vec<EventType>, Vec<FieldError>> {
        if self.event_types.len() > OWN_TYPES_MAX {
            let detail = format!("at most {OWN_TYPES_MAX} types");
            return Err(vec![FieldError::new("/event_types", detail)]);
        }
        let mut errors = Vec::new();
        let mut types: Vec<EventType> = Vec::with_capacity(self.event_types.len());
        let mut seen: HashMap<EventName, usize> = HashMap::new();
        for (index, settings) in self.event_types.into_iter().enumerate() {
            let pointer = format!("/event_types/{index}");
            let name = match settings.name.as_deref().map(str::parse::<EventName>) {
                Some(Ok(name)) => name,
                Some(Err(error)) => {
                    errors.push(FieldError::new(format!("{pointer}/name"), error.to_string()));
                    continue;
                }
                None => {
                    errors.push(FieldError::new(format!("{pointer}/name"), "is required"));
                    continue;
                }
            };
            if let Some(first) = seen.insert(name.clone(), index) {
                let detail = format!("`{name}` stands there twice: at /event_types/{first} too");
                errors.push(FieldError::new(format!("{pointer}/name"), detail));
            }
            let mut of_type = Vec::new();
            types.push(settings.into_type(name, &mut of_type));
            errors.extend(
                of_type.into_iter().map(|error| {
                    FieldError::new(format!("{pointer}{}", error.pointer), error.detail)
                }),
            );
        }
        if errors.is_empty() { Ok(types) } else { Err(errors) }
    }
}

impl EventTypeAnswer {
    pub(crate) fn of(kind: &EventType, origin: Origin) -> Self {
        Self { kind: EventTypeShape::of(kind), origin: origin.as_str() }
    }
}

impl EventTypeShape {
    fn of(kind: &EventType) -> Self {
        Self {
            name: kind.name.clone(),
            description: kind.description.clone(),
            variables: kind.variables.iter().map(VariableShape::of).collect(),
        }
    }
}

impl VariableShape {
    fn of(variable: &Variable) -> Self {
        Self {
            name: variable.name.clone(),
            r#type: variable.kind.as_str(),
            max_length: variable.max_length.map(std::num::NonZeroU32::get),
            required: variable.required,
            description: variable.description.clone(),
            example: variable.example.as_ref().map(|example| example.as_json().to_owned()),
        }
    }
}

impl CatalogAnswer {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        Self { event_types: catalog.iter().map(|(kind, _)| EventTypeShape::of(kind)).collect() }
    }
}
