//! The limits of an account. Route 53's: requests, requests of each action, and changes of records. Step
//! Functions': requests of each action.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use migration::error::Throttled;

use crate::network::LIST;

/// Source of this and the next: Route 53 Developer Guide, "Throttling API requests".
const REQUESTS: Rate = Rate {
    at_once: 50,
    per_second: 10,
};
/// A CREATE and a DELETE cost one token each.
const CHANGES: Rate = Rate {
    at_once: 1_500,
    per_second: 100,
};

/// The waits between the five attempts that the SDK makes of a throttled call, as `aws::sdk_config` sets it:
/// at most 1, 2, 4 and 8 seconds, and half of that on average.
const WAITS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

#[derive(Clone, Copy)]
struct Rate {
    at_once: u32,
    per_second: u32,
}

/// Tokens, of which some are added in each second.
#[derive(Clone, Copy)]
struct Bucket {
    rate: Rate,
    tokens: f64,
}

impl Bucket {
    fn full(rate: Rate) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.at_once),
        }
    }

    fn refill(&mut self, time: Duration) {
        let added = time.as_secs_f64() * f64::from(self.rate.per_second);
        self.tokens = (self.tokens + added).min(f64::from(self.rate.at_once));
    }

    fn take(&mut self, tokens: u32) {
        self.tokens = (self.tokens - f64::from(tokens)).max(0.0);
    }
}

/// Step Functions' limit of an action: that of most Regions. Three Regions have higher ones.
///
/// Source: Step Functions Developer Guide, "Service quotas".
fn step_functions_rate(action: &str) -> Rate {
    let (at_once, per_second) = match action {
        "DescribeExecution" => (250, 10),
        "GetExecutionHistory" => (400, 20),
        "ListExecutions" => (100, 2),
        "StartExecution" => (800, 150),
        _ => (500, 25),
    };
    Rate {
        at_once,
        per_second,
    }
}

/// Step Functions' limits of an account.
pub(crate) struct StepFunctionsLimits {
    at: SystemTime,
    buckets: BTreeMap<&'static str, Bucket>,
    /// Attempts that were throttled.
    pub(crate) throttled: u32,
}

impl StepFunctionsLimits {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self {
            at: now,
            buckets: BTreeMap::new(),
            throttled: 0,
        }
    }

    /// Takes what a call of `action` needs. If there is too little, returns the wait after which the SDK
    /// repeats it, or how the call is answered if this attempt, counted from 0, was the last one.
    pub(crate) fn take(
        &mut self,
        now: SystemTime,
        action: &'static str,
        attempt: usize,
    ) -> Result<Option<Duration>, Throttled> {
        let time = now.duration_since(self.at).unwrap_or_default();
        self.at = self.at.max(now);
        for bucket in self.buckets.values_mut() {
            bucket.refill(time);
        }
        let bucket = self
            .buckets
            .entry(action)
            .or_insert_with(|| Bucket::full(step_functions_rate(action)));
        if bucket.tokens >= 1.0 {
            bucket.take(1);
            return Ok(None);
        }
        self.throttled += 1;
        let wait = WAITS.get(attempt).copied();
        wait.map(Some).ok_or_else(|| Throttled {
            action: action.to_owned(),
            answer: "Rate exceeded".to_owned(),
        })
    }
}

/// What another program takes of an account's limits: once in each period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OtherLoad {
    pub period: Duration,
    /// Pages of zones.
    pub requests: u32,
    /// CREATEs and DELETEs.
    pub changes: u32,
}

impl OtherLoad {
    /// An ExternalDNS that lists a zone with so many pages in each of its intervals, and finds nothing to do.
    pub fn external_dns(pages: u32) -> Self {
        Self {
            period: Duration::from_mins(1),
            requests: pages,
            changes: 0,
        }
    }
}

/// What the functions have used so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Requests that Route 53 carried out or refused.
    pub requests: u32,
    /// The batches among them.
    pub batches: u32,
    /// Change tokens.
    pub changes: u32,
    /// Attempts that were throttled; the SDK repeats most of them.
    pub throttled: u32,
    /// Calls that failed as throttled.
    pub failed: u32,
}

/// The limits of an account, and who else uses them.
pub(crate) struct Limits {
    at: SystemTime,
    requests: Bucket,
    requests_of: BTreeMap<&'static str, Bucket>,
    changes: Bucket,
    others: Vec<(OtherLoad, SystemTime)>,
    pub(crate) usage: Usage,
}

impl Limits {
    /// `others` begin at `now`.
    pub(crate) fn new(now: SystemTime, others: &[OtherLoad]) -> Self {
        Self {
            at: now,
            requests: Bucket::full(REQUESTS),
            requests_of: BTreeMap::new(),
            changes: Bucket::full(CHANGES),
            others: others.iter().map(|load| (*load, now)).collect(),
            usage: Usage::default(),
        }
    }

    /// Takes what a call of `action` with so many changes needs, or returns how it is answered. It is not
    /// documented whether a batch that Route 53 refuses takes tokens; here it does.
    pub(crate) fn take(
        &mut self,
        now: SystemTime,
        action: &'static str,
        changes: u32,
    ) -> Result<(), Throttled> {
        self.advance(now);
        let of_action = self
            .requests_of
            .entry(action)
            .or_insert_with(|| Bucket::full(REQUESTS));
        let is_allowed = self.requests.tokens >= 1.0
            && of_action.tokens >= 1.0
            && self.changes.tokens >= f64::from(changes);
        if !is_allowed {
            self.usage.throttled += 1;
            return Err(Throttled {
                action: action.to_owned(),
                answer: "Rate exceeded".to_owned(),
            });
        }
        self.requests.take(1);
        of_action.take(1);
        self.changes.take(changes);
        self.usage.requests += 1;
        self.usage.batches += u32::from(changes > 0);
        self.usage.changes += changes;
        Ok(())
    }

    /// The wait after which the SDK repeats a call that was throttled in this attempt, counted from 0; none
    /// after its last one.
    pub(crate) fn wait(&mut self, attempt: usize) -> Option<Duration> {
        let wait = WAITS.get(attempt).copied();
        self.usage.failed += u32::from(wait.is_none());
        wait
    }

    /// Lets time pass, in which others take tokens.
    fn advance(&mut self, now: SystemTime) {
        let mut due: Vec<(SystemTime, OtherLoad)> = Vec::new();
        for (load, next) in &mut self.others {
            while *next <= now {
                due.push((*next, *load));
                *next += load.period;
            }
        }
        due.sort_by_key(|(at, _)| *at);
        for (at, load) in due {
            self.refill(at);
            self.requests.take(load.requests);
            if let Some(listed) = self.requests_of.get_mut(LIST) {
                listed.take(load.requests);
            }
            self.changes.take(load.changes);
        }
        self.refill(now);
    }

    fn refill(&mut self, now: SystemTime) {
        let time = now.duration_since(self.at).unwrap_or_default();
        self.at = self.at.max(now);
        self.requests.refill(time);
        self.changes.refill(time);
        for bucket in self.requests_of.values_mut() {
            bucket.refill(time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::CHANGE;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn after(millis: u64) -> SystemTime {
        START + Duration::from_millis(millis)
    }

    #[test]
    fn fifty_requests_at_once_then_ten_a_second() {
        let mut limits = Limits::new(START, &[]);
        let mut taken = |at, action| {
            let calls = std::iter::repeat_with(|| limits.take(at, action, 0));
            calls.take_while(Result::is_ok).count()
        };
        assert_eq!(taken(after(0), LIST), 50);
        assert_eq!(taken(after(0), CHANGE), 0, "the account has one limit");
        assert_eq!(taken(after(2_000), CHANGE), 20);
        assert_eq!(taken(after(60_000), LIST), 50);
    }

    #[test]
    fn each_action_of_step_functions_has_a_limit_of_its_own() {
        let mut limits = StepFunctionsLimits::new(START);
        let mut taken = |at, action| {
            let calls = std::iter::repeat_with(|| limits.take(at, action, 0));
            calls
                .take_while(|answer| matches!(answer, Ok(None)))
                .count()
        };
        assert_eq!(taken(after(0), "ListExecutions"), 100);
        assert_eq!(taken(after(0), "DescribeExecution"), 250);
        assert_eq!(taken(after(3_000), "ListExecutions"), 6);
        assert_eq!(taken(after(3_000), "DescribeExecution"), 30);
        let waits = (0..5).map(|attempt| limits.take(after(3_000), "ListExecutions", attempt));
        let waits: Vec<_> = waits.map(Result::ok).collect();
        let expected = [500, 1_000, 2_000, 4_000].map(Duration::from_millis);
        assert_eq!(waits[..4], expected.map(|wait| Some(Some(wait))));
        assert_eq!(waits[4], None);
    }

    #[test]
    fn changes_at_once_then_a_hundred_a_second() {
        let mut limits = Limits::new(START, &[]);
        assert!(limits.take(after(0), CHANGE, 1_000).is_ok());
        assert!(limits.take(after(0), CHANGE, 501).is_err());
        assert!(limits.take(after(0), CHANGE, 500).is_ok());
        assert!(limits.take(after(900), CHANGE, 100).is_err());
        assert!(limits.take(after(1_000), CHANGE, 100).is_ok());
        let usage = limits.usage;
        assert_eq!(
            (usage.batches, usage.changes, usage.throttled),
            (3, 1_600, 2)
        );
    }

    #[test]
    fn others_take_their_part() {
        let load = OtherLoad {
            period: Duration::from_secs(10),
            requests: 45,
            changes: 1_400,
        };
        let mut limits = Limits::new(START, &[load]);
        assert!(limits.take(after(0), CHANGE, 101).is_err());
        assert!(limits.take(after(9_000), CHANGE, 1_000).is_ok());
        assert!(limits.take(after(10_000), CHANGE, 1).is_err());
    }
}
