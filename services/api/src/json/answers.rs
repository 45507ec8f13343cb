use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

use super::PositionJson;

/// The times that can be restored, and the gaps in which entries are missing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Windows)]
pub struct WindowsJson {
    /// Oldest first.
    pub windows: Vec<WindowJson>,
    pub gaps: Vec<GapJson>,
}

/// A restore window: every time from `from` through `through` can be restored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Window)]
pub struct WindowJson {
    pub from: Option<PositionJson>,
    pub through: Option<PositionJson>,
}

/// A gap: entries after `after` and before `before` were never captured.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
pub struct GapJson {
    pub after: Option<PositionJson>,
    pub before: Option<PositionJson>,
    pub reason: String,
}

impl From<api::Window> for WindowJson {
    fn from(window: api::Window) -> Self {
        Self { from: window.from.map(Into::into), through: window.through.map(Into::into) }
    }
}

impl From<api::ListWindowsResponse> for WindowsJson {
    fn from(answer: api::ListWindowsResponse) -> Self {
        let gap = |gap: api::Gap| GapJson {
            after: gap.after.map(Into::into),
            before: gap.before.map(Into::into),
            reason: gap.reason,
        };
        Self {
            windows: answer.windows.into_iter().map(Into::into).collect(),
            gaps: answer.gaps.into_iter().map(gap).collect(),
        }
    }
}

/// The bases: copies of all data, from which states are built.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bases)]
pub struct BasesJson {
    pub bases: Vec<BaseJson>,
}

/// A base: a copy of all data, from which states are built.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Base)]
pub struct BaseJson {
    pub name: String,
    pub start: Option<PositionJson>,
    /// States are exact from this position on: the copy took from `start` until then.
    pub exact_from: Option<PositionJson>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    pub documents: u64,
    pub bytes: u64,
}

impl From<api::Base> for BaseJson {
    fn from(base: api::Base) -> Self {
        Self {
            name: base.name,
            start: base.start.map(Into::into),
            exact_from: base.exact_from.map(Into::into),
            created_ms: base.created_ms,
            documents: base.documents,
            bytes: base.bytes,
        }
    }
}

impl From<api::ListBasesResponse> for BasesJson {
    fn from(answer: api::ListBasesResponse) -> Self {
        Self { bases: answer.bases.into_iter().map(Into::into).collect() }
    }
}

/// The number of operations per namespace and stretch of time, and the commands among them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timeline)]
pub struct TimelineJson {
    /// By time, then namespace. Buckets in which nothing happened are left out.
    pub buckets: Vec<BucketJson>,
    /// In the order of the log. At most 10,000 commands: the newest.
    pub commands: Vec<CommandJson>,
    /// Whether the requested time range has older commands than these.
    pub commands_truncated: bool,
    /// For people: gaps in the range that was searched, and where to look for what a time-series
    /// collection or a view of this name shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
}

/// The operations of one namespace in one stretch of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bucket)]
pub struct BucketJson {
    pub start: PositionJson,
    pub seconds: u32,
    pub ns: String,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    pub commands: u64,
}

/// `create`, `drop`, `renameCollection`, …
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub struct CommandJson {
    pub at: Option<PositionJson>,
    pub command: String,
    pub ns: String,
    /// For a rename: the new name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub to: String,
    /// Whether the rename dropped the collection that had the new name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub drops_target: bool,
}

impl From<api::TimelineCommand> for CommandJson {
    fn from(command: api::TimelineCommand) -> Self {
        let api::TimelineCommand { at, command, ns, to, drops_target } = command;
        Self { at: at.map(Into::into), command, ns, to, drops_target }
    }
}

impl From<api::GetTimelineResponse> for TimelineJson {
    fn from(answer: api::GetTimelineResponse) -> Self {
        let bucket = |bucket: api::TimelineBucket| BucketJson {
            start: PositionJson { t: bucket.start, i: 0 },
            seconds: answer.bucket_seconds,
            ns: bucket.ns,
            inserts: bucket.inserts,
            updates: bucket.updates,
            deletes: bucket.deletes,
            commands: bucket.commands,
        };
        Self {
            buckets: answer.buckets.into_iter().map(bucket).collect(),
            commands: answer.commands.into_iter().map(Into::into).collect(),
            commands_truncated: answer.commands_truncated,
            notes: answer.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_says_that_older_commands_are_left_out() {
        for commands_truncated in [false, true] {
            let answer = api::GetTimelineResponse { commands_truncated, ..Default::default() };
            let json = serde_json::to_value(TimelineJson::from(answer)).expect("plain data");
            assert_eq!(json["commands_truncated"], commands_truncated);
        }
    }
}
