//! The settings of a restore.

use serde::{Deserialize, Serialize};

/// Settings of a restore. The defaults suit a dedicated target on a few cores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreSettings {
    /// How many inserts, creations or index builds the target is asked to do at once.
    pub connections: usize,
    /// How many collections are read from the snapshot at once.
    pub readers: usize,
    /// Bytes of documents per insert. Larger batches were not faster on 6.0.5 (256 KiB to 12 MiB
    /// measured), and the driver makes two more copies of each batch in flight.
    pub batch_bytes: usize,
    /// Documents per insert; servers take at most 100,000.
    pub batch_documents: usize,
    /// Read the target back and compare. Without the verification, a report claims nothing about
    /// what the target holds.
    pub verify: bool,
    /// Restore `admin.system.users` and `admin.system.roles`.
    pub users_and_roles: bool,
    /// Write into a target that holds other collections. Even then, the collections of the plan
    /// must not exist: nothing is ever overwritten.
    pub allow_non_empty: bool,
    /// Leave out what the target can never hold (single indexes, options and documents), and name
    /// it in the report, instead of refusing to restore.
    pub leave_out_unrestorable: bool,
    /// What is known about the deployment that the state comes from.
    pub source: SourceIdentity,
}

/// What is known about the source, for checks of the target. What is not known is not checked, and
/// the report says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceIdentity {
    /// `settings.replicaSetId`, in hexadecimal.
    pub replica_set_id: Option<String>,
    /// The MongoDB series that the source is known to have run until the restored time, such as
    /// `6.0`. The source may have been upgraded since, or its feature compatibility version
    /// lowered.
    pub series: Vec<String>,
}

impl Default for RestoreSettings {
    fn default() -> Self {
        Self {
            connections: 4,
            readers: 2,
            batch_bytes: 2 << 20,
            batch_documents: 50_000,
            verify: true,
            users_and_roles: true,
            allow_non_empty: false,
            leave_out_unrestorable: false,
            source: SourceIdentity::default(),
        }
    }
}

/// The largest `batch_bytes`. A document travels inside its `insert`, and a command may be 16 KiB
/// larger than the largest document.
const MAX_BATCH_BYTES: usize = 15 << 20;

impl RestoreSettings {
    /// Checks that every number is within its range.
    ///
    /// # Errors
    /// Returns a message that names the setting, its value and the values that it may have.
    pub fn validate(&self) -> Result<(), String> {
        let ranges = [
            ("connections", self.connections, 1, 128),
            ("readers", self.readers, 1, 64),
            ("batch_bytes", self.batch_bytes, 1, MAX_BATCH_BYTES),
            ("batch_documents", self.batch_documents, 1, 100_000),
        ];
        for (name, value, least, most) in ranges {
            if value < least || value > most {
                return Err(format!("{name} is {value}; it may be {least} to {most}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_a_bad_value_is_named() {
        assert_eq!(RestoreSettings::default().validate(), Ok(()));
        let bad = RestoreSettings { batch_bytes: 64 << 20, ..RestoreSettings::default() };
        let message = bad.validate().expect_err("too large for one command");
        assert!(message.starts_with("batch_bytes is 67108864"), "{message}");
    }
}
