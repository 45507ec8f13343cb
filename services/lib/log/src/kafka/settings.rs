//! Checks whether a topic is set up to keep a log, and says how to fix it when it is not.

use std::collections::BTreeMap;

use hindsight_remedy::{Finding, Remedy};

/// The least `max.message.bytes` that is accepted. With shorter records, the headers would outgrow
/// what they describe.
const LEAST_MESSAGE_BYTES: i64 = 64 << 10;
/// How many bytes a record may take besides its value: for Hindsight's headers and the framing of a
/// batch.
const RECORD_OVERHEAD_BYTES: usize = 4 << 10;

/// A topic as the brokers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicState {
    pub(super) partitions: usize,
    /// The replicas of the partition that has the fewest.
    pub(super) replicas: usize,
    /// The topic's settings by name, as text.
    pub(super) settings: BTreeMap<String, String>,
}

/// What a topic must be.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) bootstrap: &'a str,
    pub(super) topic: &'a str,
    pub(super) replicas: u16,
    /// The `max.message.bytes` of a topic that this program creates.
    pub(super) max_message_bytes: u32,
}

impl Wanted<'_> {
    /// Returns how many replicas must have a write before it is acknowledged. The log survives the
    /// loss of the others.
    pub(super) fn in_sync(&self) -> u16 {
        self.replicas / 2 + 1
    }

    /// Returns all settings that a topic is created with.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            ("min.insync.replicas", self.in_sync().to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
        ]
    }

    /// Returns everything that is wrong with a topic, each with how to fix it.
    pub(super) fn problems(&self, found: &TopicState) -> Vec<Finding> {
        let mut problems = self.shape_problems(found.partitions, found.replicas);
        problems.extend(self.setting_problems(&found.settings));
        problems
    }

    /// Returns what is wrong with partitions and replicas.
    pub(super) fn shape_problems(&self, partitions: usize, replicas: usize) -> Vec<Finding> {
        let mut problems = Vec::new();
        if partitions != 1 {
            let text = format!(
                "it has {partitions} partitions, and order holds within one only; partitions cannot be taken away: \
                 use another topic"
            );
            problems.push(text.into());
        }
        if replicas < usize::from(self.replicas) {
            problems.push(self.too_few_replicas(replicas));
        }
        problems
    }

    /// Returns what is wrong with the topic's settings.
    pub(super) fn setting_problems(&self, settings: &BTreeMap<String, String>) -> Vec<Finding> {
        let mut problems = Vec::new();
        let mut check = |name: &str, is_fine: &dyn Fn(&str) -> bool, why: &str, mended: &str| {
            let value = settings.get(name).map_or("", String::as_str);
            if !is_fine(value) {
                let mend = self.alter(name, mended);
                problems.push(format!("{name} is {value:?}, {why}: {mend}").into());
            }
        };
        // Kafka 4 allows a topic without any policy. Then nothing is ever deleted, whatever the
        // retention.
        let deletes_nothing = settings.get("cleanup.policy").is_some_and(String::is_empty);
        if !deletes_nothing {
            check("cleanup.policy", &|it| it == "delete", "records must stay", "delete");
            let forever = "old segments would vanish without a word";
            check("retention.ms", &|it| it == "-1", forever, "-1");
            check("retention.bytes", &|it| it == "-1", forever, "-1");
        }
        check(
            "unclean.leader.election.enable",
            &|it| it == "false",
            "a broker that missed segments could become the leader",
            "false",
        );
        // A value above the number of replicas means all of them: brokers go by the lower number.
        // Having too few replicas is a separate problem.
        let in_sync = self.in_sync();
        check(
            "min.insync.replicas",
            &|it| it.parse().is_ok_and(|it: u32| it >= in_sync.into()),
            &format!("segments must be on {in_sync} brokers before they count as durable"),
            &in_sync.to_string(),
        );
        check(
            "max.message.bytes",
            &|it| it.parse().is_ok_and(|it: i64| it >= LEAST_MESSAGE_BYTES),
            &format!("frames would fall into too many records; at least {LEAST_MESSAGE_BYTES}"),
            &self.max_message_bytes.to_string(),
        );
        check(
            "compression.type",
            &|it| ["producer", "uncompressed", "lz4", "snappy"].contains(&it),
            "frames are compressed already",
            "producer",
        );
        problems
    }

    /// Returns the command that changes a setting.
    pub(super) fn alter(&self, name: &str, value: &str) -> String {
        format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {} \
             --add-config {name}={value}",
            self.bootstrap, self.topic
        )
    }

    fn too_few_replicas(&self, found: usize) -> Finding {
        let accept = Remedy::KafkaReplicas { accepted: Some(found) };
        let text = format!(
            "it has {found} replicas of {}: give it more with kafka-reassign-partitions.sh --bootstrap-server {}, \
             or {accept}",
            self.replicas, self.bootstrap
        );
        Finding::with(text, accept)
    }
}

/// Returns how long the value of one record may be, in bytes.
pub(super) fn value_limit(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_sub(RECORD_OVERHEAD_BYTES).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted {
        bootstrap: "kafka:9092",
        topic: "hindsight.rs0",
        replicas: 3,
        max_message_bytes: 1_048_588,
    };

    fn created() -> TopicState {
        let settings = WANTED.settings();
        TopicState {
            partitions: 1,
            replicas: 3,
            settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    #[test]
    fn what_we_create_is_fine() {
        assert_eq!(WANTED.problems(&created()), []);
    }

    #[test]
    fn each_wrong_setting_is_named_with_what_mends_it() {
        for (name, wrong) in [
            ("cleanup.policy", "compact"),
            ("cleanup.policy", "delete,compact"),
            ("retention.ms", "604800000"),
            ("retention.bytes", "1073741824"),
            ("min.insync.replicas", "1"),
            ("min.insync.replicas", "most of them"),
            ("unclean.leader.election.enable", "true"),
            ("compression.type", "gzip"),
            ("max.message.bytes", "1000"),
        ] {
            let mut found = created();
            let right = found.settings.insert(name.to_owned(), wrong.to_owned()).unwrap();
            let problems = WANTED.problems(&found);
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            let problem = &problem.text;
            assert!(problem.starts_with(&format!("{name} is {wrong:?}")), "{problem}");
            let command = format!(
                ": kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics \
                 --entity-name hindsight.rs0 --add-config {name}={right}"
            );
            assert!(problem.ends_with(&command), "{problem}");
        }
    }

    #[test]
    fn what_takes_no_effect_is_no_problem() {
        let with = |changes: &[(&str, &str)]| {
            let mut found = created();
            for (name, value) in changes {
                found.settings.insert((*name).to_owned(), (*value).to_owned());
            }
            WANTED.problems(&found)
        };
        let none = Vec::<Finding>::new();
        assert_eq!(
            with(&[("cleanup.policy", ""), ("retention.ms", "1"), ("retention.bytes", "1")]),
            none
        );
        assert_eq!(with(&[("min.insync.replicas", "3")]), none);
        assert_eq!(with(&[("min.insync.replicas", "4")]), none, "brokers take it for 3");
        assert_eq!(with(&[("cleanup.policy", ""), ("min.insync.replicas", "1")]).len(), 1);
        let mut untold = created();
        untold.settings.remove("cleanup.policy");
        assert_eq!(WANTED.problems(&untold).len(), 1, "what is not told is not empty");
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let problems = WANTED.problems(&TopicState { partitions: 6, replicas: 1, ..created() });
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(problems[0].text.starts_with("it has 6 partitions"));
        assert!(problems[1].text.ends_with("or accept 1 as the number of replicas"));
        assert_eq!(problems[1].remedies, [Remedy::KafkaReplicas { accepted: Some(1) }]);
        let nothing = WANTED.problems(&TopicState::default());
        assert_eq!(nothing.len(), 9, "{nothing:#?}");
    }
}
