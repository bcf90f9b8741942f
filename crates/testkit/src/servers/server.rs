//! A server as a process: killed, started again, paused, measured.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::{blocking, tree};

/// RabbitMQ takes 4 s alone on two processors. Tests are not alone.
const START_DEADLINE: Duration = Duration::from_secs(150);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// How a server is started: the same way each time, so that it finds its data again and is found where it was.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
    /// Whom it runs as, if not as ourselves.
    pub(super) account: Option<Account>,
    /// What its log says when it takes connections. A connection alone proves nothing: somebody else may have the port.
    pub(super) ready: &'static str,
    /// Asks it to stop in good order, whoever is connected.
    pub(super) stop_signal: &'static str,
    /// Ends it at once, leaving nothing of the system's behind.
    pub(super) drop_signal: &'static str,
}

/// A user of the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// A private server of whatever kind.
///
/// All of it goes when this is dropped: the process, what it has started, its data. When that is because the test
/// failed, the end of its log is printed.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    directory: Arc<TempDir>,
    pid: u32,
    running: Option<Running>,
}

impl Server {
    /// Starts a server on `N` free ports, others than the first if somebody is quicker.
    ///
    /// # Errors
    /// If it can't be started, ends, or takes no connections by the deadline: with the end of its log.
    pub(super) fn start<const N: usize>(
        directory: TempDir,
        launch: impl Fn([u16; N]) -> Launch,
    ) -> anyhow::Result<(Self, [u16; N])> {
        const ATTEMPTS: usize = 5;
        let directory = Arc::new(directory);
        let mut attempt = 1;
        loop {
            let mut ports = [0; N];
            for port in &mut ports {
                *port = free_port()?;
            }
            let launch = launch(ports);
            match Running::start(&launch, directory.path()) {
                Ok(running) => {
                    let pid = running.child.id();
                    return Ok((Self { launch, directory, pid, running: Some(running) }, ports));
                }
                Err(error) if error.is::<PortTaken>() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Its process id; that of the last start if it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it and all that it has started at once (SIGKILL), as a loss of power would, and waits until they are gone.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        let mut running = self.running.take().with_context(|| self.not_running())?;
        blocking(move || running.kill()).await
    }

    /// Asks it to stop in good order, and waits until it is gone. Its data stays, for
    /// [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// If it does not run, or still does after 30 s.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut running = self.running.take().with_context(|| self.not_running())?;
        let signal = self.launch.stop_signal;
        blocking(move || running.end(signal, STOP_DEADLINE)).await
    }

    /// Starts it again after it was killed or stopped, with its data and on its port.
    ///
    /// # Errors
    /// If it runs, can't be started, ends, or takes no connections by the deadline: with the end of its log.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "{} still runs", self.launch.name);
        let (launch, directory) = (self.launch.clone(), Arc::clone(&self.directory));
        let running = blocking(move || Running::start(&launch, directory.path())).await?;
        self.pid = running.child.id();
        self.running = Some(running);
        Ok(())
    }

    /// Stops it in the middle of what it does (SIGSTOP): connections stay open, and nobody answers.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn pause(&self) -> anyhow::Result<()> {
        let pid = self.running_pid()?;
        blocking(move || tree::freeze(pid).map(drop)).await
    }

    /// Lets it go on after [`pause`](Self::pause) (SIGCONT).
    ///
    /// # Errors
    /// If it does not run.
    pub async fn resume(&self) -> anyhow::Result<()> {
        let pid = self.running_pid()?;
        blocking(move || tree::signal("CONT", &tree::tree(pid)?)).await
    }

    /// The processor time that it and all it has started have used since the last start, in user and kernel mode.
    ///
    /// # Errors
    /// If it does not run.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        tree::cpu(self.running_pid()?)
    }

    /// All that it has logged, in all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.directory.path())
    }

    /// Where it keeps its data and its log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn launch(&self) -> &Launch {
        &self.launch
    }

    fn running_pid(&self) -> anyhow::Result<u32> {
        self.running.is_some().then_some(self.pid).with_context(|| self.not_running())
    }

    fn not_running(&self) -> String {
        format!("{} does not run", self.launch.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First the end of the log, which goes with the directory.
        if std::thread::panicking() {
            eprintln!("--- {} said last:\n{}---", self.launch.name, tail(&self.log()));
        }
        if let Some(mut running) = self.running.take() {
            // It is as good as gone, or the test could do nothing about it.
            let _ = running.end(self.launch.drop_signal, Duration::from_secs(3));
        }
    }
}

/// A started server, and who looks after it if we are killed.
#[derive(Debug)]
struct Running {
    child: Child,
    guard: Child,
}

impl Running {
    /// Starts it and waits until it takes connections.
    fn start(launch: &Launch, directory: &Path) -> anyhow::Result<Self> {
        let log_before = read_log(directory).len();
        let log = OpenOptions::new().create(true).append(true).open(log_file(directory))?;
        let child = launch.spawn(directory, log)?;
        let guard = guard(child.id(), launch.drop_signal, directory)?;
        let mut running = Self { child, guard };
        match running.wait_until_ready(launch, directory, log_before) {
            Ok(()) => Ok(running),
            Err(error) => {
                // What is wrong is known; it may have ended by itself.
                let _ = running.kill();
                Err(error)
            }
        }
    }

    fn wait_until_ready(
        &mut self,
        launch: &Launch,
        directory: &Path,
        log_before: usize,
    ) -> anyhow::Result<()> {
        let name = launch.name;
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let ended = self.child.try_wait()?;
            let log = read_log(directory);
            let log = log.get(log_before..).unwrap_or_default();
            if let Some(status) = ended {
                let taken = ["eaddrinuse", "Address already in use"];
                if taken.iter().any(|words| log.contains(words)) {
                    bail!(PortTaken { name });
                }
                bail!("{name} did not start ({status}):\n{}", tail(log));
            }
            if log.contains(launch.ready) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{name} takes no connections after {START_DEADLINE:?}:\n{}",
                tail(log)
            );
            std::thread::sleep(POLL);
        }
    }

    /// Sends it a signal and waits for its end, which is a hard one if it takes longer than `patience`.
    fn end(&mut self, signal: &str, patience: Duration) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return self.dismiss_guard();
        }
        let pid = self.child.id();
        let all = tree::tree(pid)?;
        tree::signal(signal, &[pid])?;
        // One that is paused would get no signal but these. All may have ended already, as they were asked to.
        let _ = tree::signal("CONT", &all);
        let deadline = Instant::now() + patience;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.kill()?;
                bail!("process {pid} still runs {patience:?} after SIG{signal}, and was killed");
            }
            std::thread::sleep(POLL);
        }
        self.wait_until_gone(&all)
    }

    /// Kills it and all that it has started, and waits until they are gone.
    fn kill(&mut self) -> anyhow::Result<()> {
        let all = match self.child.try_wait()? {
            Some(_) => Vec::new(),
            None => tree::freeze(self.child.id())?,
        };
        // Some may have ended by themselves before they could be frozen.
        let _ = tree::signal("KILL", &all);
        self.child.wait()?;
        self.wait_until_gone(&all)
    }

    fn wait_until_gone(&mut self, all: &[u32]) -> anyhow::Result<()> {
        let deadline = Instant::now() + STOP_DEADLINE;
        while let Some(pid) = all.iter().find(|pid| tree::is_running(**pid)) {
            ensure!(Instant::now() < deadline, "process {pid} outlives its server");
            std::thread::sleep(POLL);
        }
        self.dismiss_guard()
    }

    fn dismiss_guard(&mut self) -> anyhow::Result<()> {
        self.guard.kill().context("dismissing a server's guard")?;
        self.guard.wait()?;
        Ok(())
    }
}

impl Launch {
    fn spawn(&self, directory: &Path, log: File) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at a terminal is for us, who stop the server when nobody needs it any more.
            .process_group(0);
        self.prepare(&mut command, directory);
        command.spawn().with_context(|| format!("starting {}", self.program.display()))
    }

    /// Gives a command this server's environment and account. Nothing of the developer's shell leaks into it.
    pub(super) fn prepare(&self, command: &mut Command, directory: &Path) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", directory)
            .env("LANG", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
    }
}

/// Watches over a server in a process of its own: when we are gone, however we went, it ends the server and removes its
/// directory. It knows by its standard input, whose other end we hold and the system closes.
fn guard(pid: u32, signal: &str, directory: &Path) -> anyhow::Result<Child> {
    const SCRIPT: &str = r#"
        read -r _
        kill -"$1" "$2"
        kill -CONT "$2"
        waits=0
        while kill -0 "$2" && [ "$waits" -lt 100 ]; do
            sleep 0.1
            waits=$((waits + 1))
        done
        kill -KILL "$2"
        rm -rf -- "$3"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "ringback-test-guard", signal, &pid.to_string()])
        .arg(directory)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Whoever kills us may kill our whole group.
        .process_group(0)
        .spawn()
        .context("starting a server's guard")
}

/// Somebody else listens on a port that was free a moment ago.
#[derive(Debug, thiserror::Error)]
#[error("{name} found its port taken")]
struct PortTaken {
    name: &'static str,
}

/// A loopback port that nobody listens on now, nor is given by the system while its server is down: it lies below those
/// that Linux gives to whoever asks for any port, and to outgoing connections (from 32768 on).
fn free_port() -> anyhow::Result<u16> {
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random).context("no random bytes to be had")?;
        let port = 20_000 + u16::from_le_bytes(random) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

/// A directory for a server, short enough for the path of a socket in it.
pub(super) fn directory(name: &str) -> anyhow::Result<TempDir> {
    let prefix = format!("ringback-{name}-");
    tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()
        .context("making a server's directory")
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

fn read_log(directory: &Path) -> String {
    let bytes = fs::read(log_file(directory)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tail(log: &str) -> String {
    const LINES: usize = 60;
    let skipped = log.lines().count().saturating_sub(LINES);
    log.lines().skip(skipped).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch {
        Launch {
            name: "a script",
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            account: None,
            ready: "ready",
            stop_signal: "TERM",
            drop_signal: "KILL",
        }
    }

    fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn server_ends_and_leaves_no_data_when_whoever_started_it_is_gone() {
        let directory = directory("guarded").expect("there is room");
        let launch = shell("echo ready; exec sleep 1000");
        let mut running = Running::start(&launch, directory.path()).expect("it says so");
        // The system does the same when we die.
        drop(running.guard.stdin.take());
        wait_for("the server is killed", || {
            running.child.try_wait().expect("it is our child").is_some()
        });
        wait_for("its directory is removed", || !directory.path().exists());
        running.guard.wait().expect("it has nothing more to do");
    }

    #[test]
    fn server_that_does_not_start_is_an_error_with_the_end_of_its_log() {
        let directory = directory("broken").expect("there is room");
        let error = Running::start(&shell("echo no luck; exit 3"), directory.path());
        let error = error.expect_err("it ends").to_string();
        assert!(error.contains("no luck") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn server_moves_to_another_port_when_its_own_is_taken() {
        let directory = directory("crowded").expect("there is room");
        // The first start finds its port taken, the second does not.
        let script =
            "test -e once && { echo ready; exec sleep 1000; }; touch once; echo eaddrinuse; exit 1";
        let ports = std::cell::RefCell::new(Vec::new());
        let started = Server::start(directory, |[port]| {
            ports.borrow_mut().push(port);
            shell(script)
        });
        let (_server, [port]) = started.expect("the second port is free");
        let ports = ports.into_inner();
        assert_eq!(ports.len(), 2);
        assert_eq!(ports.last(), Some(&port));
    }

    #[tokio::test]
    async fn children_of_a_server_end_with_it() {
        let directory = directory("family").expect("there is room");
        // A child in a session of its own, as PostgreSQL's are.
        let launch = shell("setsid sleep 1000 & echo $! > child; echo ready; exec sleep 1000");
        let (mut server, _) = Server::start(directory, |[_]| launch.clone()).expect("it says so");
        let all = tree::tree(server.pid()).expect("it runs");
        assert_eq!(all.len(), 2);
        server.kill9().await.expect("it runs");
        assert!(!all.into_iter().any(tree::is_running));
    }
}
