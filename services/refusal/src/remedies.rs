//! Remedies as messages, and back.

use hindsight_proto::v1 as api;
use hindsight_remedy::Remedy;

/// Returns the remedy as a message of the API.
pub fn to_api(remedy: &Remedy) -> api::Remedy {
    let named = |name: &str| api::Remedy { name: name.to_owned(), ..Default::default() };
    match remedy {
        Remedy::AllowPrimary => named("allow_primary"),
        Remedy::Member { host, without_tags } => api::Remedy {
            host: Some(host.clone()),
            without_tags: Some(*without_tags),
            ..named("member")
        },
        Remedy::Uri => named("uri"),
        Remedy::OtherData => named("other_data"),
        Remedy::KafkaReplicas { accepted } => {
            let accepted = accepted.and_then(|it| u32::try_from(it).ok());
            api::Remedy { accepted, ..named("kafka_replicas") }
        }
        Remedy::CopyLog => named("copy_log"),
        Remedy::SkipUnknown { name } => {
            api::Remedy { skipped: Some(name.clone()), ..named("skip_unknown") }
        }
        Remedy::AllowNonEmpty => named("allow_non_empty"),
        Remedy::LeaveOutUnrestorable => named("leave_out_unrestorable"),
        Remedy::Time => named("time"),
    }
}

/// Returns the remedy; `None` for a remedy that only a newer version knows.
pub fn from_api(remedy: api::Remedy) -> Option<Remedy> {
    Some(match remedy.name.as_str() {
        "allow_primary" => Remedy::AllowPrimary,
        "member" => Remedy::Member {
            host: remedy.host?,
            without_tags: remedy.without_tags.unwrap_or_default(),
        },
        "uri" => Remedy::Uri,
        "other_data" => Remedy::OtherData,
        "kafka_replicas" => {
            Remedy::KafkaReplicas { accepted: remedy.accepted.and_then(|it| it.try_into().ok()) }
        }
        "copy_log" => Remedy::CopyLog,
        "skip_unknown" => Remedy::SkipUnknown { name: remedy.skipped? },
        "allow_non_empty" => Remedy::AllowNonEmpty,
        "leave_out_unrestorable" => Remedy::LeaveOutUnrestorable,
        "time" => Remedy::Time,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_remedy_comes_back_under_the_name_that_it_has_as_json() {
        let host = "a:1".to_owned();
        for remedy in [
            Remedy::AllowPrimary,
            Remedy::Member { host, without_tags: true },
            Remedy::Uri,
            Remedy::OtherData,
            Remedy::KafkaReplicas { accepted: Some(1) },
            Remedy::KafkaReplicas { accepted: None },
            Remedy::CopyLog,
            Remedy::SkipUnknown { name: "newThing".into() },
            Remedy::AllowNonEmpty,
            Remedy::LeaveOutUnrestorable,
            Remedy::Time,
        ] {
            let message = to_api(&remedy);
            let json = hindsight_remedy::to_json(std::slice::from_ref(&remedy));
            assert!(json.contains(&format!("\"{}\"", message.name)), "{json}");
            assert_eq!(from_api(message), Some(remedy));
        }
        let newer = api::Remedy { name: "of_tomorrow".into(), ..Default::default() };
        assert_eq!(from_api(newer), None);
    }
}
