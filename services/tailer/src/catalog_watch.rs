//! Looks regularly at what the source's members list of their catalog, and records it in the log.
//!
//! The oplog does not show every change of the catalog. An index that is built on each member
//! alone, while the members are restarted in turn as standalones, leaves no entry. A record made
//! here says only what members list. A history compares the record with what the entries made.
//!
//! One member is listed as a whole. When that member lists a collection differently from the last
//! record, the new listing is recorded under two conditions: the member listed it so twice, some
//! time apart, and most members that build indexes list it so. Half-way through a rolling build
//! members differ, and neither of their lists is the set's.

mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hindsight_base::Uuid;
use hindsight_copy::{CatalogListing, list_catalog, list_these};
use hindsight_index::{Index, IndexError};
use hindsight_oplog::Timestamp;
use hindsight_runtime::CancellationToken;
use hindsight_segment::CatalogSighting;
use tracing::{debug, warn};

use crate::choose::{Member, MemberState, Preference, candidates};
use crate::error::CaptureError;
use crate::metrics;
use crate::settings::CaptureSettings;
use crate::sightings::SightingQueue;
use crate::status::StatusBoard;
use known::{Commands, Form, Known, Stable, form, namespace};

/// The time between two looks while a collection was listed differently from its record, and only
/// once so far.
const RELOOK: Duration = Duration::from_secs(10);
/// The time to the next look after a look that failed.
const RETRY: Duration = Duration::from_secs(60);
/// How long the majority point may take to pass what was listed.
const MAJORITY_PATIENCE: Duration = Duration::from_secs(60);

/// What watching the catalog needs.
pub struct CatalogWatch {
    /// The source, and which of its members may be read from.
    pub settings: CaptureSettings,
    /// The index, whose commands and bases make earlier listings worthless.
    pub index: Arc<Index>,
    /// Where sightings are put on their way into the log.
    pub sightings: SightingQueue,
    /// Where the outcome of each look is published.
    pub status: StatusBoard,
    /// The time between two looks.
    pub every: Duration,
}

/// What earlier looks found.
#[derive(Debug, Default)]
struct Memory {
    known: Known,
    /// The time after which commands may be new since the last look.
    looked_at: Option<Timestamp>,
}

/// By member: what it lists of some collections.
type Lists = BTreeMap<String, BTreeMap<Uuid, Form>>;

impl CatalogWatch {
    /// Runs until shutdown. A look that fails is reported and repeated.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut memory = Memory::default();
        while !shutdown.is_cancelled() {
            let looked = tokio::select! {
                looked = self.look(&mut memory) => looked,
                () = shutdown.cancelled() => return,
            };
            let delay = match looked {
                Ok(differing) => {
                    metrics::catalogs_compared(differing.len());
                    let is_settled = memory.known.pending() <= differing.len();
                    self.status.looked_at_catalog(differing);
                    if is_settled { self.every } else { RELOOK.min(self.every) }
                }
                Err(error) => {
                    metrics::catalogs_not_compared();
                    if self.status.catalog_unchecked(&error.to_string()) {
                        warn!(%error, "the source's catalog cannot be compared; trying again");
                    }
                    RETRY.min(self.every)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Makes one look. Returns the collections that members list differently, for people.
    async fn look(&self, memory: &mut Memory) -> Result<Vec<String>, CaptureError> {
        let CaptureSettings { source, preference, .. } = &self.settings;
        let survey = source.survey(&source.hosts()).await?;
        if survey.identity != self.settings.identity {
            let text = "the source is another replica set now";
            return Err(CaptureError::Refused(text.to_owned()));
        }
        let host = whom_to_ask(&survey.members, preference)?;
        let client = source.member_client(host)?;
        let listing = list_catalog(&client, MAJORITY_PATIENCE).await;
        let listing =
            listing.map_err(|error| CaptureError::Unavailable(format!("{host}: {error}")))?;
        let commands = self.read_log(memory, &listing)?;
        let stable = memory.known.note(&listing, &commands);
        if stable.is_empty() {
            return Ok(Vec::new());
        }
        let lists = self.ask_others(&survey.members, host, &stable).await;
        let total = voters(&survey.members).count();
        Ok(self.record(&mut memory.known, (host, &listing), stable, &lists, total))
    }

    /// Reads what makes earlier listings worthless: the commands since the last look, and bases.
    fn read_log(
        &self,
        memory: &mut Memory,
        listing: &CatalogListing,
    ) -> Result<Commands, IndexError> {
        let view = self.index.view();
        let durable = view.resume_point()?.map_or(listing.from, |resume| resume.last.ts);
        let since = memory.looked_at.unwrap_or(listing.from);
        let mut commands = Commands::default();
        view.bases()?.iter().for_each(|base| commands.note_base(base.start));
        for command in view.commands_newest_first(since, Timestamp::MAX) {
            commands.note(&command?);
        }
        memory.looked_at = Some(durable.min(listing.from));
        Ok(commands)
    }

    /// Asks the other members for these collections. Members that do not answer are left out.
    async fn ask_others(&self, members: &[Member], host: &str, stable: &[Stable<'_>]) -> Lists {
        let wanted: BTreeSet<(String, Uuid)> =
            stable.iter().map(|it| (it.info.db.clone(), it.info.uuid)).collect();
        let others = voters(members).filter(|it| it.host != host && it.state != MemberState::Other);
        let mut lists = Lists::new();
        for other in others {
            let listed = match self.settings.source.member_client(&other.host) {
                Ok(client) => list_these(&client, &wanted).await.map_err(CaptureError::from),
                Err(error) => Err(error),
            };
            match listed {
                Ok(listed) => {
                    let forms = listed.iter().map(|info| (info.uuid, form(info))).collect();
                    lists.insert(other.host.clone(), forms);
                }
                Err(error) => debug!(host = other.host, %error, "its catalog cannot be listed"),
            }
        }
        lists
    }

    /// Hands on what most members list. Returns what most members do not list, for people.
    fn record(
        &self,
        known: &mut Known,
        (host, listing): (&str, &CatalogListing),
        stable: Vec<Stable<'_>>,
        lists: &Lists,
        total: usize,
    ) -> Vec<String> {
        let mut differing = Vec::new();
        for Stable { info, form, from } in stable {
            let agree = lists.iter().filter(|(_, forms)| forms.get(&info.uuid) == Some(&form));
            let mut members = vec![host.to_owned()];
            members.extend(agree.map(|(host, _)| host.clone()));
            let ns = namespace(info);
            if !is_majority(members.len(), total) {
                let (number, members) = (members.len(), members.join(", "));
                differing.push(format!(
                    "{ns}: {number} of {total} members list these options and indexes ({members}), the others \
                     list others or do not answer"
                ));
                continue;
            }
            known.record(info.uuid, form, from);
            self.sightings.push(CatalogSighting {
                uuid: info.uuid,
                ns,
                seen_from: from,
                seen_to: listing.to,
                members,
                options: info.options.clone(),
                indexes: info.indexes.clone(),
            });
        }
        differing
    }
}

/// Returns the member to list. This is the member to read from, or another member when that one
/// does not have the set's indexes; no documents are read from it.
fn whom_to_ask<'a>(
    members: &'a [Member],
    preference: &Preference,
) -> Result<&'a str, CaptureError> {
    let found = candidates(members, preference)?;
    let place = |member: &Member| {
        let preferred = found.iter().position(|candidate| candidate.host == member.host);
        (preferred.unwrap_or(usize::MAX), member.state == MemberState::Primary)
    };
    let readable = voters(members).filter(|member| member.state != MemberState::Other);
    let first = readable.min_by_key(|member| place(member));
    first.map(|member| member.host.as_str()).ok_or_else(|| {
        CaptureError::Unavailable("no member that builds indexes and is not delayed answers".into())
    })
}

/// Returns the members whose indexes are the set's: they hold data, build indexes, and are not
/// delayed on purpose.
fn voters(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|it| !it.arbiter && !it.delayed && it.builds_indexes)
}

fn is_majority(members: usize, total: usize) -> bool {
    2 * members > total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        assert!(is_majority(1, 1) && is_majority(2, 3) && is_majority(2, 2));
        assert!(!is_majority(1, 2) && !is_majority(1, 3) && !is_majority(2, 4));
    }
}
