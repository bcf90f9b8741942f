//! A text that must not be seen: not in logs, not in errors, not in answers.

use std::fmt;

/// A secret text. `Debug` shows `***`, and there is no `Display`: to use it one has to [`reveal`](Self::reveal) it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// What answers and logs show in its place.
    pub const MASK: &'static str = "***";

    /// Hides this text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}
