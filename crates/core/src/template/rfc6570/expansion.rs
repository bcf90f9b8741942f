//! How one expression becomes text.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Encoding, ExpandError, Modifier, Naming, Operator, Value, Variable, triplet};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// All but unreserved and reserved characters; `%` is looked at by itself.
const NOT_RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// One expression on its way into the text (section 3.2 and appendix A).
pub(super) struct Expansion<'o> {
    pub(super) out: &'o mut String,
    operator: &'static Operator,
    /// Whether a defined value was met: the next one stands after a separator.
    begun: bool,
}

impl<'o> Expansion<'o> {
    pub(super) fn new(out: &'o mut String, operator: &'static Operator) -> Self {
        Self { out, operator, begun: false }
    }

    pub(super) fn add(
        &mut self,
        variable: &Variable,
        value: &Value<'_>,
    ) -> Result<(), ExpandError> {
        let explode = variable.modifier == Modifier::Explode;
        match value {
            Value::Undefined => {}
            Value::Text(text) => {
                let text = match variable.modifier {
                    Modifier::Prefix(length) => prefix(text, length, self.operator.encoding),
                    Modifier::None | Modifier::Explode => text,
                };
                self.separate();
                self.name(&variable.name, text.is_empty());
                self.encode(text);
            }
            Value::List(_) | Value::Map(_) if matches!(variable.modifier, Modifier::Prefix(_)) => {
                return Err(ExpandError::PrefixOfComposite { variable: variable.name.clone() });
            }
            Value::List(items) if explode => {
                for item in items {
                    self.separate();
                    self.name(&variable.name, item.is_empty());
                    self.encode(item);
                }
            }
            Value::Map(members) if explode => {
                for (key, item) in members {
                    self.separate();
                    self.encode(key);
                    self.equals(item.is_empty());
                    self.encode(item);
                }
            }
            Value::List(items) => self.join(&variable.name, items.iter().map(|item| &**item)),
            Value::Map(members) => {
                let texts = members.iter().flat_map(|(key, item)| [key.as_str(), item]);
                self.join(&variable.name, texts);
            }
        }
        Ok(())
    }

    /// A list or an associative array that is not exploded: one value, with commas. None at all counts as undefined.
    fn join<'t>(&mut self, name: &str, texts: impl Iterator<Item = &'t str>) {
        for (index, text) in texts.enumerate() {
            if index == 0 {
                self.separate();
                self.name(name, false);
            } else {
                self.out.push(',');
            }
            self.encode(text);
        }
    }

    fn separate(&mut self) {
        if self.begun {
            self.out.push(self.operator.separator);
        } else {
            self.out.push_str(self.operator.first);
            self.begun = true;
        }
    }

    fn name(&mut self, name: &str, value_is_empty: bool) {
        if matches!(self.operator.naming, Naming::Named { .. }) {
            self.out.push_str(name);
            self.equals(value_is_empty);
        }
    }

    fn equals(&mut self, value_is_empty: bool) {
        self.out.push_str(match self.operator.naming {
            Naming::Named { if_empty } if value_is_empty => if_empty,
            Naming::Named { .. } | Naming::Unnamed => "=",
        });
    }

    fn encode(&mut self, text: &str) {
        match self.operator.encoding {
            Encoding::Unreserved => self.out.extend(utf8_percent_encode(text, UNRESERVED)),
            Encoding::Reserved => {
                let mut rest = text;
                while let Some(percent) = rest.find('%') {
                    self.out.extend(utf8_percent_encode(&rest[..percent], NOT_RESERVED));
                    let stays = if triplet(&rest[percent..]).is_some() { "%" } else { "%25" };
                    self.out.push_str(stays);
                    rest = &rest[percent + 1..];
                }
                self.out.extend(utf8_percent_encode(rest, NOT_RESERVED));
            }
        }
    }
}

/// The first `length` characters. Where triplets stay as they are, those that spell one character are one character.
fn prefix(text: &str, length: usize, encoding: Encoding) -> &str {
    let mut taken = 0;
    let mut count = 0;
    while let Some(character) = text[taken..].chars().next() {
        let triplet = match encoding {
            Encoding::Unreserved => None,
            Encoding::Reserved => triplet(&text[taken..]),
        };
        let continues = triplet.is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
        if !continues {
            if count == length {
                break;
            }
            count += 1;
        }
        taken += if triplet.is_some() { 3 } else { character.len_utf8() };
    }
    &text[..taken]
}
