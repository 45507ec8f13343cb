//! Why a request to a server failed, classified by what the caller can do next.

use std::fmt;

use mongodb::error::{Error, ErrorKind};

use crate::codes;

/// What a caller can do about a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The network failed, or the member is in a temporary state: ask again, perhaps another
    /// member.
    Passing,
    /// The server does not accept the user, the password or the certificate.
    Credentials,
    /// The user lacks a privilege.
    Forbidden,
    /// The server or the driver refuses, and will refuse again.
    Refused,
}

/// A request that failed. Its text never holds credentials: the driver does not put the connection
/// string into errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    /// The server's code, or 0 for an error that no server reported.
    code: i32,
    code_name: String,
    message: String,
}

impl Failure {
    /// Returns a failure of the network, or of a member in a temporary state.
    pub fn passing(message: impl Into<String>) -> Self {
        Self::without_code(Kind::Passing, message)
    }

    /// Returns a failure that asking again does not cure, such as an answer that cannot be read.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::without_code(Kind::Refused, message)
    }

    /// Returns a server's error, classified by its code.
    pub fn from_server(code: i32, code_name: &str, message: &str) -> Self {
        // The server repeats the whole command to a user who may not run it.
        let message = message.split(" to execute command").next().unwrap_or_default();
        Self {
            kind: codes::kind_of(code),
            code,
            code_name: code_name.to_owned(),
            message: message.to_owned(),
        }
    }

    fn without_code(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: 0, code_name: String::new(), message: message.into() }
    }

    /// Returns the same failure, as one that may not happen again.
    pub(crate) fn made_passing(self) -> Self {
        Self { kind: Kind::Passing, ..self }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn is_passing(&self) -> bool {
        self.kind == Kind::Passing
    }

    /// Returns the server's code, or 0 for an error that no server reported.
    pub fn code(&self) -> i32 {
        self.code
    }

    pub fn is(&self, code: i32) -> bool {
        self.code == code
    }

    /// Returns the server's message, without its code.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            0 => f.write_str(&self.message),
            code => write!(f, "{} ({}, code {code})", self.message, self.code_name),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind.as_ref() {
            ErrorKind::Command(command) => {
                return Self::from_server(command.code, &command.code_name, &command.message);
            }
            ErrorKind::Authentication { .. } => Kind::Credentials,
            ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Shutdown => Kind::Passing,
            _ => Kind::Refused,
        };
        Self::without_code(kind, readable(&error.kind.to_string()))
    }
}

/// Limit on the number of causes in a message.
const MOST_CAUSES: usize = 3;

/// Returns the driver's message without what it appends: the topology, labels, the raw answer. Of
/// the topology, the servers' errors are kept: they say why no server was available.
fn readable(text: &str) -> String {
    let head = without_dump(text);
    let Some((_, topology)) = text.split_once(". Topology:") else { return head.to_owned() };
    let mut causes: Vec<&str> = Vec::new();
    for error in topology.split("Error: ").skip(1) {
        let end = error.find(" }").unwrap_or(error.len());
        let cause = without_dump(&error[..end]).trim_start_matches("Kind: ");
        if !causes.contains(&cause) && causes.len() < MOST_CAUSES {
            causes.push(cause);
        }
    }
    match causes.is_empty() {
        true => head.to_owned(),
        false => format!("{head} ({})", causes.join("; ")),
    }
}

fn without_dump(text: &str) -> &str {
    const DUMPS: [&str; 4] = [". Topology:", ", labels:", ", server_response:", ", raw_response:"];
    let end = DUMPS.iter().filter_map(|dump| text.find(dump)).min();
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_what_to_do() {
        for (code, kind) in [
            (13, Kind::Forbidden),
            (18, Kind::Credentials),
            (26, Kind::Refused),
            (91, Kind::Passing),
            (11601, Kind::Passing),
            (59, Kind::Refused),
        ] {
            assert_eq!(Failure::from_server(code, "Name", "text").kind(), kind, "{code}");
        }
    }

    #[test]
    fn the_command_is_not_repeated() {
        let message = "not authorized on a to execute command { find: 1, secret: 2 }";
        let failure = Failure::from_server(13, "Unauthorized", message);
        assert_eq!(failure.to_string(), "not authorized on a (Unauthorized, code 13)");
        assert_eq!(Failure::passing("gone").to_string(), "gone");
    }

    #[test]
    fn what_the_driver_dumps_is_cut_off() {
        let text = "no server. Topology: { Type: Unknown }, labels: {}";
        assert_eq!(readable(text), "no server");
        assert_eq!(readable("plain"), "plain");
    }

    #[test]
    fn why_no_server_is_available_is_kept() {
        let text = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ \
                    { Address: a:1, Type: Unknown, Error: Kind: I/O error: refused, labels: {}, source: None }, \
                    { Address: b:1, Type: Unknown, Error: Kind: I/O error: refused, labels: {} }, \
                    { Address: c:1, Type: Unknown, Error: Invalid replica set name } ] }";
        assert_eq!(
            readable(text),
            "Server selection timeout: No available servers (I/O error: refused; Invalid replica set name)"
        );
    }
}
