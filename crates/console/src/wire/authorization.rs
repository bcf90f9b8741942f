//! Authorizations as they come and go, and from what came to the domain's.

use ringback_core::callback::Authorization;
use ringback_core::secret::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::settings::{Errors, NOT_YET};

const CREDENTIAL_BYTES_MAX: usize = 4_096;

/// What the `Authorization` header says. Each type takes its own members and no others.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthorizationSettings {
    /// `none`, `basic` (`username`, `password`), `bearer` (`token`), `header` (`value`, the whole header) or
    /// `callback_key` (`key`, sent after `Basic` as it is).
    #[schema(example = "basic", pattern = "^(none|basic|bearer|header|callback_key)$")]
    pub(super) r#type: String,
    /// For `basic`; without a colon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    /// For `basic`. Answers show `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) password: Option<SecretText>,
    /// For `bearer`. Answers show `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) token: Option<SecretText>,
    /// For `header`. Answers show `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) value: Option<SecretText>,
    /// For `callback_key`. Answers show `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) key: Option<SecretText>,
}

/// A secret on its way in; on its way out it is a mask.
#[derive(Clone)]
pub(crate) struct SecretText(Secret);

impl AuthorizationSettings {
    pub(super) fn of(authorization: &Authorization) -> Self {
        let none = Self::default();
        let shown = |secret: &Secret| Some(SecretText(secret.clone()));
        let r#type = authorization_type(authorization).to_owned();
        match authorization {
            Authorization::None => none,
            Authorization::Basic { username, password } => {
                Self { r#type, username: Some(username.clone()), password: shown(password), ..none }
            }
            Authorization::Bearer { token } => Self { r#type, token: shown(token), ..none },
            Authorization::Header { value } => Self { r#type, value: shown(value), ..none },
            Authorization::CallbackKey { key } => Self { r#type, key: shown(key), ..none },
        }
    }
}

impl Default for AuthorizationSettings {
    fn default() -> Self {
        let r#type = "none".to_owned();
        Self { r#type, username: None, password: None, token: None, value: None, key: None }
    }
}

impl SecretText {
    pub(super) fn new(text: String) -> Self {
        Self(Secret::new(text))
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Secret::MASK)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// The word for a kind of authorization.
fn authorization_type(authorization: &Authorization) -> &'static str {
    match authorization {
        Authorization::None => "none",
        Authorization::Basic { .. } => "basic",
        Authorization::Bearer { .. } => "bearer",
        Authorization::Header { .. } => "header",
        Authorization::CallbackKey { .. } => "callback_key",
    }
}

/// The authorization, its masked secrets taken from the one before.
pub(super) fn authorization(
    settings: &AuthorizationSettings,
    before: Option<&Authorization>,
    errors: &mut Errors,
) -> Option<Authorization> {
    let mut fields = Credentials { settings, before, errors };
    let authorization = match settings.r#type.as_str() {
        "none" => Some(Authorization::None),
        "basic" => fields.basic(),
        "bearer" => {
            fields.secret("token", &settings.token).map(|token| Authorization::Bearer { token })
        }
        "header" => {
            fields.secret("value", &settings.value).map(|value| Authorization::Header { value })
        }
        "callback_key" => {
            fields.secret("key", &settings.key).map(|key| Authorization::CallbackKey { key })
        }
        "oauth2" => {
            fields.errors.say("/authorization/type", format!("`oauth2` {NOT_YET}"));
            return None;
        }
        _ => {
            fields.errors.say("/authorization/type", "none, basic, bearer, header or callback_key");
            return None;
        }
    };
    fields.refuse_others();
    authorization
}

/// Reads the members of one authorization.
struct Credentials<'a> {
    settings: &'a AuthorizationSettings,
    before: Option<&'a Authorization>,
    errors: &'a mut Errors,
}

impl Credentials<'_> {
    fn basic(&mut self) -> Option<Authorization> {
        let username = match self.settings.username.as_deref() {
            None => Err("is required with type basic"),
            // RFC 7617, section 2.
            Some(text) if text.contains(':') => {
                Err("no colon: the receiver would take what follows for the password")
            }
            Some(text) if text.chars().any(char::is_control) => Err("no control characters"),
            Some(text) if text.len() > CREDENTIAL_BYTES_MAX => Err("at most 4,096 bytes"),
            Some(text) => Ok(text.to_owned()),
        };
        let username = self.errors.keep("/authorization/username", username);
        let password = self.secret("password", &self.settings.password);
        Some(Authorization::Basic { username: username?, password: password? })
    }

    fn secret(&mut self, member: &'static str, given: &Option<SecretText>) -> Option<Secret> {
        let checked = self.checked_secret(member, given.as_ref().map(|text| &text.0));
        self.errors.keep(&format!("/authorization/{member}"), checked)
    }

    fn checked_secret(&self, member: &str, given: Option<&Secret>) -> Result<Secret, String> {
        let r#type = &self.settings.r#type;
        let Some(secret) = given else {
            return Err(format!("is required with type {type}"));
        };
        let text = secret.reveal();
        if text == Secret::MASK {
            return self.kept().cloned().ok_or_else(|| {
                format!("{} is the mask of a secret: send the secret itself", Secret::MASK)
            });
        }
        if text.len() > CREDENTIAL_BYTES_MAX {
            return Err("at most 4,096 bytes".to_owned());
        }
        // A password is encoded before it is sent, the others stand in the header as they are.
        if member == "password" {
            let control = text.chars().any(char::is_control);
            return if control {
                Err("no control characters".to_owned())
            } else {
                Ok(secret.clone())
            };
        }
        let visible = |b: u8| (0x20..=0x7e).contains(&b);
        if text.is_empty() || !text.bytes().all(visible) || text.trim() != text {
            return Err(
                "one or more visible ASCII characters, no line break, no space at the ends"
                    .to_owned(),
            );
        }
        if member != "value" && text.contains(' ') {
            return Err("no spaces".to_owned());
        }
        Ok(secret.clone())
    }

    /// The secret from before, if it was of the same type.
    fn kept(&self) -> Option<&Secret> {
        let before =
            self.before.filter(|before| authorization_type(before) == self.settings.r#type)?;
        match before {
            Authorization::None => None,
            Authorization::Basic { password: secret, .. }
            | Authorization::Bearer { token: secret }
            | Authorization::Header { value: secret }
            | Authorization::CallbackKey { key: secret } => Some(secret),
        }
    }

    /// A member of another type is a mistake: perhaps the type is.
    fn refuse_others(&mut self) {
        let settings = self.settings;
        let r#type = settings.r#type.as_str();
        for (member, owner, is_given) in [
            ("username", "basic", settings.username.is_some()),
            ("password", "basic", settings.password.is_some()),
            ("token", "bearer", settings.token.is_some()),
            ("value", "header", settings.value.is_some()),
            ("key", "callback_key", settings.key.is_some()),
        ] {
            if is_given && owner != r#type {
                self.errors.say(
                    format!("/authorization/{member}"),
                    format!("belongs to type {owner}, not {type}"),
                );
            }
        }
    }
}
