//! Where in a body a mistake is.

use std::fmt;

/// A JSON pointer (RFC 6901) into the body of a request, such as `/retry/max_retries`. Empty: the whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    /// The whole body.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// A member or an element of what this points to.
    #[must_use]
    pub fn join(&self, part: impl fmt::Display) -> Self {
        let part = part.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{part}", self.0))
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slash_and_tilde_are_escaped() {
        let pointer = Pointer::root().join("headers").join("a/b~c").join(3);
        assert_eq!(String::from(pointer), "/headers/a~1b~0c/3");
    }
}
