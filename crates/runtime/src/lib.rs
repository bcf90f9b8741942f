//! What every process needs and no domain: a clock that tests can hold, tasks that stop in order, logs,
//! spans.

mod causes;
pub mod clock;
pub mod outage;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod trace;

pub use causes::with_causes;
pub use clock::{Clock, SystemClock};
pub use outage::Outage;
pub use shutdown::Shutdown;
pub use supervisor::{BoxError, Supervisor, TaskGroup};
pub use trace::Tracer;
