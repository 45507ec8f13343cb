//! MongoDB connection strings: what is wrong with a string, and which parts of it may be shown and
//! stored.
//!
//! A connection string may hold a password. Where a character of the password is not
//! percent-encoded, the string is split in the wrong place, and the driver's errors quote what the
//! driver takes for a host, a port or an option. The errors here quote nothing but hosts.

use std::net::Ipv6Addr;

const NOT_ENCODED: &str = "a character such as @ : / ? # % [ or ] in the user or the password must be \
     percent-encoded (@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25)";

/// A connection string, split where the driver splits it.
struct Parts<'a> {
    is_srv: bool,
    /// User and password.
    user_info: Option<&'a str>,
    hosts: &'a str,
    options: Option<&'a str>,
}

fn cut(uri: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = uri.split_once("://")?;
    let is_srv = match scheme {
        "mongodb" => false,
        "mongodb+srv" => true,
        _ => return None,
    };
    let (before, options) =
        rest.split_once('?').map_or((rest, None), |(before, options)| (before, Some(options)));
    let (user_info, place) =
        before.rsplit_once('@').map_or((None, before), |(user, place)| (Some(user), place));
    let hosts = place.split('/').next().unwrap_or_default();
    Some(Parts { is_srv, user_info, hosts, options })
}

/// Checks what must be right before the driver sees the string: the driver panics when a `%` stands
/// before a character that is not ASCII.
///
/// # Errors
/// Returns what is wrong, without quoting the string.
pub fn check(uri: &str) -> Result<(), &'static str> {
    let parts = cut(uri).ok_or("it begins with neither mongodb:// nor mongodb+srv://")?;
    if parts.user_info.is_some_and(|info| !is_encoded(info)) {
        return Err(NOT_ENCODED);
    }
    Ok(())
}

/// Returns what is wrong with a string that the driver refuses, without quoting the string.
pub fn problem(uri: &str) -> &'static str {
    if let Err(problem) = check(uri) {
        return problem;
    }
    let parts = cut(uri).expect("a string that passed the check can be cut");
    if is_cut_in_a_password(&parts) {
        return NOT_ENCODED;
    }
    if parts.user_info.is_some_and(|info| info.is_empty() || info.starts_with(':')) {
        return "no user stands before the @";
    }
    if parts.hosts.is_empty() {
        return "it names no host";
    }
    if !parts.hosts.split(',').all(is_host) {
        return "a host is not written as HOST or HOST:PORT (user and password stand before an @)";
    }
    if parts.is_srv && parts.hosts.contains([',', ':']) {
        return "mongodb+srv:// takes one host, without a port";
    }
    "the database after the / or an option after the ? is not valid"
}

/// Returns the hosts, separated by commas, or `None` when they cannot be told apart from a
/// password.
pub fn hosts(uri: &str) -> Option<&str> {
    let parts = cut(uri)?;
    let is_told = !is_cut_in_a_password(&parts) && parts.hosts.split(',').all(is_host);
    is_told.then_some(parts.hosts)
}

/// Returns the string without the password, which is the only secret in a string that the driver
/// accepts.
pub fn without_password(uri: &str) -> String {
    let start = uri.find("://").map_or(0, |at| at + "://".len());
    let before = uri[start..].split('?').next().unwrap_or_default();
    let user_info = before.rfind('@').map(|at| &before[..at]);
    let Some((user, password)) = user_info.and_then(|info| info.split_once(':')) else {
        return uri.to_owned();
    };
    let end = start + user.len() + ":".len() + password.len();
    format!("{}{}", &uri[..start + user.len()], &uri[end..])
}

/// Most likely, an @ after the first ? ends a password that contains a ?. What stands before the ?
/// is then the beginning of the password.
fn is_cut_in_a_password(parts: &Parts<'_>) -> bool {
    parts.options.is_some_and(|options| options.contains('@'))
}

fn is_encoded(user_info: &str) -> bool {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    [user, password].into_iter().all(|part| {
        let is_escape = |after: &str| {
            let digits = after.as_bytes().first_chunk::<2>();
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        !part.contains([':', '/', '?', '#', '[', ']', '@'])
            && part.split('%').skip(1).all(is_escape)
    })
}

/// Returns whether a text is `host`, `host:port`, `[IPv6]`, `[IPv6]:port`, or the encoded path of a
/// Unix socket.
fn is_host(text: &str) -> bool {
    let is_made_of = |text: &str, others: &[u8]| {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        !text.is_empty() && text.bytes().all(is_one)
    };
    if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_fine && address.parse::<Ipv6Addr>().is_ok();
    }
    if text.ends_with(".sock") {
        return is_made_of(text, b"%-._");
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    is_made_of(name, b"-._") && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && matches!(text.parse::<u16>(), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_nothing_quoted() {
        for (uri, word) in [
            ("", "neither mongodb://"),
            ("me:s3cret@db1", "neither mongodb://"),
            ("mongodb//me:s3cret@db1", "neither mongodb://"),
            ("http://me:s3cret@db1", "neither mongodb://"),
            ("mongodb://me:s3cret?x@db1/", "percent-encoded"),
            ("mongodb://me:12?x@db1/", "percent-encoded"),
            ("mongodb://me:s3cret@x@db1/", "percent-encoded"),
            ("mongodb://me:s3cret/x@db1/", "percent-encoded"),
            ("mongodb://me:s3cret#x@db1/", "percent-encoded"),
            ("mongodb://me:s3cret%@db1/", "percent-encoded"),
            ("mongodb://me:s3cret%aé@db1/", "percent-encoded"),
            ("mongodb://m:e:s3cret@db1/", "percent-encoded"),
            ("mongodb://:s3cret@db1/", "no user"),
            ("mongodb:///admin", "no host"),
            ("mongodb://me:s3cret", "HOST:PORT"),
            ("mongodb://db1:0", "HOST:PORT"),
            ("mongodb+srv://db1:27017", "without a port"),
            ("mongodb://db1/?s3cret=1", "option"),
        ] {
            let problem = problem(uri);
            assert!(problem.contains(word) && !problem.contains("s3cret"), "{uri}: {problem}");
        }
    }

    #[test]
    fn what_the_driver_takes_passes_the_check() {
        for uri in [
            "mongodb://db1",
            "mongodb://me@db1",
            "mongodb://me:@db1",
            "mongodb://me:p%40%C3%A9%3a@db1:27017,db2/x?appName=a@b",
            "mongodb+srv://me:pé@db.example/?retryWrites=true",
            "mongodb://%2Ftmp%2Fmongodb-27017.sock",
        ] {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn hosts_are_told_without_user_and_password() {
        for (uri, shown) in [
            ("mongodb://u:p@db1:27017,db2/x?authSource=admin", "db1:27017,db2"),
            ("mongodb+srv://u:p%40@db.example", "db.example"),
            ("mongodb://u:p@ss@db1/", "db1"),
            ("mongodb://u:p/w@db1/", "db1"),
            ("mongodb://[::1]:27017,[fe80::1]/", "[::1]:27017,[fe80::1]"),
            ("mongodb://u:p@%2Ftmp%2Fmongodb-27017.sock/", "%2Ftmp%2Fmongodb-27017.sock"),
        ] {
            assert_eq!(hosts(uri), Some(shown), "{uri}");
        }
    }

    #[test]
    fn what_could_be_a_password_is_not_taken_for_a_host() {
        for uri in [
            "",
            "u:secret",
            "mongodb://admin:hunter2",
            "mongodb://admin:hunter2,x/",
            "mongodb://u:12?w@db1/",
            "mongodb://u:p?w@db1/",
            "mongodb://db1/?authMechanismProperties=a@secret",
            "mongodb://admin:123456",
            "mongodb://admin:+1",
            "mongodb://[secret]/",
            "mongodb://pass word/",
            "http://db1/",
        ] {
            assert_eq!(hosts(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_password_is_left_out_and_nothing_else() {
        for (uri, left) in [
            ("mongodb://u:p@db1:1,db2/x?a=b", "mongodb://u@db1:1,db2/x?a=b"),
            ("mongodb+srv://u:p%40@db1", "mongodb+srv://u@db1"),
            ("mongodb://u:p:q@r@db1", "mongodb://u@db1"),
            ("mongodb://u@db1:27017", "mongodb://u@db1:27017"),
            ("mongodb://db1:27017/?appName=a:b@c", "mongodb://db1:27017/?appName=a:b@c"),
            ("u:p@db1", "u@db1"),
            ("", ""),
        ] {
            assert_eq!(without_password(uri), left, "{uri}");
        }
    }
}
