use hindsight_api::json::{Notation, ResolvedTimeJson};
use hindsight_api::times::shown;
use hindsight_proto::v1::{ResolveTimeRequest, TimeSpec};

use super::shown::warn_of_texts;
use super::{find, print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output, Resolve};
use crate::exit::{Exit, Result};

pub(super) async fn run(global: &Global, resolve: &Resolve, backend: &Backend) -> Result<Exit> {
    let time = TimeSpec { text: resolve.time.clone(), exclusive: resolve.before };
    let answer = backend
        .hindsight()
        .resolve_time(ResolveTimeRequest { time: Some(time) })
        .await?
        .into_inner();
    if global.output == Output::Json {
        let json = ResolvedTimeJson::of(answer, Notation::Canonical)?;
        warn_of_texts(|| "an entry".to_owned(), &json.inexact);
        print_json(&json)?;
        return Ok(Exit::Done);
    }
    print_line(&format!("through {}", shown(answer.at)))?;
    let neighbours =
        [("last included", &answer.last_included), ("first excluded", &answer.first_excluded)];
    for (name, entry) in neighbours {
        if !entry.is_empty() {
            print_line(&format!("{name:<15} {}", find::summary(entry)?))?;
        }
    }
    Ok(Exit::Done)
}
