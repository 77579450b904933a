//! A virtual clock, which advances only when no task can continue, so that a history of hours takes
//! milliseconds and every run of it is the same.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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
    /// The sleepers by deadline. Of equal deadlines, the one that came first is first.
    sleeping: BTreeMap<SleeperKey, Waker>,
    count: u64,
    latency: Latency,
}

/// Deadline and number of a sleeper.
type SleeperKey = (Duration, u64);

/// The longest time of a call that hangs: less than the timeout of `shift-weight` and `rollback`.
const LONGEST_CALL: Duration = Duration::from_secs(119);

/// How long a call to AWS takes until it arrives.
pub enum Latency {
    Same(Duration),
    /// Random up to this time, and in one of 256 calls 20 to 119 seconds.
    UpTo(Duration, Rng),
}

impl Latency {
    /// The longest time that a call may take.
    pub fn longest(&self) -> Duration {
        match self {
            Self::Same(time) => *time,
            Self::UpTo(time, _) => (*time).max(LONGEST_CALL),
        }
    }
}

/// A wait of a task. Dropped, it no longer holds the clock.
pub struct Sleep {
    clock: Clock,
    time: Duration,
    key: Option<SleeperKey>,
}

impl Clock {
    pub fn new(latency: Latency) -> Self {
        Self(Arc::new(Mutex::new(Sleepers {
            now: Duration::ZERO,
            sleeping: BTreeMap::new(),
            count: 0,
            latency,
        })))
    }

    /// The time since the start of the history.
    pub fn elapsed(&self) -> Duration {
        self.lock().now
    }

    /// Lets calls take another time from now on.
    pub fn set_latency(&self, latency: Latency) {
        self.lock().latency = latency;
    }

    /// Lets time pass without waking a task.
    pub fn pass(&self, time: Duration) {
        self.lock().now += time;
    }

    pub fn sleep(&self, time: Duration) -> Sleep {
        Sleep {
            clock: self.clone(),
            time,
            key: None,
        }
    }

    /// Advances to the next deadline and wakes its sleeper. Returns false if nothing sleeps.
    fn advance(&self) -> bool {
        let sleeper = {
            let mut sleepers = self.lock();
            let sleeper = sleepers.sleeping.pop_first();
            if let Some(((deadline, _), _)) = &sleeper {
                sleepers.now = sleepers.now.max(*deadline);
            }
            sleeper
        };
        let is_awake = sleeper.is_some();
        if let Some((_, waker)) = sleeper {
            waker.wake();
        }
        is_awake
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut sleepers = clock.lock();
        let is_new = self.key.is_none();
        let key = match self.key {
            Some(key) => key,
            // No time passes, and nobody may advance the clock.
            None if self.time.is_zero() => return Poll::Ready(()),
            None => {
                sleepers.count += 1;
                let key = (sleepers.now + self.time, sleepers.count);
                self.key = Some(key);
                key
            }
        };
        if is_new || sleepers.sleeping.contains_key(&key) {
            sleepers.sleeping.insert(key, context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.lock().sleeping.remove(&key);
        }
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
                    Duration::from_secs(random.u64(20..=LONGEST_CALL.as_secs()))
                } else {
                    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
                    Duration::from_millis(random.u64(1..=longest))
                }
            }
        };
        Box::pin(Clock::sleep(self, latency))
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Clock::sleep(self, time))
    }
}

impl rollback::Clock for Clock {
    fn now(&self) -> SystemTime {
        Time::now(self)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        Clock::sleep(self, time)
    }
}

/// Runs the tasks of a pool, and the tasks that they spawn, until none can continue. `between` is
/// called before each advance of the clock.
pub fn run(pool: &mut LocalPool, clock: &Clock, mut between: impl FnMut()) {
    run_until(pool, clock, || {
        between();
        false
    });
}

/// The same, but no longer than until `is_reached`, which is asked before each advance of the clock.
/// Returns whether it was reached.
pub fn run_until(
    pool: &mut LocalPool,
    clock: &Clock,
    mut is_reached: impl FnMut() -> bool,
) -> bool {
    loop {
        pool.run_until_stalled();
        if is_reached() {
            return true;
        }
        pool.run_until_stalled();
        if !clock.advance() {
            return false;
        }
    }
}
