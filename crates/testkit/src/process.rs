//! Programs under test, as processes of their own: started, watched, killed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How to start a program. Can be started any number of times, which is how a restart is made.
///
/// Its environment is `PATH`, `HOME` and what it is given: nothing of the developer's shell leaks into a test.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    directory: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Launch {
    /// This program, in this working directory.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            directory: directory.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Another program, such as another version of the same.
    #[must_use]
    pub fn binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// With this argument after those so far.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With these arguments after those so far.
    #[must_use]
    pub fn args(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// With this environment variable, in place of an earlier one of its name.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(earlier, _)| earlier != name);
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&self) -> anyhow::Result<Process> {
        let inherited =
            ["PATH", "HOME"].map(|name| (name, std::env::var_os(name).unwrap_or_default()));
        let mut child = Command::new(&self.binary)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(inherited)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let output = Output::create()?;
        let (progress, _) = watch::channel(Progress::default());
        let stdout = child.stdout.take().context("standard output was piped")?;
        let stderr = child.stderr.take().context("standard error was piped")?;
        tokio::spawn(copy(stdout, output.clone(), progress.clone()));
        tokio::spawn(copy(stderr, output.clone(), progress.clone()));
        let id = child.id().context("a process just started has an id")?;
        Ok(Process { child, id, output, progress })
    }

    /// Starts it, and waits for a line of its output that holds `marker`. Gives what stands after the marker.
    ///
    /// # Errors
    /// If it can't be started, ends, or has not said so by the deadline.
    pub async fn start_ready(
        &self,
        marker: &str,
        deadline: Duration,
    ) -> anyhow::Result<(Process, String)> {
        let process = self.start()?;
        let rest = process.wait_for_line(marker, deadline).await?;
        Ok((process, rest))
    }
}

/// A running program. It is killed when this is dropped; when that is because the test failed, the end of what it said
/// is printed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    id: u32,
    output: Output,
    progress: watch::Sender<Progress>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Processor time, in user and kernel mode, of all its threads.
    pub cpu: Duration,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// Resident memory at its most.
    pub resident_bytes_peak: u64,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// All it has written to standard output and standard error.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.read()
    }

    /// Waits for a line that holds `marker`, among those written already or to come. Gives what stands after it.
    ///
    /// # Errors
    /// If the process ends without writing one, or has not by the deadline.
    pub async fn wait_for_line(&self, marker: &str, deadline: Duration) -> anyhow::Result<String> {
        let mut progress = self.progress.subscribe();
        let found = tokio::time::timeout(deadline, async {
            loop {
                let over = progress.borrow_and_update().is_over();
                let found = self.output.after(marker);
                if found.is_some() || over || progress.changed().await.is_err() {
                    return found;
                }
            }
        });
        match found.await {
            Ok(Some(rest)) => Ok(rest),
            Ok(None) => {
                bail!("the process ended without saying `{marker}`:\n{}", self.output.tail())
            }
            Err(_) => bail!("no `{marker}` after {deadline:?}:\n{}", self.output.tail()),
        }
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// If the system does not let us.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a process")
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Errors
    /// If it is gone already.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        // The shell's own `kill`: safe Rust has no other without one more dependency.
        let id = self.child.id().context("the process is gone already")?;
        let status =
            Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id.to_string()]).status().await?;
        ensure!(status.success(), "kill -TERM {id}: {status}");
        Ok(())
    }

    /// Waits for its end, and for all it had to say. A signal's end has no code.
    ///
    /// # Errors
    /// If it, or a child that shares its output, is still running at the deadline.
    pub async fn wait_exit(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let mut progress = self.progress.subscribe();
        let ended = tokio::time::timeout(deadline, async {
            let status = self.child.wait().await;
            let said_all = progress.wait_for(|progress| progress.is_over()).await;
            said_all.map(|_| status).context("the tasks that copy output hold on to its progress")
        });
        match ended.await {
            Ok(status) => status?.context("waiting for a process"),
            Err(_) => bail!("the process still runs after {deadline:?}:\n{}", self.output.tail()),
        }
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// If it is gone, or the system has no `/proc`.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        // Linux counts these in hundredths of a second on every architecture, whatever the kernel's own tick.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        // The name, in brackets, may hold blanks: fields are counted from behind it. utime and stime are 14 and 15.
        let (_, fields) =
            stat.rsplit_once(") ").context("/proc/<pid>/stat has a name in brackets")?;
        let ticks: u32 = fields.split(' ').skip(11).take(2).map(|n| n.parse().unwrap_or(0)).sum();
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        Ok(Usage {
            cpu: TICK * ticks,
            resident_bytes: status_bytes(&status, "VmRSS:")?,
            resident_bytes_peak: status_bytes(&status, "VmHWM:")?,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- process {} said last:\n{}---", self.id, self.output.tail());
        }
    }
}

fn status_bytes(status: &str, field: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.with_context(|| format!("/proc/<pid>/status has {field}"))?.parse()?;
    Ok(kib * 1024)
}

/// The file that a process's output goes to.
#[derive(Clone, Debug)]
struct Output {
    file: Arc<Mutex<File>>,
    directory: Arc<TempDir>,
}

impl Output {
    fn create() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("ringback-test-output-").tempdir()?;
        let file = File::create(Self::path(&directory))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), directory: Arc::new(directory) })
    }

    fn path(directory: &TempDir) -> PathBuf {
        directory.path().join("output.log")
    }

    fn write(&self, line: &[u8]) {
        let mut file = self.file.lock().expect("nothing panics while it holds the file");
        // Output that can't be kept must not stop the process that is under test.
        let _ = file.write_all(line);
    }

    fn read(&self) -> String {
        let bytes = fs::read(Self::path(&self.directory)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What stands after `marker` in the first line that holds it.
    fn after(&self, marker: &str) -> Option<String> {
        let output = self.read();
        output.lines().find_map(|line| line.split_once(marker)).map(|(_, rest)| rest.to_owned())
    }

    fn tail(&self) -> String {
        const LINES: usize = 60;
        let output = self.read();
        let skipped = output.lines().count().saturating_sub(LINES);
        output.lines().skip(skipped).flat_map(|line| [line, "\n"]).collect()
    }
}

/// How far a process's output is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    lines: u64,
    ended_streams: u8,
}

impl Progress {
    /// Whether standard output and standard error have both ended.
    fn is_over(self) -> bool {
        self.ended_streams == 2
    }
}

async fn copy(stream: impl AsyncRead + Unpin, output: Output, progress: watch::Sender<Progress>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        output.write(&line);
        progress.send_modify(|progress| progress.lines += 1);
        line.clear();
    }
    progress.send_modify(|progress| progress.ended_streams += 1);
}

/// A loopback port that nobody listens on now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The `ringback` binary that is under test: the one `cargo xtask test` names in `RINGBACK_BIN`, else the one that was
/// built last in the target directory of the running test.
///
/// # Errors
/// If there is none.
pub fn ringback_binary() -> anyhow::Result<PathBuf> {
    let binary = match std::env::var_os("RINGBACK_BIN") {
        Some(binary) => PathBuf::from(binary),
        None => beside_test()?.join("ringback"),
    };
    ensure!(
        binary.is_file(),
        "there is no binary at {}: `cargo xtask test` builds it and runs the tests with it",
        binary.display()
    );
    Ok(binary)
}

/// The `ringback` binary of another version, for tests of upgrades: `cargo xtask upgrade-test` names it in
/// `RINGBACK_OLD_BINARY`.
///
/// # Errors
/// If nobody said where it is.
pub fn old_ringback_binary() -> anyhow::Result<PathBuf> {
    let binary = std::env::var_os("RINGBACK_OLD_BINARY");
    binary.map(PathBuf::from).context(
        "RINGBACK_OLD_BINARY is not set: `cargo xtask upgrade-test` builds another version and runs the test with it",
    )
}

/// The interpreter of the Python environment that tests use, with all of `tests/python/requirements.txt` in it.
///
/// # Errors
/// If nobody said where it is.
pub fn python() -> anyhow::Result<PathBuf> {
    let interpreter = std::env::var_os("RINGBACK_TEST_PYTHON");
    let interpreter = interpreter
        .context("`cargo xtask test` makes the Python environment and runs the tests with it")?;
    Ok(PathBuf::from(interpreter))
}

/// `target/debug`, where the test runs as `target/debug/deps/<name>`.
fn beside_test() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let directory =
        test.parent().and_then(Path::parent).context("a test runs in a target directory")?;
    Ok(directory.to_owned())
}
