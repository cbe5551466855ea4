//! A child process that cannot outlive us. Knows processes and signals, not what runs in them.
//!
//! The kernel's "signal me when my parent dies" means the parent *thread*. A thread of an async
//! runtime's pool may end while the program goes on, and would take the child with it; so each
//! child has a thread of its own that starts it, waits for it and does nothing else.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the child's thread looks whether the child is still there, unasked: a test has several children
/// for all of its time.
const LOOK: Duration = Duration::from_millis(50);
/// The same once the child is to end.
const POLL: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
    Kill,
    /// Not to go on before it is told to.
    Stop,
    Continue,
}

impl Signal {
    /// The name as `kill` takes it.
    fn name(self) -> &'static str {
        match self {
            Signal::Hangup => "HUP",
            Signal::Interrupt => "INT",
            Signal::Quit => "QUIT",
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        }
    }
}

struct Stop {
    signal: Signal,
    timeout: Duration,
}

/// A running child. Dropped without [`Process::stop`], the child is killed.
#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    orders: mpsc::Sender<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the child in a process group of its own: a Ctrl-C at the terminal reaches us
    /// alone, and we decide the order in which things end.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        let (started_tx, started_rx) = mpsc::channel();
        let (orders, orders_rx) = mpsc::channel();
        let thread =
            thread::Builder::new()
                .name("child".to_owned())
                .spawn(move || match command.spawn() {
                    Ok(child) => {
                        // The receiver waits below for exactly this.
                        let _ = started_tx.send(Ok(child.id()));
                        keep(child, &orders_rx);
                    }
                    Err(error) => {
                        let _ = started_tx.send(Err(error));
                    }
                })?;
        let pid = started_rx
            .recv()
            .map_err(|_| io::Error::other("the child's thread ended early"))??;
        Ok(Process {
            pid,
            orders,
            thread: Some(thread),
        })
    }

    /// Whether the child has exited.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Sends a signal and goes on, for a child that is meant to live on (SIGHUP).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        send(self.pid, signal)
    }

    /// Asks the child to end, waits, and kills it if it takes longer than `timeout`. Blocks.
    pub fn stop(mut self, signal: Signal, timeout: Duration) {
        self.end(Stop { signal, timeout });
    }

    fn end(&mut self, stop: Stop) {
        // If nobody takes the order the child is gone already.
        let _ = self.orders.send(stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Stop {
            signal: Signal::Kill,
            timeout: Duration::ZERO,
        });
    }
}

/// Waits for the child's end or for the order to bring it about.
fn keep(mut child: Child, orders: &mpsc::Receiver<Stop>) {
    loop {
        match orders.recv_timeout(LOOK) {
            Ok(stop) => return end(child, &stop),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if !matches!(child.try_wait(), Ok(None)) {
                    return;
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return end(
                    child,
                    &Stop {
                        signal: Signal::Kill,
                        timeout: Duration::ZERO,
                    },
                );
            }
        }
    }
}

fn end(mut child: Child, stop: &Stop) {
    // While it is not waited for, its pid cannot be anybody else's.
    let _ = send(child.id(), stop.signal);
    let deadline = Instant::now() + stop.timeout;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The standard library can only kill; every shell has the rest.
/// Sends a signal by the shell's own `kill`: not every machine has a program of that name.
pub fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", signal.name()])
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "could not send SIG{} to process {pid}",
            signal.name()
        )))
    }
}

/// `setpriv`, where there is one (Linux): it drops privileges and ties a child's life to ours.
#[must_use]
pub fn setpriv() -> Option<PathBuf> {
    ["/usr/bin/setpriv", "/bin/setpriv", "/sbin/setpriv"]
        .iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .map(Path::to_owned)
}

/// A command that ends with us, even if we are killed, where the system can do that.
#[must_use]
pub fn dying_with_us(program: &Path) -> Command {
    let mut command = match setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    for name in surroundings() {
        command.env_remove(name);
    }
    command
}

/// The variables that would override a child's configuration file with whatever the user who
/// starts the demo or the tests has set for a proxy of their own.
pub fn surroundings() -> impl Iterator<Item = OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name != "CROSSFADE_LOG" && name != "CROSSFADE_PG_BIN")
        .filter(|name| name.to_string_lossy().starts_with("CROSSFADE_"))
}
