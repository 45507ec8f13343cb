//! `--unknown-commands`: what to do with operations and commands that this version does not know.

use std::collections::BTreeSet;
use std::str::FromStr;

use hindsight_oplog::{CommandKind, OpKind};

const FORM: &str = "write skip=NAME,NAME with the names that `hindsight status` or the log reports";

/// `skip=NAME,NAME`: the named operations and commands carry no data, and the history continues
/// past them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownCommands {
    pub skipped: BTreeSet<String>,
}

impl FromStr for UnknownCommands {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.strip_prefix("skip=").ok_or_else(|| FORM.to_owned())?;
        let names: BTreeSet<String> = names.split(',').map(str::to_owned).collect();
        for name in &names {
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(format!("{name:?} is not a name: {FORM}"));
            }
            let is_known = CommandKind::of(name.as_bytes()) != CommandKind::Unknown
                || OpKind::of(name.as_bytes()) != OpKind::Unknown;
            if is_known {
                return Err(format!("this version knows {name}, so it cannot be skipped"));
            }
        }
        Ok(Self { skipped: names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_skipped_and_what_is_known_or_no_name_is_refused() {
        let parsed: UnknownCommands = "skip=newThing,xz".parse().expect("two names");
        assert_eq!(parsed.skipped, ["newThing", "xz"].map(str::to_owned).into());
        for wrong in
            ["newThing", "skip=", "skip=a,,b", "skip=a b", "skip=drop", "skip=i", "skip=km"]
        {
            assert!(wrong.parse::<UnknownCommands>().is_err(), "{wrong}");
        }
    }
}
