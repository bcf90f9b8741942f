//! The registration of a callback as Conga Sign's clients send it, and what becomes of it.

use ringback_api::{FieldError, Problem};
use ringback_core::callback::{Authorization, Callback, Format};
use ringback_core::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::authorization::{AuthorizationSettings, SecretText};
use super::callback::CallbackSettings;
use super::settings::{Base, Rules};

// Members stand in the order in which they are answered. The answer to a registration is the one answer of the whole API
// that shows secrets, so this has no `Debug`.
/// Where an account's notifications go. What is answered to a registration is what was just sent, secrets included.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Registration {
    /// Where they are sent: http or https. Empty: nowhere any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, nullable = false, example = "https://receiver.example/listener")]
    callback_url: Option<String>,
    /// `Basic` (`username`, `password`), `Bearer` (`bearerToken`) or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, nullable = false, example = "Basic", pattern = "^(Basic|Bearer|None)$")]
    auth_type: Option<String>,
    /// For `Basic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// For `Basic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// For `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_token: Option<String>,
    /// Sent as it is behind `Basic`. It takes the place of an authorization, so it goes with `None` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_key: Option<String>,
    /// The names of the events that are sent, or prefixes such as `PACKAGE_*`: one or several. Left out: all, or, where
    /// one is registered already, those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<OneOrMore>,
}

/// One name, or several.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a name of an event, or an array of them")]
enum OneOrMore {
    One(String),
    Several(Vec<String>),
}

/// The words that `authType` takes.
const AUTH_TYPES: &str = "Basic, Bearer or None";

impl Registration {
    /// A registered callback, its secrets masked.
    ///
    /// # Errors
    /// If it has an authorization by now that can't be told here.
    pub(crate) fn of(callback: &Callback) -> Result<Self, Problem> {
        let mask = || Some(Secret::MASK.to_owned());
        let url = match callback.state.is_enabled() {
            true => callback.url.as_str().to_owned(),
            false => String::new(),
        };
        let mut shown = Self {
            callback_url: Some(url),
            auth_type: None,
            username: None,
            password: None,
            bearer_token: None,
            callback_key: None,
            events: None,
        };
        let auth_type = match &callback.authorization {
            Authorization::None => "None",
            Authorization::CallbackKey { .. } => {
                shown.callback_key = mask();
                "None"
            }
            Authorization::Basic { username, .. } => {
                shown.username = Some(username.clone());
                shown.password = mask();
                "Basic"
            }
            Authorization::Bearer { .. } => {
                shown.bearer_token = mask();
                "Bearer"
            }
            Authorization::Header { .. } => {
                return Err(Problem::conflict(format!(
                    "its authorization was changed to a type that is not shown here: see /v1/callbacks/{}",
                    callback.id
                )));
            }
        };
        shown.auth_type = Some(auth_type.to_owned());
        if !callback.events.matches_all() {
            shown.events = Some(OneOrMore::Several(callback.events.patterns()));
        }
        Ok(shown)
    }

    /// Whether it takes the callback out of use. Of all the rest only `authType` has to be there.
    pub(crate) fn disables(&self) -> bool {
        self.callback_url.as_deref() == Some("")
    }

    /// Checks what is asked of one that [`disables`](Self::disables).
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_disabling(&self) -> Result<(), Problem> {
        match self.auth_type.as_deref() {
            Some("Basic" | "Bearer" | "None") => Ok(()),
            _ => Err(Problem::invalid(vec![self.wrong_auth_type()])),
        }
    }

    /// The callback that it makes, or, with one that is registered already, that this becomes: what this call does not
    /// speak of stays as it is.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn apply(
        &self,
        rules: &Rules<'_>,
        base: Base,
        registered: Option<&Callback>,
    ) -> Result<Callback, Problem> {
        let mut settings = match registered {
            Some(callback) => CallbackSettings::of(callback),
            None => {
                serde_json::from_value(json!({ "url": "", "format": Format::CongaSign.as_str() }))
                    .expect("all other members have a default")
            }
        };
        settings.url = self.callback_url.clone().unwrap_or_default();
        settings.enabled = true;
        match &self.events {
            Some(OneOrMore::One(name)) => settings.events = vec![name.clone()],
            Some(OneOrMore::Several(names)) => settings.events.clone_from(names),
            None => {}
        }
        let mut errors = Vec::new();
        if self.callback_url.is_none() {
            errors.push(FieldError::new(
                "/callbackUrl",
                "is required; an empty one disables the callback",
            ));
        }
        settings.authorization = self.authorization(&mut errors);
        let applied = rules.apply(&settings, base);
        let others = applied.as_ref().err().into_iter().flatten();
        for FieldError { pointer, detail } in others {
            let pointer = self.pointer(pointer);
            if !errors.iter().any(|error| error.pointer == pointer) {
                errors.push(FieldError::new(pointer, detail.clone()));
            }
        }
        match applied {
            Ok(callback) if errors.is_empty() => Ok(callback),
            _ => Err(Problem::invalid(errors)),
        }
    }

    /// What it says of the authorization, in the words of `/v1/callbacks`. None, where that is wrong.
    fn authorization(&self, errors: &mut Vec<FieldError>) -> AuthorizationSettings {
        let none = AuthorizationSettings::default();
        let secret = |text: &Option<String>| text.clone().map(SecretText::new);
        let (needed, settings): (&[_], _) = match self.auth_type.as_deref() {
            Some("Basic") => {
                let username = self.username.clone();
                let (r#type, password) = ("basic".to_owned(), secret(&self.password));
                (
                    &["username", "password"],
                    AuthorizationSettings { r#type, username, password, ..none },
                )
            }
            Some("Bearer") => {
                let (r#type, token) = ("bearer".to_owned(), secret(&self.bearer_token));
                (&["bearerToken"], AuthorizationSettings { r#type, token, ..none })
            }
            Some("None") if self.callback_key.is_some() => {
                let (r#type, key) = ("callback_key".to_owned(), secret(&self.callback_key));
                (&["callbackKey"], AuthorizationSettings { r#type, key, ..none })
            }
            Some("None") => (&[], none),
            _ => {
                errors.push(self.wrong_auth_type());
                return none;
            }
        };
        let auth_type = self.auth_type.as_deref().unwrap_or_default();
        let before = errors.len();
        for (member, given, owner) in [
            ("username", &self.username, "Basic"),
            ("password", &self.password, "Basic"),
            ("bearerToken", &self.bearer_token, "Bearer"),
            ("callbackKey", &self.callback_key, "None"),
        ] {
            let pointer = format!("/{member}");
            if needed.contains(&member) {
                if given.as_deref().is_none_or(str::is_empty) {
                    let detail = format!("is required with authType {auth_type}");
                    errors.push(FieldError::new(pointer, detail));
                }
            } else if given.is_some() {
                let detail = format!("goes with authType {owner}, not {auth_type}");
                errors.push(FieldError::new(pointer, detail));
            }
        }
        if errors.len() > before { AuthorizationSettings::default() } else { settings }
    }

    fn wrong_auth_type(&self) -> FieldError {
        let detail = match self.auth_type {
            None => format!("is required: {AUTH_TYPES}"),
            Some(_) => format!("{AUTH_TYPES}, in this spelling"),
        };
        FieldError::new("/authType", detail)
    }

    /// Where a place of the settings stands here.
    fn pointer(&self, pointer: &str) -> String {
        match pointer {
            "/url" => "/callbackUrl",
            "/authorization/username" => "/username",
            "/authorization/password" => "/password",
            "/authorization/token" => "/bearerToken",
            "/authorization/key" => "/callbackKey",
            "/events/0" if matches!(self.events, Some(OneOrMore::One(_))) => "/events",
            other => other,
        }
        .to_owned()
    }
}
