//! The server's access settings, and the listeners that follow from them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hindsight_runtime::values::number;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::{Door, Patience};
use super::error::AccessError;
use super::gate::{Gate, Keys};
use super::local;
use super::tls::{Tls, TlsFiles};
use super::tokens::Tokens;

/// Who may call the API.
#[derive(Debug, Default, clap::Args)]
pub struct AccessArgs {
    /// File of the tokens that callers show (TOML); `hindsight token create` creates them.
    #[arg(long, env = "HINDSIGHT_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Certificate chain (PEM) with which to serve the API over TLS.
    #[arg(long, env = "HINDSIGHT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert.
    #[arg(long, env = "HINDSIGHT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Certificate authorities (PEM): one of them must have signed a caller's certificate (mutual
    /// TLS).
    #[arg(long, env = "HINDSIGHT_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Audit file: who read and restored what, as JSON lines. Default: DATA/audit.jsonl.
    #[arg(long, env = "HINDSIGHT_AUDIT_FILE", value_name = "FILE")]
    pub audit_file: Option<PathBuf>,
    /// Limit on the number of concurrent calls; further calls are refused.
    #[arg(
        long,
        env = "HINDSIGHT_MAX_CALLS",
        default_value_t = 256,
        value_parser = number(1, u16::MAX),
        value_name = "N"
    )]
    pub max_calls: u16,
}

impl AccessArgs {
    fn tls_files(&self) -> Result<Option<TlsFiles>, AccessError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: self.client_ca.clone(),
            })),
            (None, None) if self.client_ca.is_some() => {
                Err(AccessError::usage("--client-ca needs TLS: add --tls-cert and --tls-key"))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(AccessError::usage("--tls-cert needs --tls-key")),
            (None, Some(_)) => Err(AccessError::usage("--tls-key needs --tls-cert")),
        }
    }
}

/// Returns the address to listen on. Without both TLS and tokens, only loopback is allowed.
pub fn listen_address(text: &str, access: &AccessArgs) -> Result<SocketAddr, AccessError> {
    let address: SocketAddr = text.parse().map_err(|_| {
        AccessError::usage(format!("--listen {text:?} is not an address such as 127.0.0.1:7117"))
    })?;
    let missing = match (access.tls_files()?.is_some(), access.tokens.is_some()) {
        _ if address.ip().is_loopback() => return Ok(address),
        (true, true) => return Ok(address),
        (true, false) => "--tokens",
        (false, true) => "--tls-cert and --tls-key",
        (false, false) => "--tls-cert, --tls-key and --tokens",
    };
    Err(AccessError::usage(format!(
        "--listen {address} is not a loopback address. Anyone who reaches it could read every document, or see \
         what others read: add {missing}, or listen on loopback"
    )))
}

/// The tokens and certificates that callers are checked against.
#[derive(Clone)]
pub struct Guard {
    tokens: Option<Arc<Tokens>>,
    tls: Option<Arc<Tls>>,
}

impl Guard {
    /// Reads the files that the settings name.
    pub fn open(access: &AccessArgs) -> Result<Self, AccessError> {
        let tokens = access.tokens.as_deref().map(Tokens::open).transpose();
        let tls = access.tls_files()?.map(Tls::open).transpose();
        Ok(Self {
            tokens: tokens.map_err(AccessError::usage)?.map(Arc::new),
            tls: tls.map_err(AccessError::usage)?.map(Arc::new),
        })
    }

    /// Returns whether everybody who can reach the API may make every call.
    pub fn is_open(&self) -> bool {
        self.tokens.is_none() && self.tls.is_none()
    }

    /// Starts to listen on `address`. When callers need a token or TLS, commands on the data
    /// directory use the token that this writes to `token_path`. With TLS, they connect to a
    /// separate loopback port, which accepts no other token: neither the certificate's name nor
    /// client certificates then stand in their way.
    pub async fn bind(&self, address: SocketAddr, token_path: &Path) -> Result<Doors> {
        let patience = Patience::default();
        let listener = listen(address).await?;
        let local = if self.tokens.is_some() || self.tls.is_some() {
            let write = || format!("write {}", token_path.display());
            Some(local::write(token_path).with_context(write)?)
        } else {
            local::remove(token_path)
                .with_context(|| format!("remove {}", token_path.display()))?;
            None
        };
        let at_side = if self.tls.is_some() {
            let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
            let gate = Gate::new(Keys::Needed { tokens: None, local });
            Some(Door { listener, patience, tls: None, gate: Arc::new(gate) })
        } else {
            None
        };
        let keys = match &self.tokens {
            None => Keys::NotNeeded,
            Some(tokens) => Keys::Needed {
                tokens: Some(Arc::clone(tokens)),
                local: local.filter(|_| at_side.is_none()),
            },
        };
        let main =
            Door { listener, patience, tls: self.tls.clone(), gate: Arc::new(Gate::new(keys)) };
        Doors::of(main, at_side)
    }

    /// Reads tokens and certificates again at each SIGHUP, even when they look unchanged.
    pub async fn reload_on_hangup(self, shutdown: CancellationToken) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            if let Some(tokens) = &self.tokens {
                tokens.reload();
            }
            if let Some(tls) = &self.tls {
                tls.reload();
            }
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
}

/// The listeners of a process.
pub struct Doors {
    /// The address that callers use, with its scheme and port.
    pub url: String,
    /// The address for commands on the data directory: loopback, without TLS.
    pub local_address: String,
    /// The listeners for [`super::serve`].
    pub doors: Vec<Door>,
}

impl Doors {
    fn of(main: Door, at_side: Option<Door>) -> Result<Self> {
        let address = main.listener.local_addr()?.to_string();
        let scheme = if main.tls.is_some() { "https" } else { "http" };
        let local_address = match &at_side {
            Some(door) => door.listener.local_addr()?.to_string(),
            None => address.clone(),
        };
        let url = format!("{scheme}://{address}");
        Ok(Self { url, local_address, doors: std::iter::once(main).chain(at_side).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(tokens: bool, cert: bool, key: bool, ca: bool) -> AccessArgs {
        let file = |there: bool| there.then(|| PathBuf::from("file"));
        AccessArgs {
            tokens: file(tokens),
            tls_cert: file(cert),
            tls_key: file(key),
            client_ca: file(ca),
            audit_file: None,
            max_calls: 1,
        }
    }

    #[test]
    fn only_loopback_needs_neither_tls_nor_tokens() {
        for loopback in ["127.0.0.1:7117", "127.3.0.1:0", "[::1]:7117"] {
            assert!(listen_address(loopback, &AccessArgs::default()).is_ok(), "{loopback}");
            assert!(listen_address(loopback, &args(true, true, true, true)).is_ok(), "{loopback}");
        }
        for other in ["0.0.0.0:7117", "[::]:7117", "10.0.0.1:7117", "[::ffff:10.0.0.1]:1"] {
            let refused = |access: AccessArgs, missing: &str| {
                let error = listen_address(other, &access).unwrap_err().to_string();
                assert!(error.contains(&format!("add {missing}, or")), "{error}");
            };
            refused(AccessArgs::default(), "--tls-cert, --tls-key and --tokens");
            refused(args(true, false, false, false), "--tls-cert and --tls-key");
            refused(args(false, true, true, true), "--tokens");
            assert!(listen_address(other, &args(true, true, true, false)).is_ok(), "{other}");
        }
        assert!(listen_address("localhost:7117", &AccessArgs::default()).is_err());
    }

    #[test]
    fn tls_is_all_or_nothing() {
        for half in [
            args(true, true, false, false),
            args(true, false, true, false),
            args(true, false, false, true),
        ] {
            assert!(listen_address("127.0.0.1:1", &half).is_err(), "{half:?}");
        }
    }
}
