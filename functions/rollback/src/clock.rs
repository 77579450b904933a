//! The time in which the function waits.

use std::time::{Duration, SystemTime};

/// A clock. Tests have one of their own.
pub trait Clock: Sync {
    fn now(&self) -> SystemTime;

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
