//! Checks whether the topic still keeps what it was given. The check is repeated while a log is
//! open.
//!
//! Each question is asked separately. A question that cannot be answered, because rights or brokers
//! are missing, hides none of the other answers, and is reported.

use std::collections::BTreeMap;

use hindsight_remedy::{Finding, Remedy};
use hindsight_segment::Sequence;

use super::places::Places;
use super::settings::Wanted;
use super::store::Store;
use crate::error::LogError;
use crate::shared::Risks;

impl Store {
    /// Returns which of the records are gone or damaged, as text for people.
    pub(super) fn lost_records(&self) -> Result<Vec<Finding>, LogError> {
        let damage = match self.refresh() {
            Ok(()) => None,
            Err(error @ LogError::Corrupt { .. }) => {
                let text = format!(
                    "{error}; or copy what is intact before it to a new topic, and go on there"
                );
                Some(Finding::with(text, Remedy::CopyLog))
            }
            Err(error) => return Err(error),
        };
        Ok(self.gone_records()?.into_iter().chain(damage).collect())
    }

    /// Returns what is gone from the beginning of the topic, as text for people. None when nothing
    /// is.
    pub(super) fn gone_records(&self) -> Result<Option<Finding>, LogError> {
        let first = self.forget_removed()?.0;
        Ok(gone(&self.topic.options.topic, first, &self.follower().places))
    }
}

/// Returns what it means that the topic begins at offset `first`. None when nothing is gone.
fn gone(topic: &str, first: i64, places: &Places) -> Option<Finding> {
    if first == 0 {
        return None;
    }
    let begins = places.first();
    let copy = Remedy::CopyLog;
    let remedy = format!(
        "The log is read from there on. Unless they were removed on purpose, check the topic's retention; they can be \
         put back from a copy of the log only: {copy}"
    );
    let text = match places.is_empty() {
        true => format!(
            "the records before offset {first} are gone from the topic {topic}, and no whole segment is left: it is \
             refused at the next start; {copy}"
        ),
        false if begins == Sequence::FIRST => format!(
            "the records before offset {first} are gone from the topic {topic}, and with them perhaps a claim or the \
             notice of a base; all segments are there. {remedy}"
        ),
        false => format!(
            "the segments before {begins} are gone from the topic {topic}, as are all records before offset {first}. \
             {remedy}"
        ),
    };
    Some(Finding::with(text, copy))
}

/// Turns the answers into risks: the number of partitions and the fewest replicas (None when there
/// is no topic), the settings, and what is lost of the records.
pub(super) fn weigh(
    wanted: &Wanted<'_>,
    shape: Result<Option<(usize, usize)>, LogError>,
    settings: Result<BTreeMap<String, String>, LogError>,
    records: Result<Vec<Finding>, LogError>,
) -> Risks {
    let mut risks = Risks::default();
    match shape {
        Ok(Some((partitions, replicas))) => {
            risks.found.extend(wanted.shape_problems(partitions, replicas));
        }
        // The other answers would say the same in other words.
        Ok(None) => {
            let text = format!("there is no topic {} any more: {}", wanted.topic, Remedy::CopyLog);
            risks.found.push(Finding::with(text, Remedy::CopyLog));
            return risks;
        }
        Err(error) => {
            risks.unchecked.push(format!("partitions and replicas cannot be checked: {error}"));
        }
    }
    match settings {
        Ok(settings) => risks.found.extend(wanted.setting_problems(&settings)),
        Err(error) => risks.unchecked.push(format!(
            "the topic's settings cannot be checked (which takes the right DescribeConfigs): {error}"
        )),
    }
    match records {
        Ok(lost) => risks.found.extend(lost),
        Err(error) => risks
            .unchecked
            .push(format!("whether all records are there cannot be checked: {error}")),
    }
    risks
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::kafka::gather::Place;

    const WANTED: Wanted<'_> = Wanted {
        bootstrap: "kafka:9092",
        topic: "hindsight.rs0",
        replicas: 3,
        max_message_bytes: 1_048_588,
    };

    fn fine() -> BTreeMap<String, String> {
        WANTED.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn denied<T>() -> Result<T, LogError> {
        let cause = std::io::Error::other("TopicAuthorizationFailed");
        Err(LogError::unavailable("the topic", "learn of it", cause))
    }

    #[test]
    fn a_topic_as_it_must_be_is_no_risk() {
        let risks = weigh(&WANTED, Ok(Some((1, 3))), Ok(fine()), Ok(Vec::new()));
        assert_eq!(risks, Risks::default());
    }

    #[test]
    fn a_topic_that_is_gone_is_the_one_risk_there_is() {
        let risks = weigh(&WANTED, Ok(None), denied(), denied());
        let [gone] = &risks.found[..] else { panic!("{risks:?}") };
        assert!(gone.text.starts_with("there is no topic hindsight.rs0 any more"), "{gone}");
        assert_eq!(gone.remedies, [Remedy::CopyLog]);
        assert_eq!(risks.unchecked, Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_checked_is_told_and_hides_nothing_else() {
        let mut short = fine();
        short.insert("retention.ms".to_owned(), "1000".to_owned());
        let lost = || Ok(vec!["lost".into()]);
        let cases = [
            (weigh(&WANTED, denied(), Ok(short.clone()), lost()), 2, "partitions and replicas"),
            (weigh(&WANTED, Ok(Some((1, 1))), denied(), lost()), 2, "DescribeConfigs"),
            (weigh(&WANTED, Ok(Some((1, 1))), Ok(short), denied()), 2, "whether all records"),
        ];
        for (risks, found, words) in cases {
            assert_eq!(risks.found.len(), found, "{risks:#?}");
            let [unchecked] = &risks.unchecked[..] else { panic!("{risks:?}") };
            assert!(unchecked.contains(words), "{unchecked}");
            assert!(unchecked.contains("TopicAuthorizationFailed"), "{unchecked}");
        }
    }

    #[test]
    fn what_is_gone_from_the_beginning_is_told() {
        let place = |first: i64| Place { first, seal: first + 2, last: first + 2 };
        let mut whole = Places::default();
        whole.begin(Sequence(1), place(1));
        whole.push(place(4));
        assert_eq!(gone("t", 0, &whole), None);
        for (first, words) in [
            (1, "the records before offset 1 are gone from the topic t"),
            (2, "the segments before 2 are gone from the topic t"),
            (4, "the segments before 2 are gone from the topic t"),
            (5, "no whole segment is left"),
        ] {
            let mut left = whole.clone();
            left.forget_before(first);
            let told = gone("t", first, &left).unwrap();
            assert_eq!(told.remedies, [Remedy::CopyLog]);
            let told = told.text;
            assert!(told.contains(words), "{first}: {told}");
            assert!(told.contains("copy of the log to a new topic"), "{first}: {told}");
            assert_eq!(told.contains("all segments are there"), first == 1, "{first}: {told}");
        }
        assert!(gone("t", 1, &Places::default()).is_some(), "of an empty log a claim");
    }
}
