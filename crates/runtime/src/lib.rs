//! What every process needs and no domain: a clock that tests can hold, tasks that stop in order, logs.

pub mod clock;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;

pub use clock::{Clock, SystemClock};
pub use shutdown::Shutdown;
pub use supervisor::{BoxError, Supervisor, TaskGroup};
