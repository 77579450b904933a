//! The names of what a run of the self-test makes outside of the zone, by which it is found again.

use std::time::{SystemTime, UNIX_EPOCH};

/// The beginning of the names of executions.
pub(crate) const EXECUTIONS: &str = "self-test-";

/// Tells this run from others: the time in milliseconds, and the process, such as `r1795763118123p4567`.
pub(crate) fn new_run() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = since_epoch.unwrap_or_default().as_millis();
    format!("r{milliseconds}p{}", std::process::id())
}

/// Whether a name has this prefix, then this run, or any if there is none, and then nothing or a label. Other names that
/// only begin with the prefix, such as those of another stack, are not those of a self-test.
pub(crate) fn is_made_by(name: &str, prefix: &str, run: Option<&str>) -> bool {
    let Some(rest) = name.strip_prefix(prefix) else {
        return false;
    };
    let found = rest.split_once('-').map_or(rest, |(run, _)| run);
    run.map_or_else(|| is_run(found), |run| run == found)
}

fn is_run(text: &str) -> bool {
    let numbers = text.strip_prefix('r').and_then(|it| it.split_once('p'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    numbers.is_some_and(|(time, process)| is_number(time) && is_number(process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_makes_has_its_name() {
        let prefix = "cutover-self-test-";
        for name in [
            "cutover-self-test-alarm-events.fifo",
            "cutover-self-test-rollback-failed",
            "cutover-self-test-r1p",
            "cutover-self-test-r1p2x",
            "cutover-self-test-",
            "other-self-test-r1p2",
        ] {
            assert!(!is_made_by(name, prefix, None), "{name}");
        }
        for name in ["cutover-self-test-r1p2", "cutover-self-test-r1p2-alarm"] {
            assert!(is_made_by(name, prefix, None), "{name}");
            assert!(is_made_by(name, prefix, Some("r1p2")), "{name}");
            assert!(!is_made_by(name, prefix, Some("r1p22")), "{name}");
        }
        let new = format!("{prefix}{}", new_run());
        assert!(is_made_by(&new, prefix, None), "{new}");
    }
}
