//! From which site a request comes, and for which it is.
//!
//! A browser that was led to another site may be told by that site's name server that the site is here (DNS rebinding), and
//! then shows that site's scripts what this listener answers. It names the host that it believes to ask, so only known
//! names are answered. And it names the site that sent a form.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// The names by which the page may be asked for, as a Host header has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    names: Vec<String>,
    /// `https` where TLS ends in front of the listener.
    scheme: &'static str,
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    #[error(
        "this page is not known by the name that it was asked for: add it to `hosts` in [admin] of the configuration"
    )]
    Host,
    #[error("the form was sent by another site, or the browser does not say by which")]
    Origin,
}

impl Hosts {
    /// Those that are configured, or for a listener that only this machine reaches what this machine is called there.
    /// `None`: nothing is configured, and there is no telling.
    pub fn of(configured: &[String], listens: SocketAddr, tls_in_front: bool) -> Option<Hosts> {
        let scheme = if tls_in_front { "https" } else { "http" };
        let port = listens.port();
        let names = match configured {
            [] if listens.ip().is_loopback() => {
                let own = match listens.ip() {
                    IpAddr::V4(ip) => format!("{ip}:{port}"),
                    IpAddr::V6(ip) => format!("[{ip}]:{port}"),
                };
                vec![format!("localhost:{port}"), own]
            }
            [] => return None,
            names => names.iter().map(|name| name.to_lowercase()).collect(),
        };
        Some(Hosts { names, scheme })
    }

    /// Whether the request is for this page: exactly one Host header, with a known name.
    pub fn is_for_us(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        let host = only(headers, HOST.as_str()).ok_or(Stranger::Host)?;
        let known = self
            .names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host));
        if known { Ok(()) } else { Err(Stranger::Host) }
    }

    /// Whether a form was sent by this page. Every browser of today says who sends one.
    pub fn is_from_us(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        self.is_for_us(headers)?;
        let host = only(headers, HOST.as_str()).unwrap_or_default();
        let origin = only(headers, ORIGIN.as_str()).ok_or(Stranger::Origin)?;
        let ours = format!("{}://{host}", self.scheme);
        if origin.eq_ignore_ascii_case(&ours) {
            Ok(())
        } else {
            Err(Stranger::Origin)
        }
    }

    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

/// The header's value if there is one and no more than one.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (None | Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    #[test]
    fn a_listener_of_this_machine_is_known_by_this_machines_names() {
        let hosts = Hosts::of(&[], at("127.0.0.1:9432"), false).expect("known");
        for host in ["localhost:9432", "LOCALHOST:9432", "127.0.0.1:9432"] {
            assert_eq!(
                hosts.is_for_us(&headers(&[("host", host)])),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example:9432",
            "localhost",
            "localhost:80",
            "localhost.:9432",
            "",
        ] {
            let told = hosts.is_for_us(&headers(&[("host", host)]));
            assert_eq!(told, Err(Stranger::Host), "{host}");
        }
        assert_eq!(hosts.is_for_us(&headers(&[])), Err(Stranger::Host));
        let two = headers(&[("host", "localhost:9432"), ("host", "localhost:9432")]);
        assert_eq!(hosts.is_for_us(&two), Err(Stranger::Host));
        let hosts = Hosts::of(&[], at("[::1]:9432"), false).expect("known");
        assert_eq!(hosts.is_for_us(&headers(&[("host", "[::1]:9432")])), Ok(()));
    }

    #[test]
    fn a_listener_that_others_reach_has_to_be_told_its_names() {
        assert_eq!(Hosts::of(&[], at("0.0.0.0:9432"), false), None);
        let names = ["gate.example".to_owned()];
        let hosts = Hosts::of(&names, at("0.0.0.0:9432"), true).expect("known");
        assert_eq!(
            hosts.is_for_us(&headers(&[("host", "gate.example")])),
            Ok(())
        );
        let other = headers(&[("host", "localhost:9432")]);
        assert_eq!(hosts.is_for_us(&other), Err(Stranger::Host));
    }

    #[test]
    fn a_form_comes_from_the_page_itself() {
        let hosts = Hosts::of(&[], at("127.0.0.1:9432"), false).expect("known");
        let from = |origin: &str| {
            let lines = [("host", "localhost:9432"), ("origin", origin)];
            hosts.is_from_us(&headers(&lines))
        };
        assert_eq!(from("http://localhost:9432"), Ok(()));
        for origin in [
            "https://localhost:9432",
            "http://localhost",
            "http://127.0.0.1:9432",
            "http://evil.example",
            "null",
            "",
        ] {
            assert_eq!(from(origin), Err(Stranger::Origin), "{origin}");
        }
        let silent = headers(&[("host", "localhost:9432")]);
        assert_eq!(hosts.is_from_us(&silent), Err(Stranger::Origin));
    }
}
