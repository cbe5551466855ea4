//! `crossfade serve` under a supervisor: sockets handed over, states reported, files reloaded.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use crossfade_testbed::Postgres;
use crossfade_testbed::process::{Process, Signal};
use crossfade_tests::binary;

/// Listens, hands the socket over as descriptor 3, and becomes the proxy.
const ACTIVATE: &str = "
import os, socket, sys
s = socket.socket()
s.bind(('127.0.0.1', 0))
s.listen()
print(s.getsockname()[1], flush=True)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
";

/// A supervisor that hears nothing for this long has a proxy that hangs.
const HEAR_TIMEOUT: Duration = Duration::from_secs(30);

fn heard(supervisor: &UnixDatagram, word: &str) {
    let mut buffer = [0; 4096];
    loop {
        let bytes = supervisor.recv(&mut buffer).expect("a word in time");
        let said = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
        if said.lines().any(|line| line == word) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_hands_its_socket_over_and_hears_each_state() {
    use std::io::{BufRead, BufReader};

    let postgres = Postgres::start().await.expect("PostgreSQL");
    let dir = tempfile::tempdir().expect("directory");
    let notify = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&notify).expect("bind");
    supervisor
        .set_read_timeout(Some(HEAR_TIMEOUT))
        .expect("timeout");
    let port_file = dir.path().join("port");
    let mut command = Command::new("python3");
    command
        .args(["-c", ACTIVATE])
        .arg(binary::crossfade())
        .args(["serve", "--upstream", &postgres.address()])
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&port_file).expect("file"))
        .stderr(Stdio::null());
    let process = Process::spawn(command).expect("python3");
    heard(&supervisor, "READY=1");
    let port = BufReader::new(std::fs::File::open(&port_file).expect("file"));
    let port = port.lines().next().expect("a line").expect("text");
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let client = crossfade_demo::client::connect(&url, "test")
        .await
        .expect("served");
    client.batch_execute("SELECT 1").await.expect("answered");
    process.signal(Signal::Hangup).expect("signal");
    heard(&supervisor, "RELOADING=1");
    heard(&supervisor, "READY=1");
    process.signal(Signal::Terminate).expect("signal");
    heard(&supervisor, "STOPPING=1");
}
