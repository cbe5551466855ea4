//! Where something listens: `host:port`, or `unix:/path` of a socket file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// As written; the name is looked up anew at each use.
    Tcp(String),
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected host:port or unix:/path")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let error = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            // A relative path would depend on where the proxy was started.
            return match path.starts_with('/') {
                true => Ok(Address::Unix(path.into())),
                false => Err(error()),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        match (host, port.parse::<u16>()) {
            ("", _) | (_, Err(_)) => Err(error()),
            (_, Ok(_)) => Ok(Address::Tcp(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(text) => f.write_str(text),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// The host's name or address alone; a socket file has none.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Address::Tcp(text) => {
                let host = text
                    .rsplit_once(':')
                    .map_or(text.as_str(), |(host, _)| host);
                Some(host.trim_start_matches('[').trim_end_matches(']'))
            }
            Address::Unix(_) => None,
        }
    }

    /// The port that a server listens on there, or after which it has named its socket file.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let port = match self {
            Address::Tcp(text) => text.rsplit_once(':')?.1,
            Address::Unix(path) => path.file_name()?.to_str()?.strip_prefix(".s.PGSQL.")?,
        };
        port.parse().ok()
    }
}

/// Reads `a, b` as two addresses.
pub(super) fn list(text: &str) -> Result<Vec<Address>, AddressError> {
    text.split(',').map(|one| one.trim().parse()).collect()
}

/// A text, or a list of texts that becomes `a, b`.
pub(super) fn text_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct TextOrList;

    impl<'de> Visitor<'de> for TextOrList {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address or a list of addresses")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = list.next_element::<String>()? {
                all.push(one);
            }
            Ok(all.join(", "))
        }
    }

    from.deserialize_any(TextOrList)
}

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Listen(#[serde(deserialize_with = "text_or_list")] pub String);

impl Default for Listen {
    fn default() -> Self {
        Listen("127.0.0.1:6432".to_owned())
    }
}

impl Listen {
    pub fn addresses(&self) -> Result<Vec<Address>, AddressError> {
        list(&self.0)
    }
}

/// The PostgreSQL server's hosts, of which one is the primary at a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct UpstreamAddresses(#[serde(deserialize_with = "text_or_list")] pub String);

impl Default for UpstreamAddresses {
    fn default() -> Self {
        UpstreamAddresses("127.0.0.1:5432".to_owned())
    }
}

impl UpstreamAddresses {
    pub fn addresses(&self) -> Result<Vec<Address>, AddressError> {
        list(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_its_port_or_a_socket_file() {
        let tcp = |text: &str| Ok(Address::Tcp(text.to_owned()));
        assert_eq!("db:5432".parse(), tcp("db:5432"));
        assert_eq!("[::1]:5432".parse(), tcp("[::1]:5432"));
        assert_eq!("unix:/a/b".parse(), Ok(Address::Unix("/a/b".into())));
        for wrong in [
            "", "db", ":5432", "db:", "db:65536", "unix:", "unix:a/b", "/a/b",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_stands_without_port_and_brackets() {
        for (text, host) in [
            ("db:1", Some("db")),
            ("[::1]:1", Some("::1")),
            ("unix:/a", None),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.host(), host);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_socket_file_has_the_port_that_its_server_named_it_after() {
        for (text, port) in [
            ("db:1", Some(1)),
            ("[::1]:2", Some(2)),
            ("unix:/a/.s.PGSQL.5432", Some(5432)),
            ("unix:/a/b", None),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.port(), port, "{text}");
        }
    }

    #[test]
    fn several_addresses_are_a_list_or_a_text_with_commas() {
        #[derive(Deserialize)]
        struct File {
            listen: Listen,
        }
        for text in [
            r#"listen = ["a:1", "unix:/b"]"#,
            r#"listen = "a:1, unix:/b""#,
        ] {
            let file: File = toml::from_str(text).expect(text);
            let addresses = file.listen.addresses().expect("valid");
            assert_eq!(
                addresses,
                [Address::Tcp("a:1".into()), Address::Unix("/b".into())]
            );
        }
    }
}
