//! Notes about drops that follow other entries of the same accident: restoring to just before such
//! a drop would not bring everything back.

use hindsight_oplog::Namespace;
use hindsight_oplog::time_series::BUCKETS_PREFIX;

/// Collects notes on the commands in an answer, by name and namespace; each kind of note once.
#[derive(Debug, Default)]
pub(super) struct Drops {
    database: bool,
    buckets: Option<String>,
}

impl Drops {
    pub(super) fn note(&mut self, command: &str, ns: &str) {
        let namespace = Namespace::parse(ns);
        match (command, namespace.collection.strip_prefix(BUCKETS_PREFIX)) {
            ("dropDatabase", _) => self.database = true,
            ("drop", Some(name)) => {
                self.buckets.get_or_insert_with(|| format!("{}.{name}", namespace.database));
            }
            _ => {}
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let database = self.database.then(|| {
            "a dropDatabase comes after the drops of all its collections: to get them back, `restore --before` the \
             first of those drops"
                .to_owned()
        });
        let buckets = self.buckets.as_ref().map(|series| {
            format!(
                "a drop of a time-series collection deletes its view in the entry before the drop of its buckets: to \
                 get {series} back, `restore --before` that entry, which `find --ns {series}` shows"
            )
        });
        database.into_iter().chain(buckets).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drops_that_come_late_are_noted() {
        let noted = |commands: &[(&str, &str)]| {
            let mut drops = Drops::default();
            commands.iter().for_each(|(command, ns)| drops.note(command, ns));
            drops.notes()
        };
        assert!(noted(&[("drop", "shop.orders"), ("create", "iot.system.buckets.w")]).is_empty());
        let [database] = &noted(&[("dropDatabase", "shop"), ("dropDatabase", "iot")])[..] else {
            panic!("not one note")
        };
        assert!(database.contains("the first of those drops"));
        let [series] = &noted(&[("drop", "iot.system.buckets.w")])[..] else {
            panic!("not one note")
        };
        assert!(series.contains("`find --ns iot.w`"), "{series}");
    }
}
