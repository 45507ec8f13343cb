//! The tokens file: who may call, and with which role.
//!
//! ```toml
//! [[token]]
//! name = "dashboard"
//! role = "viewer"
//! sha256 = "…"                        # 64 hexadecimal digits, of the token, which is not stored
//! expires = "2027-01-01T00:00:00Z"    # optional
//! ```
//!
//! Errors name the entry and never quote a value, because somebody may have written a token where
//! its digest belongs.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::role::Role;
use super::token::Digest;

/// Limit on the number of tokens. A file with more entries is a mistake.
const MAX_TOKENS: usize = 10_000;

/// The name of callers who present no token of the file.
const RESERVED: &str = "local";

const KEYS: [&str; 4] = ["name", "role", "sha256", "expires"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Arc<str>,
    pub role: Role,
    pub expires: Option<Timestamp>,
}

/// The entries of a file, by digest.
pub(super) type Entries = HashMap<Digest, Entry>;

/// Parses a file. An error says where the mistake is and what to do; the caller adds the name of
/// the file.
pub(super) fn parse(text: &str) -> Result<Entries, String> {
    let table: toml::Table = text.parse().map_err(|error| not_toml(text, &error))?;
    if let Some(key) = table.keys().find(|key| *key != "token") {
        return Err(format!("{} is not known here: entries begin with [[token]]", shown(key)));
    }
    let tokens = match table.get("token") {
        None => &[][..],
        Some(toml::Value::Array(tokens)) => tokens,
        Some(_) => return Err("`token` is no list: begin each entry with [[token]]".into()),
    };
    if tokens.len() > MAX_TOKENS {
        return Err(format!("more than {MAX_TOKENS} tokens: remove those not used any more"));
    }
    let mut entries = Entries::new();
    let mut names: HashMap<Arc<str>, usize> = HashMap::new();
    for (index, token) in tokens.iter().enumerate() {
        let number = index + 1;
        let (digest, entry) =
            self::entry(token).map_err(|error| format!("token {number}{error}"))?;
        let name = Arc::clone(&entry.name);
        if let Some(first) = names.insert(Arc::clone(&name), number) {
            return Err(format!(
                "tokens {first} and {number} are both named {name:?}: give each a name of its own"
            ));
        }
        if let Some(other) = entries.insert(digest, entry) {
            let other = other.name;
            return Err(format!("{other:?} and {name:?} are the same token: remove one of them"));
        }
    }
    Ok(entries)
}

/// Returns the number of the line that cannot be parsed, without its text.
fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {} is not TOML", before.matches('\n').count() + 1)
}

fn entry(token: &toml::Value) -> Result<(Digest, Entry), String> {
    let table = token.as_table().ok_or(" is no table: begin it with [[token]]")?;
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    let name = text("name").ok_or(" has no name: add name = \"…\"")?;
    check_name(name).map_err(|error| format!(": {error}"))?;
    let bad = |what: &str| format!(" ({name:?}): {what}");
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(bad(&format!("{} is not known. Known are {}", shown(key), KEYS.join(", "))));
    }
    let role = text("role").and_then(Role::named);
    let role = role.ok_or_else(|| bad("role must be \"viewer\", \"operator\" or \"restorer\""))?;
    let digest = text("sha256").and_then(Digest::parse).ok_or_else(|| {
        bad("sha256 must be 64 hexadecimal digits: what `printf %s TOKEN | sha256sum` prints, not the token")
    })?;
    let expires = match table.get("expires") {
        None => None,
        Some(value) => Some(moment(value).ok_or_else(|| {
            bad("expires must be a time with an offset, such as 2027-01-01T00:00:00Z")
        })?),
    };
    Ok((digest, Entry { name: name.into(), role, expires }))
}

fn moment(value: &toml::Value) -> Option<Timestamp> {
    match value {
        toml::Value::String(text) => text.parse().ok(),
        toml::Value::Datetime(moment) => moment.to_string().parse().ok(),
        _ => None,
    }
}

/// Checks a name. Names appear in logs, metrics and the audit file, so only plain characters are
/// allowed.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err("a name has 1 to 64 letters, digits or ._@+-".into());
    }
    if name == RESERVED {
        return Err(format!("the name {RESERVED:?} is taken by callers of this machine"));
    }
    Ok(())
}

/// Returns a key as an error may show it: short, so that it cannot be a token.
fn shown(key: &str) -> String {
    if key.len() <= 20 { format!("the key {key:?}") } else { "a long key".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn file(name: &str, role: &str, sha256: &str, more: &str) -> String {
        format!("[[token]]\nname = {name:?}\nrole = {role:?}\nsha256 = {sha256:?}\n{more}\n")
    }

    #[test]
    fn entries_are_found_by_digest() {
        let other = "0".repeat(64);
        let text = file("ann", "viewer", DIGEST, "")
            + &file("bob", "restorer", &other, "expires = 2027-01-01T00:00:00Z")
            + "# a comment\n";
        let entries = parse(&text).unwrap();
        assert_eq!(entries.len(), 2);
        let ann = &entries[&Digest::parse(DIGEST).unwrap()];
        assert_eq!((&*ann.name, ann.role, ann.expires), ("ann", Role::Viewer, None));
        let bob = &entries[&Digest::parse(&other).unwrap()];
        assert_eq!(bob.role, Role::Restorer);
        assert_eq!(bob.expires, "2027-01-01T00:00:00Z".parse().ok());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn times_may_be_text() {
        let text = file("ann", "viewer", DIGEST, "expires = \"2027-01-01T02:00:00+02:00\"");
        let entry = parse(&text).unwrap().into_values().next().unwrap();
        assert_eq!(entry.expires, "2027-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_entry() {
        let good = file("ann", "viewer", DIGEST, "");
        let zeros = "0".repeat(64);
        let cases = [
            ("[[token]]\nname = ".to_owned(), "line 2 is not TOML"),
            ("tokens = 1".into(), "the key \"tokens\" is not known"),
            ("token = 1".into(), "no list"),
            ("token = [1]".into(), "token 1 is no table"),
            ("[[token]]\nrole = \"viewer\"".into(), "token 1 has no name"),
            (file("", "viewer", DIGEST, ""), "token 1: a name has"),
            (file("a b", "viewer", DIGEST, ""), "token 1: a name has"),
            (file("local", "viewer", DIGEST, ""), "taken"),
            (good.clone() + &file("bob", "admin", &zeros, ""), "token 2 (\"bob\"): role must be"),
            (file("ann", "viewer", "abcd", ""), "token 1 (\"ann\"): sha256 must be"),
            (file("ann", "viewer", DIGEST, "expire = 1"), "the key \"expire\" is not known"),
            (file("ann", "viewer", DIGEST, "expires = 2027-01-01"), "expires must be"),
            (file("ann", "viewer", DIGEST, "expires = 2027-01-01T00:00:00"), "expires must be"),
            (file("ann", "viewer", DIGEST, "expires = 5"), "expires must be"),
            (good.clone() + &file("ann", "viewer", &zeros, ""), "tokens 1 and 2 are both named"),
            (good + &file("bob", "viewer", DIGEST, ""), "the same token"),
        ];
        for (text, part) in cases {
            let error = parse(&text).expect_err(&text);
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    }

    #[test]
    fn a_token_in_the_wrong_place_is_not_repeated() {
        let secret = "hst_0123456789abcdef0123456789abcdef";
        let cases = [
            file("ann", "viewer", secret, ""),
            file("ann", secret, DIGEST, ""),
            file("ann", "viewer", DIGEST, &format!("expires = {secret:?}")),
            file("ann", "viewer", DIGEST, &format!("{secret} = 1")),
            format!("{secret} = 1"),
            secret.to_owned(),
            format!("[[token]]\nname = \"{secret}"),
            format!("[[token]]\nname = \"{secret} {secret}\"\n"),
        ];
        for text in cases {
            let error = parse(&text).expect_err(&text);
            assert!(!error.contains(secret), "{error}");
        }
    }
}
