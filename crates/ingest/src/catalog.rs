//! Events are what their types say, or not taken: the same for HTTP and for AMQP.

use std::sync::Arc;

use ringback_api::{FieldError, NotOfItsType, Pointer, Types};
use ringback_core::Account;

use crate::wire::WellFormed;

/// Checks events against the catalog, out of memory.
pub(crate) struct Gate {
    types: Arc<Types>,
}

impl Gate {
    pub(crate) fn new(types: Arc<Types>) -> Self {
        Self { types }
    }

    /// Takes note of changes: once for each request, or each batch. No query unless something changed.
    pub(crate) async fn refresh(&self) {
        self.types.now().await;
    }

    /// Checks an event of this account, as of the last [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// All that is wrong with it, where it stands.
    pub(crate) fn check(
        &self,
        event: &WellFormed,
        account: &Account,
    ) -> Result<(), Vec<FieldError>> {
        let WellFormed { name, variables, .. } = event;
        self.types.known().check(name, account, variables).map_err(|why| match why {
            NotOfItsType::Unknown => {
                let detail = format!(
                    "the catalog has no event type `{name}`, and account `{account}` takes no others (it is strict)"
                );
                vec![FieldError::new(&*event.name_at, detail)]
            }
            NotOfItsType::Variables(violations) => {
                let error = |violation: &ringback_core::catalog::Violation| {
                    let member = String::from(Pointer::root().join(&violation.variable));
                    let pointer = format!("{}{member}", event.variables_at);
                    FieldError::new(pointer, violation.to_string())
                };
                violations.iter().map(error).collect()
            }
        })
    }
}
