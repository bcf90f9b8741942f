//! The URL of a callback: an RFC 6570 template over the variables of the event.

mod rfc6570;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;
use url::Url;

use self::rfc6570::{ExpandError, SyntaxError, Template, Value};
use crate::Event;
use crate::render::{EVENT_GUID, EVENT_ID, text_of};

/// A URL whose tags are replaced by event variables. Its scheme, host and port have no tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate {
    text: Box<str>,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// No tags: the same for every event.
    Fixed(Url),
    Tagged {
        template: Template,
        /// Scheme, host and port: what every expansion has to keep.
        origin: Url,
        /// Where the first path segment begins that event data has a say in; none if the tags come behind the path.
        open_from: Option<usize>,
    },
}

/// Why a URL can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// So that a request line stays one that receivers take.
    #[error("the URL is at most {} bytes", UrlTemplate::BYTES_MAX)]
    TooLong,
    /// Readers of URLs differ in what they make of these, and the difference could choose the host.
    #[error("no spaces, control characters or backslashes (byte {at}): percent-encode them")]
    Character {
        /// Where it stands, from 0.
        at: usize,
    },
    /// Nothing else is spoken here.
    #[error("the URL begins with http:// or https://")]
    Scheme,
    /// Event data must never choose the host.
    #[error(
        "a tag must not stand in the scheme, host or port: the first one comes after a /, ? or #"
    )]
    TagInAuthority,
    /// It would show wherever the URL does.
    #[error("no user name or password in the URL: put them into `authorization`")]
    Credentials,
    /// There is nobody to send to.
    #[error("the URL has no host: write http://host/ or https://host/")]
    NoHost,
    /// What its tags stand for can't be told.
    #[error("at byte {at}: {why}")]
    Syntax {
        /// Where, from 0.
        at: usize,
        /// What to do about it.
        why: &'static str,
    },
    /// It could undo a segment that an event wrote, so no event would ever get through.
    #[error("no segment . or .. behind a tag: write the path out")]
    DotSegment,
    /// As the URL standard has it. The cause is part of the message, because a message is all that a field of a request
    /// or a line of the history shows.
    #[error("not a valid URL: {0}")]
    Url(url::ParseError),
}

/// Why an event gives no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpansion {
    /// So that a request line stays one that receivers take.
    #[error(
        "the URL with its tags replaced is longer than {} bytes",
        UrlTemplate::EXPANDED_BYTES_MAX
    )]
    TooLong,
    /// It would take the request out of the path that the callback names.
    #[error("the URL with its tags replaced has a path segment . or .. made of event variables")]
    DotSegment,
    /// RFC 6570, section 2.4.1.
    #[error("the URL takes a prefix of {variable}, which is a list or an object in this event")]
    PrefixOfComposite {
        /// Which variable.
        variable: String,
    },
    /// Event data must never choose the host.
    #[error("the URL with its tags replaced has another scheme, host or port than its template")]
    OtherOrigin,
    /// As the URL standard has it.
    #[error("the URL with its tags replaced is not valid: {0}")]
    Url(url::ParseError),
}

impl UrlTemplate {
    /// The most bytes of a template.
    pub const BYTES_MAX: usize = 4_096;
    /// The most bytes of a URL with its tags replaced.
    pub const EXPANDED_BYTES_MAX: usize = 8_192;

    /// The URL for this event, without a fragment: that part of a URL is never sent.
    ///
    /// A tag names a variable of the event, or `EVENT_GUID` (its id) or `EVENT_ID` (its name), which no variable can
    /// take over. Texts, numbers and lists expand as RFC 6570 has it, `true` and `false` to `True` and `False`, null
    /// and what the event does not have to nothing.
    ///
    /// # Errors
    /// [`InvalidExpansion`] if the values make a URL that can't be sent, or that would leave the path or the host of the
    /// template.
    pub fn expand(&self, event: &Event) -> Result<Url, InvalidExpansion> {
        let (template, origin, open_from) = match &self.target {
            Target::Fixed(url) => return Ok(url.clone()),
            Target::Tagged { template, origin, open_from } => (template, origin, open_from),
        };
        let text = template
            .expand(Self::EXPANDED_BYTES_MAX, |name| value_of(event, name))
            .map_err(|error| match error {
                ExpandError::TooLong => InvalidExpansion::TooLong,
                ExpandError::PrefixOfComposite { variable } => {
                    InvalidExpansion::PrefixOfComposite { variable }
                }
            })?;
        if open_from.is_some_and(|from| has_dot_segment(&text[from..])) {
            return Err(InvalidExpansion::DotSegment);
        }
        let mut url = Url::parse(&text).map_err(InvalidExpansion::Url)?;
        if !same_origin(&url, origin) {
            return Err(InvalidExpansion::OtherOrigin);
        }
        url.set_fragment(None);
        // Parsing may have made it longer: what is not ASCII is percent-encoded by now.
        if url.as_str().len() > Self::EXPANDED_BYTES_MAX {
            return Err(InvalidExpansion::TooLong);
        }
        Ok(url)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL itself if it has no tags, otherwise its scheme, host and port: as far as the target can be told before
    /// there is an event.
    #[must_use]
    pub fn origin(&self) -> &Url {
        match &self.target {
            Target::Fixed(url) | Target::Tagged { origin: url, .. } => url,
        }
    }
}

impl UrlTemplate {
    /// Where every event's request goes, without query, if its path has no tags: then no event has a say in it.
    #[must_use]
    pub fn fixed_place(&self) -> Option<Url> {
        let end = self.text.find(['?', '#', '{']).unwrap_or(self.text.len());
        let (place, rest) = self.text.split_at(end);
        let begins_query = ["?", "#", "{?", "{#"].iter().any(|begin| rest.starts_with(begin));
        // What follows such a tag would belong to the path where the tag stands for nothing.
        let ends_with_it = !rest.starts_with('{') || rest.find('}') == Some(rest.len() - 1);
        (rest.is_empty() || (begins_query && ends_with_it))
            .then(|| Url::parse(place).ok())
            .flatten()
    }
}

impl FromStr for UrlTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::BYTES_MAX {
            return Err(InvalidTemplate::TooLong);
        }
        let refused = |c: char| c == '\\' || c.is_control() || c.is_whitespace();
        if let Some(at) = text.find(refused) {
            return Err(InvalidTemplate::Character { at });
        }
        let first_tag = text.find('{');
        let authority_end = authority_end(text)?;
        if first_tag.is_some_and(|tag| tag < authority_end) {
            return Err(InvalidTemplate::TagInAuthority);
        }
        let template = Template::parse(text)
            .map_err(|SyntaxError { at, why }| InvalidTemplate::Syntax { at, why })?;
        let target = if let Some(tag) = first_tag {
            let before = &text[authority_end..tag];
            let open_from = match before.rfind('/') {
                Some(slash) if !before.contains(['?', '#']) => Some(authority_end + slash),
                _ => None,
            };
            if open_from.is_some_and(|from| has_dot_segment(&without_tags(&text[from..]))) {
                return Err(InvalidTemplate::DotSegment);
            }
            let origin = Url::parse(&text[..authority_end]).map_err(InvalidTemplate::Url)?;
            Target::Tagged { template, origin, open_from }
        } else {
            let mut url = Url::parse(text).map_err(InvalidTemplate::Url)?;
            url.set_fragment(None);
            Target::Fixed(url)
        };
        Ok(Self { text: text.into(), target })
    }
}

impl fmt::Display for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where scheme, host and port end: at the first `/`, `?` or `#` behind `://`, or with the text.
fn authority_end(text: &str) -> Result<usize, InvalidTemplate> {
    let scheme_end = text.find("://").unwrap_or(text.len());
    let scheme = &text[..scheme_end];
    if scheme.contains('{') {
        return Err(InvalidTemplate::TagInAuthority);
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(InvalidTemplate::Scheme);
    }
    let start = (scheme_end + 3).min(text.len());
    // Not within a tag: the / of `host{/path}` belongs to the tag, which stands in the host then.
    let end = text[start..].find(['/', '?', '#', '{']).map_or(text.len(), |length| start + length);
    let authority = &text[start..end];
    if text[end..].starts_with('{') {
        return Err(InvalidTemplate::TagInAuthority);
    }
    if authority.contains('@') {
        return Err(InvalidTemplate::Credentials);
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(InvalidTemplate::NoHost);
    }
    Ok(end)
}

/// Whether the path at the front of a text has a segment that a parser of URLs takes for "here" or "one up".
fn has_dot_segment(text: &str) -> bool {
    let path = &text[..text.find(['?', '#']).unwrap_or(text.len())];
    path.split('/').any(is_dot_segment)
}

fn is_dot_segment(segment: &str) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while let Some(behind) = [".", "%2e", "%2E"].iter().find_map(|dot| rest.strip_prefix(dot)) {
        dots += 1;
        rest = behind;
    }
    rest.is_empty() && (dots == 1 || dots == 2)
}

/// The text with a letter in the place of each tag, up to the first tag that begins a query or a fragment.
fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((literal, tag)) = rest.split_once('{') {
        out.push_str(literal);
        if tag.starts_with(['?', '#']) {
            return out;
        }
        out.push('x');
        rest = tag.split_once('}').map_or("", |(_, behind)| behind);
    }
    out + rest
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port() == b.port()
        && a.username().is_empty()
        && a.password().is_none()
}

/// What a tag stands for.
fn value_of<'e>(event: &'e Event, name: &str) -> Value<'e> {
    match name {
        EVENT_GUID => Value::Text(Cow::Owned(event.id.to_string())),
        EVENT_ID => Value::Text(Cow::Borrowed(event.name.as_str())),
        _ => event.variables.get(name).map_or(Value::Undefined, value_of_json),
    }
}

fn value_of_json(json: &RawValue) -> Value<'_> {
    // Both kinds of brackets were checked when the event was accepted, so neither is refused here; should one be, then
    // its text is the best that can be said of it.
    match json.get().as_bytes().first() {
        Some(b'n') => Value::Undefined,
        Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(json.get()) {
            Ok(items) => Value::List(
                items.into_iter().filter(|item| is_defined(item)).map(text_of).collect(),
            ),
            Err(_) => Value::Text(text_of(json)),
        },
        Some(b'{') => match serde_json::from_str::<Members<'_>>(json.get()) {
            Ok(Members(members)) => Value::Map(
                members
                    .into_iter()
                    .filter(|(_, item)| is_defined(item))
                    .map(|(key, item)| (key, text_of(item)))
                    .collect(),
            ),
            Err(_) => Value::Text(text_of(json)),
        },
        _ => Value::Text(text_of(json)),
    }
}

fn is_defined(json: &RawValue) -> bool {
    json.get() != "null"
}

/// The members of an object in the order they stand there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests;
