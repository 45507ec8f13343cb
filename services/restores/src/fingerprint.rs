//! Tells whether two requests ask for the same restore.

use hindsight_mongo::connection_string;
use hindsight_proto::v1 as api;
use prost::Message;

/// A digest of everything in a request except the target's password. The digest is kept on record,
/// and a short password can be found from its digest by trial and error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(restore: &api::RestoreSpec) -> Self {
        let to = connection_string::without_password(&restore.to);
        let kept = api::RestoreSpec { to, ..restore.clone() };
        Self(*blake3::hash(&kept.encode_to_vec()).as_bytes())
    }

    /// Returns `None` when the bytes are not a fingerprint.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(time: &str, exclusive: bool, to: &str, allow_non_empty: bool) -> api::RestoreSpec {
        let time = Some(api::TimeSpec { text: time.into(), exclusive });
        api::RestoreSpec { time, to: to.into(), allow_non_empty, ..Default::default() }
    }

    #[test]
    fn everything_but_the_password_counts() {
        let asked = Fingerprint::of(&spec("latest", false, "mongodb://u:p@db1/?tls=true", false));
        for other in [
            spec("1,1", false, "mongodb://u:p@db1/?tls=true", false),
            spec("latest", true, "mongodb://u:p@db1/?tls=true", false),
            spec("latest", false, "mongodb://u:p@db2/?tls=true", false),
            spec("latest", false, "mongodb://v:p@db1/?tls=true", false),
            spec("latest", false, "mongodb://u:p@db1/", false),
            spec("latest", false, "mongodb://u:p@db1/?tls=true", true),
        ] {
            assert!(asked != Fingerprint::of(&other), "{other:?}");
        }
        let other_password = spec("latest", false, "mongodb://u:q@db1/?tls=true", false);
        assert!(asked == Fingerprint::of(&other_password), "it tells a password");
        assert_eq!(Fingerprint::from_bytes(asked.bytes()), Some(asked));
        assert_eq!(Fingerprint::from_bytes(b""), None);
    }
}
