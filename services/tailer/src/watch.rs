//! Watches the member being read and the set around it, and decides whether to leave the member.

use std::time::Duration;

use hindsight_mongo::Client;
use tokio::time::Instant;

use crate::choose::{Preference, candidates};
use crate::error::CaptureError;
use crate::positions::PositionBoard;
use crate::reader::oplog_ends;
use crate::source::{Source, majority_point};

/// The time between two requests for the member's majority point.
const MAJORITY_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two looks at the whole set, which show whether another member has become a much
/// better source.
const SURVEY_INTERVAL: Duration = Duration::from_secs(5);
/// The lag behind another candidate, in seconds, above which a member is left for that candidate.
const TOLERATED_LAG_SECONDS: u32 = 10;

/// What watching a member needs.
pub(crate) struct MemberWatch {
    pub(crate) source: Source,
    pub(crate) preference: Preference,
    pub(crate) positions: PositionBoard,
    pub(crate) hosts: Vec<String>,
}

impl MemberWatch {
    /// Watches until there is a reason to leave this member, and returns that reason.
    pub(crate) async fn watch_member(&self, client: &Client, host: &str) -> CaptureError {
        let mut surveyed = Instant::now();
        loop {
            tokio::time::sleep(MAJORITY_INTERVAL).await;
            // A failure here shows in the reading itself soon enough.
            if let Ok(majority) = majority_point(client, host).await {
                self.positions.saw_majority(majority);
            }
            if surveyed.elapsed() < SURVEY_INTERVAL {
                continue;
            }
            surveyed = Instant::now();
            if let Ok(ends) = oplog_ends(client, host).await {
                self.positions.saw_oldest(ends.oldest);
            }
            if let Some(reason) = self.better_elsewhere(host).await {
                return CaptureError::Unavailable(reason);
            }
        }
    }

    async fn better_elsewhere(&self, host: &str) -> Option<String> {
        let survey = self.source.survey(&self.hosts).await.ok()?;
        let found = candidates(&survey.members, &self.preference).ok()?;
        let applied = |host: &str| {
            let member = survey.members.iter().find(|member| member.host == host);
            member.map_or(0, |member| member.applied.seconds())
        };
        let newest = found.iter().map(|candidate| applied(&candidate.host)).max()?;
        if !found.iter().any(|candidate| candidate.host == host) {
            let state = survey.members.iter().find(|member| member.host == host);
            let state = state.map_or("it left the set".to_owned(), |it| it.state.to_string());
            return Some(format!("{host} is no longer a member to read from ({state})"));
        }
        let lag = newest.saturating_sub(applied(host));
        (lag > TOLERATED_LAG_SECONDS).then(|| format!("{host} is {lag} s behind another member"))
    }
}
