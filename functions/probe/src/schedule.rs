//! How often, how many at once and until when: no network in here.

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

/// Tries until `successes` of `attempts` have succeeded, or until so many can't
/// succeed any more; then the last problem. `attempt` gets its number, from 0 on.
pub(crate) async fn enough<P>(
    attempts: u32,
    successes: u32,
    mut attempt: impl AsyncFnMut(u32) -> Result<(), P>,
) -> Result<(), P> {
    let spare = attempts.saturating_sub(successes);
    let (mut succeeded, mut failed) = (0, 0);
    loop {
        match attempt(succeeded + failed).await {
            Ok(()) => {
                succeeded += 1;
                if succeeded >= successes {
                    return Ok(());
                }
            }
            Err(problem) if failed >= spare => return Err(problem),
            Err(_) => failed += 1,
        }
    }
}

/// What those of the tasks give that finish before `deadline`, in the order in
/// which they finish; at most `concurrency` of them run at once.
pub(crate) async fn until<T>(
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
        script: &[Result<(), &str>],
        expect: Result<(), &str>,
    ) {
        let mut made = 0;
        let outcome = enough(attempts, successes, async |number| {
            assert_eq!(number, made);
            made += 1;
            script[number as usize]
        })
        .await;
        assert_eq!(outcome, expect);
        assert_eq!(made as usize, script.len(), "attempts made");
    }

    #[tokio::test]
    async fn attempts_end_when_it_is_decided() {
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
    async fn what_is_late_is_left_out() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let started = Cell::new(0);
        let started = &started;
        let tasks = [1, 9, 2, 9, 9].into_iter().map(|seconds| async move {
            started.set(started.get() + 1);
            sleep(Duration::from_secs(seconds)).await;
            seconds
        });
        assert_eq!(until(deadline, 2, tasks).await, [1, 2]);
        assert_eq!(Instant::now(), deadline);
        assert_eq!(started.get(), 4, "the last one was never begun");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_and_no_more_run_at_once() {
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
        assert_eq!(until(deadline, 8, tasks).await.len(), 50);
        assert_eq!(most.get(), 8);
    }
}
