//! How a caller of the command line applies a remedy. This is the only place where a remedy gets
//! its flag.

use hindsight_refusal::REMEDIES;
use hindsight_remedy::{Remedy, from_json};
use tonic::Status;
use tonic_types::StatusExt;

/// Returns what to type.
pub(crate) fn typed(remedy: &Remedy) -> String {
    match remedy {
        Remedy::AllowPrimary => "start with --allow-primary".into(),
        Remedy::Member { host, without_tags: false } => format!("start with --member {host}"),
        Remedy::Member { host, without_tags: true } => {
            format!("start with --member {host} and without --member-tag")
        }
        Remedy::Uri => "correct --uri, or the file that --uri-file names".into(),
        Remedy::OtherData => "name another directory with --data".into(),
        Remedy::KafkaReplicas { accepted } => {
            let accepted = accepted.map_or_else(|| "N".to_owned(), |it| it.to_string());
            format!("accept fewer with --kafka-replicas {accepted}")
        }
        Remedy::CopyLog => {
            "run `hindsight log copy --from COPY --to kafka://…/NEW`, and start with \
                            --log kafka://…/NEW"
                .into()
        }
        Remedy::SkipUnknown { name } => {
            format!(
                "start with --unknown-commands skip={name} if it is certain that {name} changes no data"
            )
        }
        Remedy::AllowNonEmpty => "add --allow-non-empty".into(),
        Remedy::LeaveOutUnrestorable => "add --leave-out-unrestorable".into(),
        Remedy::Time => "name a time with --for".into(),
    }
}

/// Adds to the message what to type, one line for each remedy.
pub(crate) fn with_hints(message: &str, remedies: &[Remedy]) -> String {
    let hints = remedies.iter().map(|remedy| format!("\nhint: {}", typed(remedy)));
    std::iter::once(message.to_owned()).chain(hints).collect()
}

/// Returns the remedies that a status carries.
pub(crate) fn of_status(status: &Status) -> Vec<Remedy> {
    let details = status.get_error_details();
    let info = details.error_info();
    let json = info.and_then(|info| info.metadata.get(REMEDIES));
    json.map_or_else(Vec::new, |json| from_json(json))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use hindsight_holdings::HoldingsError;
    use hindsight_tailer::CaptureError;

    use super::*;
    use crate::cli::Cli;
    use crate::exit::{Context, Failure};

    fn all() -> Vec<Remedy> {
        let member = |without_tags| Remedy::Member { host: "a:1".into(), without_tags };
        vec![
            Remedy::AllowPrimary,
            member(false),
            member(true),
            Remedy::Uri,
            Remedy::OtherData,
            Remedy::KafkaReplicas { accepted: Some(1) },
            Remedy::KafkaReplicas { accepted: None },
            Remedy::CopyLog,
            Remedy::SkipUnknown { name: "newThing".into() },
            Remedy::AllowNonEmpty,
            Remedy::LeaveOutUnrestorable,
            Remedy::Time,
        ]
    }

    fn flags_of(command: &clap::Command, found: &mut Vec<String>) {
        found.extend(command.get_arguments().filter_map(|it| it.get_long()).map(str::to_owned));
        command.get_subcommands().for_each(|command| flags_of(command, found));
    }

    #[test]
    fn every_remedy_names_a_flag_and_every_flag_exists() {
        let mut known = Vec::new();
        flags_of(&Cli::command(), &mut known);
        for remedy in all() {
            let typed = typed(&remedy);
            let words = typed.split(|c: char| c.is_whitespace() || c == ',');
            let named: Vec<&str> = words.filter_map(|word| word.strip_prefix("--")).collect();
            assert!(!named.is_empty(), "{typed}");
            for flag in named {
                assert!(known.iter().any(|it| it == flag), "--{flag} of {remedy:?}");
            }
        }
    }

    #[test]
    fn an_error_is_followed_by_what_to_type_however_it_is_wrapped() {
        let unusable = || CaptureError::BadUri("the connection string is not usable".into());
        let plain = Failure::from(unusable());
        let wrapped = Err::<(), _>(HoldingsError::from(unusable())).context("open it");
        for failure in [plain, wrapped.expect_err("it failed")] {
            let told = with_hints(&failure.with_causes(), &failure.remedies());
            assert!(told.ends_with("\nhint: correct --uri, or the file that --uri-file names"));
        }
        assert_eq!(with_hints("no remedy", &Failure::other("no remedy").remedies()), "no remedy");
    }
}
