//! Ports for servers and proxies that are started in a moment, each given to one program only.
//!
//! A port that was found free stays free only until somebody binds it: another test that looks at
//! the same moment finds the same one. So each is claimed by a name, which the system forgets with
//! the program that holds it, and which leaves no file behind. They lie below the range from which
//! the system gives connections their own ends, or one of those would take the port of a proxy that
//! is down for a moment.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Mutex, PoisonError};

use crate::error::TestbedError;

/// Below Linux' usual range for connections, which begins at 32768, and above what services like.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Held until the program ends.
static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that nobody else who asks so is given while this program runs.
pub fn free_port() -> Result<u16, TestbedError> {
    // Programs that begin at different places rarely meet.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    for offset in 0..COUNT {
        let port = FIRST + (start + offset) % COUNT;
        let claimed = match claim(port) {
            Ok(claimed) => Some(claimed),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            // Where there are no such names it is as without.
            Err(_other) => None,
        };
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        claims.extend(claimed);
        return Ok(port);
    }
    Err(TestbedError::Io {
        doing: "find a free port".to_owned(),
        source: io::Error::other(format!("none from {FIRST} on")),
    })
}

/// A name that only one program can hold: a socket that nobody connects to.
#[cfg(target_os = "linux")]
fn claim(port: u16) -> io::Result<UnixListener> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = SocketAddr::from_abstract_name(format!("crossfade-port-{port}"))?;
    UnixListener::bind_addr(&name)
}

#[cfg(not(target_os = "linux"))]
fn claim(_port: u16) -> io::Result<UnixListener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_although_nobody_listens_on_it() {
        let given: Vec<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        let mut distinct = given.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), given.len(), "{given:?}");
        // Nor is it given to another program, which would ask for its name.
        let taken = |port: &u16| claim(*port).is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse);
        assert!(given.iter().all(taken));
    }
}
