//! One process of a Lambda function, from its start until it has answered its first event.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::timeout;

use crate::aws::Aws;
use crate::runtime_api::RuntimeApi;

/// Longer than any of them takes, also on a busy machine.
const LONGEST: Duration = Duration::from_mins(2);

/// How often to look whether a process has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A program that Lambda could run.
#[derive(Clone, Debug)]
pub(crate) struct LambdaProgram {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// What the first event of a process has taken.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    /// From the start of the process until its first calls of AWS were answered.
    pub(crate) first_calls: Duration,
    /// The peak of the resident memory until its answer, in bytes.
    pub(crate) peak_memory: u64,
}

impl LambdaProgram {
    /// Starts a process, gives it the event, and ends it after its answer. It begins with so many calls of AWS.
    pub(crate) async fn start(
        &self,
        event: &Value,
        aws: &Aws,
        first_calls: usize,
    ) -> Result<Started> {
        let mut runtime = RuntimeApi::start(event.clone()).await?;
        aws.forget_calls();
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime.address.to_string())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let start = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("failed to start {}", self.path.display()))?;
        let mut child = Ended(child);
        loop {
            if let Ok(answer) = timeout(POLL_INTERVAL, runtime.answer()).await {
                answer.with_context(|| self.path.display().to_string())?;
                break;
            }
            let ended = child.0.try_wait()?;
            ensure!(
                ended.is_none() && start.elapsed() < LONGEST,
                "{} has not answered within {LONGEST:?}, or has ended: {ended:?}",
                self.path.display()
            );
        }
        let answered_at = aws.answered_at(first_calls).with_context(|| {
            format!(
                "{} made fewer than {first_calls} calls of AWS",
                self.path.display()
            )
        })?;
        Ok(Started {
            first_calls: answered_at - start,
            peak_memory: peak_memory(child.0.id())?,
        })
    }
}

/// A process that is ended on drop.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The peak of the resident memory of a process, in bytes.
///
/// Source: Linux manual page `proc_pid_status(5)`, `VmHWM`.
fn peak_memory(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path)
        .with_context(|| format!("{path}: memory is measured on Linux only"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().next());
    let kilobytes: u64 = kilobytes
        .with_context(|| format!("{path} has no VmHWM"))?
        .parse()?;
    Ok(kilobytes * 1_024)
}
