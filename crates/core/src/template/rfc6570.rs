//! URI templates, all four levels of RFC 6570.
//!
//! Written here although a kept library exists: what is expanded is other people's data, and iri-string 0.7.14 panics
//! on it (`{+x:3}` with `éééé`), as it does on templates that a user can save (`{x:99999}`, `%aé`).

mod expansion;

use std::borrow::Cow;

use self::expansion::Expansion;

/// A template, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

/// What a variable expands to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Undefined,
    Text(Cow<'a, str>),
    /// Without its undefined members.
    List(Vec<Cow<'a, str>>),
    /// Without its undefined members.
    Map(Vec<(String, Cow<'a, str>)>),
}

/// Where a text is no template, counted in bytes from 0, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) why: &'static str,
}

/// Why values give no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// Section 2.4.1: a prefix can't be taken of a list or an associative array.
    PrefixOfComposite { variable: String },
    /// Longer than the limit given.
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expression { operator: &'static Operator, variables: Vec<Variable> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    name: String,
    modifier: Modifier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Modifier {
    None,
    /// At most so many characters.
    Prefix(usize),
    Explode,
}

/// A row of the table in appendix A.
#[derive(Debug, PartialEq, Eq)]
struct Operator {
    first: &'static str,
    separator: char,
    naming: Naming,
    encoding: Encoding,
}

/// Whether values stand after the name of their variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Unnamed,
    /// And what stands between name and value if the value is empty.
    Named {
        if_empty: &'static str,
    },
}

/// Which characters of a value stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// Unreserved ones.
    Unreserved,
    /// Reserved ones too, and what is percent-encoded already.
    Reserved,
}

impl Operator {
    const SIMPLE: Self = Self::new("", ',', Naming::Unnamed, Encoding::Unreserved);
    const RESERVED: Self = Self::new("", ',', Naming::Unnamed, Encoding::Reserved);
    const FRAGMENT: Self = Self::new("#", ',', Naming::Unnamed, Encoding::Reserved);
    const LABEL: Self = Self::new(".", '.', Naming::Unnamed, Encoding::Unreserved);
    const SEGMENTS: Self = Self::new("/", '/', Naming::Unnamed, Encoding::Unreserved);
    const PARAMETERS: Self =
        Self::new(";", ';', Naming::Named { if_empty: "" }, Encoding::Unreserved);
    const QUERY: Self = Self::new("?", '&', Naming::Named { if_empty: "=" }, Encoding::Unreserved);
    const QUERY_GOES_ON: Self =
        Self::new("&", '&', Naming::Named { if_empty: "=" }, Encoding::Unreserved);

    const fn new(first: &'static str, separator: char, naming: Naming, encoding: Encoding) -> Self {
        Self { first, separator, naming, encoding }
    }

    /// The operator at the front of an expression, if there is one.
    fn of(character: char) -> Option<&'static Self> {
        match character {
            '+' => Some(&Self::RESERVED),
            '#' => Some(&Self::FRAGMENT),
            '.' => Some(&Self::LABEL),
            '/' => Some(&Self::SEGMENTS),
            ';' => Some(&Self::PARAMETERS),
            '?' => Some(&Self::QUERY),
            '&' => Some(&Self::QUERY_GOES_ON),
            _ => None,
        }
    }
}

impl Template {
    /// Takes a template apart.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if let Some(inside) = rest.strip_prefix('{') {
                let length = inside
                    .find('}')
                    .ok_or(SyntaxError { at, why: "the { is never closed: add a }" })?;
                parts.push(parse_expression(&inside[..length], at + 1)?);
                at += length + 2;
            } else {
                let literal = &rest[..rest.find('{').unwrap_or(rest.len())];
                check_literal(literal, at)?;
                parts.push(Part::Literal(literal.to_owned()));
                at += literal.len();
            }
        }
        Ok(Self { parts })
    }

    /// The template with a value for each variable.
    ///
    /// Stops once it is longer than `bytes_max`: one variable of 256 KiB named a thousand times must not fill the
    /// memory before somebody looks at the length.
    pub(super) fn expand<'a>(
        &self,
        bytes_max: usize,
        lookup: impl Fn(&str) -> Value<'a>,
    ) -> Result<String, ExpandError> {
        let mut out = String::with_capacity(256);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expression { operator, variables } => {
                    let mut expansion = Expansion::new(&mut out, operator);
                    for variable in variables {
                        expansion.add(variable, &lookup(&variable.name))?;
                        if expansion.out.len() > bytes_max {
                            return Err(ExpandError::TooLong);
                        }
                    }
                }
            }
        }
        if out.len() > bytes_max { Err(ExpandError::TooLong) } else { Ok(out) }
    }
}

/// What stands between the braces at byte `at`.
fn parse_expression(inside: &str, at: usize) -> Result<Part, SyntaxError> {
    let first =
        inside.chars().next().ok_or(SyntaxError { at, why: "a tag needs a name: {NAME}" })?;
    if matches!(first, '=' | ',' | '!' | '@' | '|') {
        return Err(SyntaxError {
            at,
            why: "this operator has no meaning: use one of + # . / ; ? &",
        });
    }
    let operator = Operator::of(first);
    let (list, mut at) = if operator.is_some() { (&inside[1..], at + 1) } else { (inside, at) };
    let mut variables = Vec::new();
    for text in list.split(',') {
        variables.push(parse_variable(text, at)?);
        at += text.len() + 1;
    }
    Ok(Part::Expression { operator: operator.unwrap_or(&Operator::SIMPLE), variables })
}

fn parse_variable(text: &str, at: usize) -> Result<Variable, SyntaxError> {
    let (name, modifier) = if let Some(name) = text.strip_suffix('*') {
        (name, Modifier::Explode)
    } else if let Some((name, length)) = text.split_once(':') {
        let digits = (1..=4).contains(&length.len()) && length.bytes().all(|b| b.is_ascii_digit());
        let length = if digits && !length.starts_with('0') { length.parse().ok() } else { None };
        let at = at + name.len() + 1;
        let why = "the length after : is a number from 1 to 9999";
        (name, Modifier::Prefix(length.ok_or(SyntaxError { at, why })?))
    } else {
        (text, Modifier::None)
    };
    if is_name(name) {
        Ok(Variable { name: name.to_owned(), modifier })
    } else {
        Err(SyntaxError { at, why: "a tag's name is made of A-Z a-z 0-9 _ and single dots within" })
    }
}

/// Section 2.3. Percent-encoded triplets are part of the name and not decoded.
fn is_name(text: &str) -> bool {
    text.split('.').all(|word| {
        let mut rest = word;
        while let Some(character) = rest.chars().next() {
            let length = match character {
                '%' if triplet(rest).is_some() => 3,
                '_' => 1,
                letter if letter.is_ascii_alphanumeric() => 1,
                _ => return false,
            };
            rest = &rest[length..];
        }
        !word.is_empty()
    })
}

/// The byte that the percent-encoded triplet at the front stands for.
fn triplet(text: &str) -> Option<u8> {
    let &[b'%', high, low, ..] = text.as_bytes() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Section 2.1. Other than ASCII characters are percent-encoded by whoever parses the URL.
fn check_literal(text: &str, start: usize) -> Result<(), SyntaxError> {
    for (index, character) in text.char_indices() {
        let why = match character {
            '}' => "this } closes nothing: remove it, or write %7D",
            '%' if triplet(&text[index..]).is_none() => {
                "a % is followed by two hexadecimal digits: write %25 for the character itself"
            }
            '"' | '<' | '>' | '\\' | '^' | '`' | '|' => {
                "this character can't stand in a URL: percent-encode it"
            }
            other if other.is_control() || other.is_whitespace() => {
                "spaces and control characters can't stand in a URL: percent-encode them"
            }
            _ => continue,
        };
        return Err(SyntaxError { at: start + index, why });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
