//! Writes that go on when their caller goes away.

use ringback_runtime::TaskGroup;
use tokio::sync::oneshot;

use crate::Error;

/// Does what writes.
#[derive(Default)]
pub(crate) struct Writes(TaskGroup);

impl Writes {
    /// Does it to its end, even if the caller goes away: a request whose client hangs up is dropped, and that would leave
    /// a transaction open, or, between COMMIT and telling the new revision, a change that no worker hears of.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.0.start(async move {
            // A caller that is gone needs no answer.
            let _ = answer.send(work.await);
        });
        answered.await.map_err(|_| Error::stopped())?
    }
}
