//! A virtual clock, which advances only when no task can continue, so that a history of hours takes
//! milliseconds and every run of it is the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use fakes::Time;
use fastrand::Rng;
use futures_executor::LocalPool;

/// The start of every history, in seconds since 1970: 2026-11-23, 06:00 UTC.
const START_SECONDS: u64 = 1_795_413_600;

/// A handle of a virtual clock. Clones share the same clock.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<Sleepers>>);

struct Sleepers {
    now: Duration,
    /// Deadline and number of each sleeper. The earliest deadline is first; of equal deadlines, the
    /// sleeper that came first.
    sleeping: BinaryHeap<Reverse<(Duration, u64)>>,
    wakers: Vec<(u64, Waker)>,
    count: u64,
    latency: Latency,
}

/// How long a call to AWS takes until it arrives.
pub enum Latency {
    Same(Duration),
    /// Random up to this time, and in one of 256 calls 20 to 119 seconds.
    UpTo(Duration, Rng),
}

impl Clock {
    pub fn new(latency: Latency) -> Self {
        Self(Arc::new(Mutex::new(Sleepers {
            now: Duration::ZERO,
            sleeping: BinaryHeap::new(),
            wakers: Vec::new(),
            count: 0,
            latency,
        })))
    }

    /// The time since the start of the history.
    pub fn elapsed(&self) -> Duration {
        self.lock().now
    }

    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        let clock = self.clone();
        let mut sleeper: Option<(Duration, u64)> = None;
        poll_fn(move |context| {
            let mut sleepers = clock.lock();
            let (deadline, number) = *sleeper.get_or_insert_with(|| {
                sleepers.count += 1;
                let sleeper = (sleepers.now + time, sleepers.count);
                sleepers.sleeping.push(Reverse(sleeper));
                sleeper
            });
            if sleepers.now >= deadline && !sleepers.is_sleeping(number) {
                return Poll::Ready(());
            }
            sleepers.wakers.retain(|(other, _)| *other != number);
            sleepers.wakers.push((number, context.waker().clone()));
            Poll::Pending
        })
    }

    /// Advances to the next deadline and wakes its sleeper. Returns false if nothing sleeps.
    fn advance(&self) -> bool {
        let waker = {
            let mut sleepers = self.lock();
            let Some(Reverse((deadline, number))) = sleepers.sleeping.pop() else {
                return false;
            };
            sleepers.now = sleepers.now.max(deadline);
            let position = sleepers.wakers.iter().position(|(of, _)| *of == number);
            position.map(|position| sleepers.wakers.swap_remove(position).1)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleepers {
    fn is_sleeping(&self, number: u64) -> bool {
        self.wakers.iter().any(|(of, _)| *of == number)
    }
}

impl Time for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(START_SECONDS) + self.elapsed()
    }

    fn wait_latency(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let latency = match &mut self.lock().latency {
            Latency::Same(time) => *time,
            Latency::UpTo(longest, random) => {
                if random.u8(..) == 0 {
                    // A call that hangs, for less than the timeout of `shift-weight` and `rollback`.
                    Duration::from_secs(random.u64(20..120))
                } else {
                    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
                    Duration::from_millis(random.u64(1..=longest))
                }
            }
        };
        Box::pin(self.sleep(latency))
    }
}

/// Runs the tasks of a pool, and the tasks that they spawn, until none can continue. `between` is
/// called before each advance of the clock.
pub fn run(pool: &mut LocalPool, clock: &Clock, mut between: impl FnMut()) {
    loop {
        pool.run_until_stalled();
        between();
        pool.run_until_stalled();
        if !clock.advance() {
            return;
        }
    }
}
