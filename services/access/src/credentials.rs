//! The client side: how a client reaches a server, and what it shows to the server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Request, Status};

use super::error::AccessError;
use super::hosts::is_loopback;
use super::local;
use super::token::Token;

/// The variable that holds the token itself, for programs that are started with it. There is no
/// flag for the token, because `ps` shows flags.
const TOKEN_VARIABLE: &str = "HINDSIGHT_TOKEN";

/// What a client presents, and whom it trusts.
#[derive(Debug, Default, clap::Args)]
pub struct ClientArgs {
    /// Certificate authorities (PEM) that the server's certificate is checked against. Default: the
    /// system's.
    #[arg(long, global = true, env = "HINDSIGHT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File with the token for --server. HINDSIGHT_TOKEN can hold the token itself.
    #[arg(long, global = true, env = "HINDSIGHT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificate (PEM) to present to a server that asks for one.
    #[arg(long, global = true, env = "HINDSIGHT_CLIENT_CERT", value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// Private key (PEM) of --client-cert.
    #[arg(long, global = true, env = "HINDSIGHT_CLIENT_KEY", value_name = "FILE")]
    pub client_key: Option<PathBuf>,
}

/// A server, and the token to send to it.
#[derive(Debug)]
pub struct Credentials {
    pub endpoint: Endpoint,
    pub bearer: Bearer,
}

impl Credentials {
    /// Returns the credentials for `--server`: `https://host:port`, `http://host:port`, or
    /// `host:port`, which is plain HTTP.
    pub fn for_server(server: &str, args: &ClientArgs) -> Result<Self, AccessError> {
        let token = configured_token(args, std::env::var(TOKEN_VARIABLE).ok())?;
        Self::with_token(server, args, token)
    }

    /// Returns the credentials for the process that runs on a data directory. `address` is what the
    /// process wrote there. If the process requires a token, the token is at `token_path`.
    pub fn for_process(address: &str, token_path: &Path) -> Result<Self, AccessError> {
        let token = local::read(token_path).map_err(|error| {
            let path = token_path.display();
            let text = format!(
                "read {path}: {error}. The process on this data directory wants a token, and only the directory's \
                 owner may read the one made for it: use --server with a token of your own"
            );
            AccessError::Failed(text)
        })?;
        Self::with_token(address, &ClientArgs::default(), token)
    }

    fn with_token(
        server: &str,
        args: &ClientArgs,
        token: Option<Token>,
    ) -> Result<Self, AccessError> {
        let uri =
            if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let bad = |error: &dyn std::fmt::Display| {
            AccessError::usage(format!(
                "--server {server:?} is no address such as https://host:7117: {error}"
            ))
        };
        let uri: Uri = uri.parse().map_err(|error| bad(&error))?;
        let host = uri.host().unwrap_or_default().to_owned();
        let scheme = uri.scheme_str().unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err(bad(&"it names no host"));
        }
        let endpoint = Endpoint::from(uri);
        let endpoint = match scheme.as_str() {
            "http" if token.is_some() && !is_loopback(&host) => {
                return Err(AccessError::usage(format!(
                    "no token is sent to {server} without TLS: everybody on the way could read it. Use https://"
                )));
            }
            "http" => endpoint,
            "https" => endpoint.tls_config(tls(args)?).map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                bad(&cause.unwrap_or_else(|| error.to_string()))
            })?,
            _ => return Err(bad(&"it begins with neither https:// nor http://")),
        };
        Ok(Self { endpoint, bearer: Bearer::of(token) })
    }
}

/// Adds the token to each call.
#[derive(Debug, Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn of(token: Option<Token>) -> Self {
        Self(token.map(|token| {
            let text = format!("Bearer {}", token.reveal());
            let mut value = MetadataValue::try_from(text).expect("a token is visible ASCII");
            // A sensitive value is not shown by `Debug`, and not kept in tables of compressed
            // headers.
            value.set_sensitive(true);
            value
        }))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Returns the token in the file, or else the token in the variable.
fn configured_token(
    args: &ClientArgs,
    variable: Option<String>,
) -> Result<Option<Token>, AccessError> {
    let (text, from) = match (&args.token_file, variable) {
        (Some(path), _) => (read(path)?, path.display().to_string()),
        (None, Some(text)) => (text, TOKEN_VARIABLE.to_owned()),
        (None, None) => return Ok(None),
    };
    let token = Token::parse(text.trim());
    token.map(Some).ok_or_else(|| AccessError::usage(format!("{from} holds no token")))
}

fn tls(args: &ClientArgs) -> Result<ClientTlsConfig, AccessError> {
    let tls = match &args.ca {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    match (&args.client_cert, &args.client_key) {
        (Some(certificate), Some(key)) => {
            Ok(tls.identity(Identity::from_pem(read(certificate)?, read(key)?)))
        }
        (None, None) => Ok(tls),
        _ => Err(AccessError::usage("--client-cert and --client-key are used together")),
    }
}

fn read(path: &Path) -> Result<String, AccessError> {
    std::fs::read_to_string(path)
        .map_err(|error| AccessError::usage(format!("read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(server: &str, token: Option<&str>) -> Result<Credentials, AccessError> {
        let token = token.map(|token| Token::parse(token).unwrap());
        Credentials::with_token(server, &ClientArgs::default(), token)
    }

    #[test]
    fn a_token_travels_with_tls_or_within_the_machine() {
        let secret = Some("hst_secret");
        for server in [
            "https://db.example:7117",
            "http://127.0.0.1:7117",
            "127.0.0.1:7117",
            "localhost:7117",
            "[::1]:7117",
        ] {
            assert!(reach(server, secret).is_ok(), "{server}");
        }
        for server in [
            "http://db.example:7117",
            "db.example:7117",
            "http://10.0.0.1:7117",
            "http://127.0.0.1@db.example:7117",
            "http://localhost.db.example:7117",
        ] {
            let refused = reach(server, secret).unwrap_err();
            assert!(matches!(refused, AccessError::Usage(_)), "{refused}");
            let text = refused.to_string();
            assert!(text.contains("without TLS") && !text.contains("hst_secret"), "{text}");
            assert!(reach(server, None).is_ok(), "{server}");
        }
        for server in ["ftp://db.example", "unix:///tmp/socket", "https://", "http://a b", ""] {
            assert!(reach(server, None).is_err(), "{server}");
        }
    }

    #[test]
    fn the_token_is_added_and_not_shown() {
        let token = Token::parse("hst_secret").unwrap();
        let mut bearer = Bearer::of(Some(token));
        let request = bearer.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer hst_secret");
        assert!(!format!("{bearer:?} {:?}", request.metadata()).contains("secret"));
        let request = Bearer::of(None).call(Request::new(())).unwrap();
        assert!(request.metadata().get("authorization").is_none());
    }

    #[test]
    fn a_token_comes_from_a_file_or_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "from_file\n").unwrap();
        let file = ClientArgs { token_file: Some(path.clone()), ..ClientArgs::default() };
        let token = |args: &ClientArgs, variable: Option<&str>| {
            configured_token(args, variable.map(str::to_owned)).unwrap()
        };
        let none = ClientArgs::default();
        assert_eq!(token(&none, None), None);
        assert_eq!(token(&none, Some("from_variable ")), Token::parse("from_variable"));
        assert_eq!(token(&file, Some("from_variable")), Token::parse("from_file"));
        std::fs::write(&path, "not a token").unwrap();
        let error = configured_token(&file, None).unwrap_err().to_string();
        assert!(error.contains("holds no token") && !error.contains("not a token"), "{error}");
    }
}
