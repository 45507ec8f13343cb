//! The status as JSON.

use std::collections::BTreeMap;

use hindsight_proto::v1 as api;
use hindsight_proto::v1::base_copy::State;
use hindsight_proto::v1::base_copy_progress::Stage;
use hindsight_refusal::remedies;
use hindsight_remedy::Remedy;
use serde::Serialize;
use utoipa::ToSchema;

use crate::json::PositionJson;

/// The state of the process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusJson {
    pub positions: PositionsJson,
    /// The newest window; `null` when nothing can be restored.
    pub restorable_from: Option<PositionJson>,
    pub restorable_through: Option<PositionJson>,
    pub lags_seconds: LagsJson,
    /// How much oplog the source still has before the durable position, in seconds of cluster time.
    /// At 0, entries are lost. `null` when not known.
    pub rollover_headroom_seconds: Option<u32>,
    /// The address at which this process serves the API.
    pub api: Option<String>,
    /// The member that is read from; `null` when none is.
    pub member: Option<String>,
    /// Why that member was chosen.
    pub member_reason: Option<String>,
    /// `null` when this process does not capture, or does not know its role yet.
    pub role: Option<RoleJson>,
    /// Number of windows.
    pub windows: u64,
    /// Number of gaps.
    pub gaps: u64,
    /// The names of the bases.
    pub bases: Vec<String>,
    /// `null` when no base is being copied and the last copy was complete.
    pub base_copy: Option<BaseCopyJson>,
    /// The base that the history loads.
    pub history_loading: Option<String>,
    /// By name, how many unknown operations or commands the history was told to skip; `null` in a
    /// process that keeps no history.
    pub unknown_commands_skipped: Option<BTreeMap<String, u64>>,
    pub catalog: CatalogJson,
    /// `null` when no process runs.
    pub disk: Option<DiskJson>,
    /// What can be done about the errors, by name, or as an object with a name and its values.
    #[schema(value_type = Vec<Object>)]
    pub remedies: Vec<Remedy>,
    /// Everything that is wrong now, for people.
    pub errors: Vec<String>,
}

/// How much of the disk is used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiskUse)]
pub struct DiskJson {
    /// What the segments take that are held.
    pub log_bytes: u64,
    /// What the bases take.
    pub base_bytes: u64,
    /// What the history takes. 0 in a process that keeps none.
    pub history_bytes: u64,
    /// What is free where they lie; of several file systems, the least.
    pub free_bytes: Option<u64>,
    /// By how much their size grows in an hour. `null` in the first minutes.
    pub growth_bytes_per_hour: Option<u64>,
    /// After how many hours the disk is full at this rate. `null` when not known, or when nothing
    /// grows.
    pub full_in_hours: Option<u64>,
}

/// Last positions, each at or before the one above it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Positions)]
pub struct PositionsJson {
    /// What a majority of the replica set has committed.
    pub majority: Option<PositionJson>,
    /// What Hindsight has read.
    pub received: Option<PositionJson>,
    /// What is in the log.
    pub durable: Option<PositionJson>,
    /// What the index knows.
    pub indexed: Option<PositionJson>,
    /// What the history holds.
    pub applied: Option<PositionJson>,
}

/// Differences between two positions, in seconds of cluster time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lags)]
pub struct LagsJson {
    pub majority_to_durable: Option<u32>,
    pub durable_to_applied: Option<u32>,
}

/// Whether this tailer leads, where several share a log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TailerRole)]
pub struct RoleJson {
    pub leading: bool,
    /// The name of the leader, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub leader: Option<String>,
    /// The leader's writer epoch.
    pub epoch: u64,
}

/// What this process does about copying a base.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = BaseCopy)]
pub enum BaseCopyJson {
    Failed {
        /// Why the last copy failed. Another one follows.
        failed: String,
    },
    Copying {
        /// `Listing`, `Scanning`, `AwaitingMajority`, `Finishing` or `Done`.
        stage: &'static str,
        /// Number of collections whose scan has ended.
        collections_done: u64,
        /// Number of collections to copy.
        collections: u64,
        /// Number of documents read.
        documents: u64,
        /// Bytes of these documents.
        bytes: u64,
        /// The latest failure after which something was tried again.
        last_failure: Option<String>,
    },
}

/// Whether the source's catalog agrees with its entries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogCheck)]
pub struct CatalogJson {
    /// Seconds since the members' catalogs were last compared.
    pub checked_seconds_ago: Option<u64>,
    /// Why the members could not be asked at the last attempt.
    pub unchecked: Option<String>,
    /// The collections that members list differently, for people.
    pub members_differ: Vec<String>,
    /// Number of differences that no entry tells of.
    pub unlogged: u64,
    /// The newest of them, at most 20.
    pub newest_unlogged: Vec<UnloggedJson>,
}

/// A collection's indexes or options were not what the entries say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnloggedChange)]
pub struct UnloggedJson {
    pub ns: String,
    /// From this time on, the history follows what the members list.
    pub at: Option<PositionJson>,
    /// Each difference in words.
    pub differences: Vec<String>,
    /// Whether the history follows what the members list. Otherwise it goes on as the entries say.
    pub taken_up: bool,
}

impl From<api::GetStatusResponse> for StatusJson {
    fn from(status: api::GetStatusResponse) -> Self {
        let positions = status.positions.unwrap_or_default();
        let lags = status.lags_seconds.unwrap_or_default();
        let role = |it: api::TailerRole| RoleJson {
            leading: it.leading,
            leader: it.leader,
            epoch: it.epoch,
        };
        Self {
            positions: PositionsJson {
                majority: positions.majority.map(Into::into),
                received: positions.received.map(Into::into),
                durable: positions.durable.map(Into::into),
                indexed: positions.indexed.map(Into::into),
                applied: positions.applied.map(Into::into),
            },
            restorable_from: status.restorable_from.map(Into::into),
            restorable_through: status.restorable_through.map(Into::into),
            lags_seconds: LagsJson {
                majority_to_durable: lags.majority_to_durable,
                durable_to_applied: lags.durable_to_applied,
            },
            rollover_headroom_seconds: status.rollover_headroom_seconds,
            api: status.api,
            member: status.member,
            member_reason: status.member_reason,
            role: status.role.map(role),
            windows: status.windows,
            gaps: status.gaps,
            bases: status.bases,
            base_copy: status.base_copy.and_then(|copy| copy.state).map(Into::into),
            history_loading: status.history_loading,
            unknown_commands_skipped: status
                .unknown_commands_skipped
                .map(|skipped| skipped.counts.into_iter().collect()),
            catalog: status.catalog.unwrap_or_default().into(),
            disk: status.disk.map(Into::into),
            remedies: status.remedies.into_iter().filter_map(remedies::from_api).collect(),
            errors: status.errors,
        }
    }
}

impl From<api::DiskUse> for DiskJson {
    fn from(disk: api::DiskUse) -> Self {
        Self {
            log_bytes: disk.log_bytes,
            base_bytes: disk.base_bytes,
            history_bytes: disk.history_bytes,
            free_bytes: disk.free_bytes,
            growth_bytes_per_hour: disk.growth_bytes_per_hour,
            full_in_hours: disk.full_in_hours,
        }
    }
}

impl From<State> for BaseCopyJson {
    fn from(state: State) -> Self {
        let progress = match state {
            State::Failed(failed) => return Self::Failed { failed },
            State::Copying(progress) => progress,
        };
        let stage = match progress.stage() {
            Stage::Unspecified => "",
            Stage::Listing => "Listing",
            Stage::Scanning => "Scanning",
            Stage::AwaitingMajority => "AwaitingMajority",
            Stage::Finishing => "Finishing",
            Stage::Done => "Done",
        };
        Self::Copying {
            stage,
            collections_done: progress.collections_done,
            collections: progress.collections,
            documents: progress.documents,
            bytes: progress.bytes,
            last_failure: progress.last_failure,
        }
    }
}

impl From<api::CatalogCheck> for CatalogJson {
    fn from(check: api::CatalogCheck) -> Self {
        let unlogged = |it: api::UnloggedChange| UnloggedJson {
            ns: it.ns,
            at: it.at.map(Into::into),
            differences: it.differences,
            taken_up: it.taken_up,
        };
        Self {
            checked_seconds_ago: check.checked_seconds_ago,
            unchecked: check.unchecked,
            members_differ: check.members_differ,
            unlogged: check.unlogged,
            newest_unlogged: check.newest_unlogged.into_iter().map(unlogged).collect(),
        }
    }
}
