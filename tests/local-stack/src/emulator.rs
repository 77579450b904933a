//! The emulator's process: it listens on a free port and ends with this process.

use std::fs::{self, DirBuilder};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::http;

const WRAPPER: &str = include_str!("../emulator.py");
/// A start takes well under a second; a machine that builds at the same time may need more.
const MAX_START_TIME: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Another process may take the free port before the emulator binds it; then another port is tried.
const MAX_START_ATTEMPTS: usize = 3;

/// A running emulator with a directory for its files. It is stopped and the directory deleted on
/// drop, and also when this process ends in any other way: see `emulator.py`.
pub(crate) struct Emulator {
    wrapper: Child,
    directory: PathBuf,
    pub(crate) endpoint: SocketAddr,
}

impl Emulator {
    /// Starts the emulator and waits until it is ready. Its functions have these environment variables, too.
    pub(crate) async fn start(python: &Path, environment: &[(&str, String)]) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let mut emulator = Self::spawn(python, environment)?;
            match emulator.ready().await {
                Ok(()) => return Ok(emulator),
                Err(_) if attempt < MAX_START_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(python: &Path, environment: &[(&str, String)]) -> Result<Self> {
        let directory = make_directory()?;
        let endpoint = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let path_in_directory = |name: &str| directory.join(name).into_os_string();
        let wrapper = Command::new(python)
            .args(["-c", WRAPPER])
            .arg(&directory)
            // Functions inherit the emulator's whole environment. Without this they would see the
            // caller's AWS credentials and settings.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &directory)
            .env("TMPDIR", &directory)
            .env("STATE_DIR", path_in_directory("state"))
            .env("S3_DATA_DIR", path_in_directory("s3"))
            .env("PERSIST_STATE", "0")
            .env("S3_PERSIST", "0")
            .env("BIND_HOST", endpoint.ip().to_string())
            .env("MINISTACK_HOST", endpoint.ip().to_string())
            .env("GATEWAY_PORT", endpoint.port().to_string())
            .env("MINISTACK_REGION", http::REGION)
            // Without it, functions would call AWS.
            .env("AWS_ENDPOINT_URL", format!("http://{endpoint}"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("AUTH", "true")
            .env("AWS_ACCESS_KEY_ID", http::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", http::SECRET_KEY)
            .env("LAMBDA_EXECUTOR", "local")
            .env(
                "DOCKER_HOST",
                format!("unix://{}", directory.join("no-docker").display()),
            )
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            // Ctrl-C must reach this process only: the wrapper still has to delete the directory.
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to run {}", python.display()))?;
        Ok(Self {
            wrapper,
            directory,
            endpoint,
        })
    }

    /// Waits until this emulator, not another process on its port, accepts requests.
    async fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.wrapper.try_wait()? {
                bail!(
                    "the emulator ended ({status}) before it was ready:\n{}",
                    self.log()
                );
            }
            let is_bound = self.log().contains("Running on http");
            if is_bound && self.get("/_ministack/ready").await.is_ok() {
                return Ok(());
            }
            if start.elapsed() > MAX_START_TIME {
                bail!(
                    "the emulator was not ready within {MAX_START_TIME:?}:\n{}",
                    self.log()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The output of the emulator and of the functions.
    pub(crate) fn log(&self) -> String {
        fs::read(self.directory.join("emulator.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Result<String> {
        http::call(self.endpoint, "ministack", "GET", path, &[], "").await
    }

    /// Multiplies every Wait and every delay before a retry of all state machines by `scale`.
    pub(crate) async fn scale_waits(&self, scale: f64) -> Result<()> {
        let key = "stepfunctions._SFN_WAIT_SCALE";
        let body = json!({ key: scale }).to_string();
        let path = "/_ministack/config";
        let answer = http::call(self.endpoint, "ministack", "POST", path, &[], body).await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        // The emulator answers 200 even if it refuses a setting.
        if answer.pointer(&format!("/applied/{key}")).is_none() {
            bail!("the emulator refused the scale {scale}: {answer}");
        }
        Ok(())
    }

    /// The resident memory of the emulator, its wrapper and the functions.
    pub(crate) fn resident_kilobytes(&self) -> Result<u64> {
        let processes = self.processes()?;
        Ok(processes
            .iter()
            .map(|process| process.resident_kilobytes)
            .sum())
    }

    /// Kills the processes of a function with SIGKILL, and returns how many there were.
    pub(crate) async fn kill(&self, function_name: &str) -> Result<usize> {
        let variable = format!("AWS_LAMBDA_FUNCTION_NAME={function_name}");
        let mut processes = self.processes()?;
        processes.retain(|process| {
            let environment = fs::read(format!("/proc/{}/environ", process.id)).unwrap_or_default();
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|found| found == variable.as_bytes())
        });
        for process in &processes {
            let id = process.id.to_string();
            let killed = Command::new("sh")
                .args(["-c", "kill -KILL \"$0\"", &id])
                .status()?;
            ensure!(killed.success(), "failed to kill the process {id}");
            while is_alive(process.id) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(processes.len())
    }

    /// The processes of the emulator, its wrapper and the functions.
    fn processes(&self) -> Result<Vec<Process>> {
        let mut processes = processes()?;
        let mut ours = vec![self.wrapper.id()];
        // The list has no particular order, so repeat until no further child is found.
        loop {
            let before = ours.len();
            for process in &processes {
                if ours.contains(&process.parent) && !ours.contains(&process.id) {
                    ours.push(process.id);
                }
            }
            if ours.len() == before {
                break;
            }
        }
        processes.retain(|process| ours.contains(&process.id));
        Ok(processes)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The wrapper stops the emulator when its standard input is closed.
        drop(self.wrapper.stdin.take());
        let _ = self.wrapper.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn make_directory() -> Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("cutover-{}-{count}", std::process::id()));
    if directory.exists() {
        // An earlier process with the same id left it.
        fs::remove_dir_all(&directory)?;
    }
    DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("failed to create {}", directory.display()))?;
    Ok(directory)
}

struct Process {
    id: u32,
    parent: u32,
    resident_kilobytes: u64,
}

/// All processes, from Linux's `/proc`.
fn processes() -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").context("processes can be listed on Linux only")?;
    let processes = entries.filter_map(|entry| {
        let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // A process that has ended since is left out.
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let number = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        Some(Process {
            id,
            parent: number("PPid:")?.try_into().ok()?,
            resident_kilobytes: number("VmRSS:").unwrap_or_default(),
        })
    });
    Ok(processes.collect())
}

/// Whether a process runs. A killed process stays listed as a zombie until its parent waits for it.
fn is_alive(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
}
