//! The number of attempts, the concurrency and the deadline, without any network access.

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

/// Makes attempts until `successes` of them have succeeded, or until this has become
/// impossible within `attempts`; then returns the last problem. `attempt` gets its
/// number, which starts at 0.
pub(crate) async fn try_until_decided<P>(
    attempts: u32,
    successes: u32,
    mut attempt: impl AsyncFnMut(u32) -> Result<(), P>,
) -> Result<(), P> {
    let allowed_failures = attempts.saturating_sub(successes);
    let (mut succeeded, mut failed) = (0, 0);
    loop {
        match attempt(succeeded + failed).await {
            Ok(()) => {
                succeeded += 1;
                if succeeded >= successes {
                    return Ok(());
                }
            }
            Err(problem) if failed >= allowed_failures => return Err(problem),
            Err(_) => failed += 1,
        }
    }
}

/// The results of the tasks that finish before `deadline`, in the order in which they
/// finish. At most `concurrency` tasks run at once.
pub(crate) async fn finished_before<T>(
    deadline: Instant,
    concurrency: usize,
    tasks: impl Iterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    stream::iter(tasks)
        .buffer_unordered(concurrency)
        .take_until(sleep_until(deadline))
        .collect()
        .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    async fn check(
        attempts: u32,
        successes: u32,
        results: &[Result<(), &str>],
        expect: Result<(), &str>,
    ) {
        let mut made = 0;
        let outcome = try_until_decided(attempts, successes, async |number| {
            assert_eq!(number, made);
            made += 1;
            results[number as usize]
        })
        .await;
        assert_eq!(outcome, expect);
        assert_eq!(made as usize, results.len(), "number of attempts");
    }

    #[tokio::test]
    async fn attempts_stop_once_the_result_is_decided() {
        check(3, 2, &[Ok(()), Ok(())], Ok(())).await;
        check(3, 2, &[Ok(()), Err("a"), Ok(())], Ok(())).await;
        check(3, 2, &[Err("a"), Ok(()), Ok(())], Ok(())).await;
        check(3, 2, &[Err("a"), Err("b")], Err("b")).await;
        check(3, 2, &[Ok(()), Err("a"), Err("b")], Err("b")).await;
        check(1, 1, &[Err("a")], Err("a")).await;
        check(3, 1, &[Err("a"), Err("b"), Ok(())], Ok(())).await;
        check(3, 3, &[Ok(()), Ok(()), Err("a")], Err("a")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn task_unfinished_at_the_deadline_is_left_out() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let started = Cell::new(0);
        let started = &started;
        let tasks = [1, 9, 2, 9, 9].into_iter().map(|seconds| async move {
            started.set(started.get() + 1);
            sleep(Duration::from_secs(seconds)).await;
            seconds
        });
        assert_eq!(finished_before(deadline, 2, tasks).await, [1, 2]);
        assert_eq!(Instant::now(), deadline);
        assert_eq!(started.get(), 4, "number of tasks that were started");
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_running_tasks_is_limited_by_concurrency() {
        let running = Cell::new(0);
        let most = Cell::new(0);
        let (running, most) = (&running, &most);
        let tasks = (0..50).map(|seconds| async move {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            sleep(Duration::from_secs(seconds % 7 + 1)).await;
            running.set(running.get() - 1);
        });
        let deadline = Instant::now() + Duration::from_hours(1);
        assert_eq!(finished_before(deadline, 8, tasks).await.len(), 50);
        assert_eq!(most.get(), 8);
    }
}
