//! The deployment that a connection string names.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, ServerAddress};

use crate::client::Client;
use crate::connection_string;
use crate::driver::Driver;
use crate::failure::Failure;

/// A replica set or a server, and how to log in to it. It holds credentials, so `Debug` shows only
/// the hosts.
#[derive(Clone)]
pub struct Deployment(Reached);

#[derive(Clone)]
enum Reached {
    ByDriver(Box<ClientOptions>),
    Scripted(Arc<dyn Servers>),
}

/// Servers that are reached without the driver: simulated ones.
pub trait Servers: Send + Sync {
    /// Returns the known members, as `host:port`.
    fn hosts(&self) -> Vec<String>;

    /// Returns a client of this member alone.
    ///
    /// # Errors
    /// Returns a failure when there is no such member.
    fn member(&self, host: &str) -> Result<Client, Failure>;
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment").field("hosts", &self.hosts()).finish_non_exhaustive()
    }
}

/// Why a connection string cannot be used. The text never repeats the string, which may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The string must be changed.
    #[error("{0}")]
    Unusable(&'static str),
    /// The hosts that the string stands for cannot be looked up at present.
    #[error("{0}")]
    Unresolved(String),
}

impl Deployment {
    /// Parses a connection string. This does not connect yet, but looks up the hosts of a
    /// `mongodb+srv://` string.
    ///
    /// # Errors
    /// Returns [`UriError`] when the string cannot be used.
    pub async fn parse(uri: &str) -> Result<Self, UriError> {
        connection_string::check(uri).map_err(UriError::Unusable)?;
        let parsed = ClientOptions::parse(uri).await;
        let options = parsed.map_err(|error| match error.kind.as_ref() {
            ErrorKind::DnsResolve { .. } | ErrorKind::Io(_) => {
                UriError::Unresolved(error.kind.to_string())
            }
            // The driver's own message quotes parts of the string, which may be parts of a
            // password.
            _ => UriError::Unusable(connection_string::problem(uri)),
        })?;
        Ok(Self(Reached::ByDriver(options.into())))
    }

    /// Returns a deployment of simulated servers.
    pub fn scripted(servers: Arc<dyn Servers>) -> Self {
        Self(Reached::Scripted(servers))
    }

    fn with(mut self, change: impl FnOnce(&mut ClientOptions)) -> Self {
        if let Reached::ByDriver(options) = &mut self.0 {
            change(options);
        }
        self
    }

    /// Sets the name that servers show in their logs, unless the connection string sets one.
    pub fn app_name(self, name: &str) -> Self {
        self.with(|options| {
            options.app_name.get_or_insert_with(|| name.to_owned());
        })
    }

    /// Limits how long connecting and finding a suitable member may take, unless the connection
    /// string sets a limit.
    pub fn patience(self, patience: Duration) -> Self {
        self.with(|options| {
            options.server_selection_timeout.get_or_insert(patience);
        })
    }

    /// Limits how long connecting and finding a suitable member may take, whatever the connection
    /// string says.
    pub fn at_most(self, patience: Duration) -> Self {
        self.with(|options| {
            options.connect_timeout = Some(patience);
            options.server_selection_timeout = Some(patience);
        })
    }

    pub fn hosts(&self) -> Vec<String> {
        match &self.0 {
            Reached::ByDriver(options) => options.hosts.iter().map(ToString::to_string).collect(),
            Reached::Scripted(servers) => servers.hosts(),
        }
    }

    /// Returns the name of the replica set that the connection string asks for.
    pub fn set_name(&self) -> Option<&str> {
        match &self.0 {
            Reached::ByDriver(options) => options.repl_set_name.as_deref(),
            Reached::Scripted(_) => None,
        }
    }

    /// Returns a client of the whole deployment, whose commands go to the primary. The client
    /// connects when it is first used.
    ///
    /// # Errors
    /// Returns a failure when options contradict each other, or when a certificate cannot be read.
    pub fn client(&self) -> Result<Client, Failure> {
        match &self.0 {
            Reached::ByDriver(options) => connect(ClientOptions::clone(options), None),
            Reached::Scripted(_) => {
                Err(Failure::refused("simulated servers are reached one by one"))
            }
        }
    }

    /// Returns a client that talks to this member alone, whatever the member's state.
    ///
    /// # Errors
    /// Returns the failures of [`Deployment::client`], and a failure when `host` is not a host and
    /// port.
    pub fn member(&self, host: &str) -> Result<Client, Failure> {
        let options = match &self.0 {
            Reached::ByDriver(options) => options,
            Reached::Scripted(servers) => return servers.member(host),
        };
        let address = ServerAddress::parse(host).map_err(|error| {
            Failure::refused(format!("{host:?} is not a host and port: {}", error.kind))
        })?;
        let mut options = ClientOptions::clone(options);
        options.hosts = vec![address];
        options.repl_set_name = None;
        options.direct_connection = Some(true);
        let preferred =
            SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { options: None });
        let read_from = options.selection_criteria.clone().unwrap_or(preferred);
        connect(options, Some(read_from))
    }
}

fn connect(
    options: ClientOptions,
    read_from: Option<SelectionCriteria>,
) -> Result<Client, Failure> {
    let client = mongodb::Client::with_options(options)?;
    Ok(Client::new(Driver { client, read_from }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_connection_string_is_refused_without_repeating_it() {
        for (uri, word) in [
            ("mongodb//me:s3cret@host", "mongodb+srv://"),
            ("mongodb://me:s3cret", "HOST:PORT"),
            ("mongodb://me:s3cret?t@host/", "percent-encoded"),
            ("mongodb://me:s3cret/t@host/", "percent-encoded"),
            ("mongodb://me:s3cret%aé@host/", "percent-encoded"),
            ("mongodb://host/?s3cret", "option"),
            ("mongodb://host/?readPreference=s3cret", "option"),
        ] {
            let refused = Deployment::parse(uri).await.expect_err(uri);
            assert!(matches!(refused, UriError::Unusable(_)), "{uri}: {refused:?}");
            let text = format!("{refused} {refused:?}");
            assert!(text.contains(word) && !text.contains("s3cret"), "{uri}: {text}");
        }
    }

    #[tokio::test]
    async fn credentials_are_not_shown() {
        let uri = "mongodb://me:s3cret@a:1,b:2/?replicaSet=rs7";
        let deployment = Deployment::parse(uri).await.expect("usable");
        assert!(!format!("{deployment:?}").contains("s3cret"), "{deployment:?}");
        assert_eq!(deployment.hosts(), ["a:1", "b:2"]);
        assert_eq!(deployment.set_name(), Some("rs7"));
        assert!(deployment.member("a:b:c").is_err());
    }
}
