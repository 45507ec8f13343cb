//! Keeps web pages from using a loopback address without tokens: a browser on this machine can
//! reach such an address too.
//!
//! A page of another origin reveals itself by `Origin`. A page whose own name was made to resolve
//! to a loopback address (DNS rebinding) has the right origin, but the wrong name in `Host`.

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The request names a host that is not this machine.
    Host,
    /// A page of another origin sent the request.
    Origin,
}

/// Lets through requests from a program on this machine, or from Hindsight's own page. gRPC clients
/// name the host in `:authority`, which is in the URI.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
    let mut named: Vec<Authority> = uri.authority().into_iter().cloned().collect();
    for host in headers.get_all(HOST) {
        named.push(Authority::try_from(host.as_bytes()).map_err(|_| Foreign::Host)?);
    }
    if !named.iter().all(is_this_machine) {
        return Err(Foreign::Host);
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().map_err(|_| Foreign::Origin)?;
        let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let ours = |origin: &str| named.iter().any(|it| it.as_str().eq_ignore_ascii_case(origin));
        if !origin.is_some_and(ours) {
            return Err(Foreign::Origin);
        }
    }
    Ok(())
}

/// Returns whether an authority is a loopback address, with any port: the end of a tunnel has
/// another port than the server.
fn is_this_machine(authority: &Authority) -> bool {
    // In `user@host`, the user part could be a disguise.
    !authority.as_str().contains('@') && is_loopback(authority.host())
}

/// Returns whether a host, as written in a URI, is this machine's loopback address.
pub(super) fn is_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, headers: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let pairs = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), value.parse().expect("a value"))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        check(&uri.parse().expect("a URI"), &map)
    }

    #[test]
    fn loopback_names_pass_in_either_place() {
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1:7117", "127.8.9.1", "[::1]:7117", "[::1]"]
        {
            assert_eq!(of("/v1/status", &[("host", host)]), Ok(()), "{host}");
            assert_eq!(of(&format!("http://{host}/x"), &[]), Ok(()), "{host}");
        }
        assert_eq!(of("/healthz", &[]), Ok(()));
    }

    #[test]
    fn other_names_are_foreign() {
        let hosts = [
            "evil.example",
            "localhost.evil.example:7117",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "localhost@evil.example",
            "evil@localhost",
            "",
            "a b",
        ];
        for host in hosts {
            assert_eq!(of("/", &[("host", host)]), Err(Foreign::Host), "{host}");
        }
        let both = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(of("/", &both), Err(Foreign::Host));
        assert_eq!(of("http://evil.example/", &[("host", "localhost")]), Err(Foreign::Host));
    }

    #[test]
    fn only_our_own_pages_may_ask() {
        let host = ("host", "localhost:7117");
        assert_eq!(of("/", &[host, ("origin", "http://localhost:7117")]), Ok(()));
        assert_eq!(of("/", &[host, ("origin", "https://localhost:7117")]), Ok(()));
        assert_eq!(of("http://[::1]:1/", &[("origin", "http://[::1]:1")]), Ok(()));
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://localhost:3000",
            "http://localhost",
            "http://localhost:7117.evil.example",
            "ftp://localhost:7117",
        ] {
            assert_eq!(of("/", &[host, ("origin", origin)]), Err(Foreign::Origin), "{origin}");
        }
        assert_eq!(of("/", &[("origin", "http://localhost")]), Err(Foreign::Origin));
    }
}
