//! What a type itself has to obey.

use std::collections::HashSet;

use super::{EventType, Variable, VariableType, Violation, check};
use crate::Variables;

/// The most characters of a type's description.
pub const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// The most characters of a variable's description.
pub const VARIABLE_DESCRIPTION_CHARS_MAX: usize = 1_000;
/// The most characters of a variable's name.
pub const NAME_CHARS_MAX: usize = 256;
/// The most that a type may choose as the greatest length of a variable, in characters.
pub const LENGTH_MAX: u32 = 1_000_000;
/// The most bytes of an example, as JSON.
pub const EXAMPLE_BYTES_MAX: usize = 4_096;

/// What is wrong with one place of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the place, within the type.
    pub pointer: String,
    /// What is wrong there, and what is taken.
    pub detail: String,
}

impl EventType {
    /// All that is wrong with the type. One that has faults must not be kept.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        if !is_text(&self.description, DESCRIPTION_CHARS_MAX) {
            faults.say("/description", text_of(DESCRIPTION_CHARS_MAX));
        }
        if self.variables.len() > Variables::LEN_MAX {
            faults.say(
                "/variables",
                format!("an event has at most {} variables", Variables::LEN_MAX),
            );
            return faults.0;
        }
        let mut names = HashSet::new();
        for (index, variable) in self.variables.iter().enumerate() {
            let mut say = |member: &str, detail: String| {
                faults.say(format!("/variables/{index}/{member}"), detail);
            };
            if !names.insert(&*variable.name) {
                say("name", format!("`{}` stands there twice", shortened(&variable.name)));
            }
            variable.faults(&mut say);
        }
        faults.0
    }
}

impl Variable {
    fn faults(&self, say: &mut impl FnMut(&str, String)) {
        let chars = self.name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&chars) || self.name.chars().any(char::is_control) {
            say("name", format!("1 to {NAME_CHARS_MAX} characters, no control characters"));
        }
        if !is_text(&self.description, VARIABLE_DESCRIPTION_CHARS_MAX) {
            say("description", text_of(VARIABLE_DESCRIPTION_CHARS_MAX));
        }
        if let Some(max_length) = self.max_length {
            if self.kind != VariableType::String {
                say("max_length", "only a string has a length".to_owned());
            } else if max_length.get() > LENGTH_MAX {
                say("max_length", format!("a whole number from 1 to {LENGTH_MAX}"));
            }
        }
        let Some(example) = &self.example else { return };
        if example.as_json().get().len() > EXAMPLE_BYTES_MAX {
            say("example", format!("at most {EXAMPLE_BYTES_MAX} bytes"));
        } else if let Some(broken) = check::broken(self, Some(example.as_json())) {
            let violation = Violation { variable: "the example".to_owned(), broken };
            say("example", violation.to_string());
        }
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn say(&mut self, pointer: impl Into<String>, detail: String) {
        self.0.push(Fault { pointer: pointer.into(), detail });
    }
}

/// Not every store keeps the character numbered 0, and no page shows the others.
fn is_text(text: &str, chars_max: usize) -> bool {
    let is_shown = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().count() <= chars_max && text.chars().all(is_shown)
}

fn text_of(chars_max: usize) -> String {
    format!("at most {chars_max} characters, no control characters but tabs and line breaks")
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}
