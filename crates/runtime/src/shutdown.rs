//! The request to stop, passed by value to whoever has to hear it.

use tokio_util::sync::CancellationToken;

/// A request to stop that can be made, looked at and waited for. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// One that nobody has asked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns once it is asked for.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost by dropping it.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}
