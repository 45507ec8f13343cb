//! `timeline`: a bar for each stretch of time, and the commands in it.

use std::collections::BTreeMap;

use anyhow::Result;
use hindsight_oplog::Timestamp;
use hindsight_proto::v1::{GetTimelineRequest, GetTimelineResponse, TimelineBucket};
use serde_json::{Value, json};

use super::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output, Timeline};
use crate::exit::{Exit, Failure};
use crate::times::{included, json_of, shown};

/// Cells of the longest bar.
const WIDTH: u64 = 40;
/// Deletes that make up more of a bucket than this, in percent, are marked.
const STORM_PERCENT: u64 = 50;

pub async fn run(global: &Global, timeline: &Timeline, backend: &Backend) -> Result<Exit> {
    let request = GetTimelineRequest {
        ns: timeline.ns.clone().unwrap_or_default(),
        from: timeline.from.as_deref().map(included),
        to: timeline.to.as_deref().map(included),
        bucket_seconds: seconds(timeline.bucket)?,
    };
    let answer = backend.get_timeline(request).await?;
    match global.output {
        Output::Json => print_json_lines(&answer)?,
        Output::Text => print_bars(&answer)?,
    }
    Ok(Exit::Done)
}

fn seconds(bucket: Option<std::time::Duration>) -> Result<u32, Failure> {
    let Some(bucket) = bucket else { return Ok(0) };
    let whole = u32::try_from(bucket.as_secs()).ok().filter(|_| bucket.subsec_nanos() == 0);
    whole.filter(|seconds| *seconds > 0).ok_or_else(|| {
        Failure::usage(format!(
            "--bucket {bucket:?} is not a number of whole seconds, such as 10s or 5m"
        ))
    })
}

/// Buckets first, then commands: an object a line, told apart by `start` and `command`.
fn print_json_lines(answer: &GetTimelineResponse) -> Result<()> {
    for bucket in &answer.buckets {
        print_json(&json_of_bucket(bucket, answer.bucket_seconds))?;
    }
    for command in &answer.commands {
        let at = json_of(command.at);
        print_json(&json!({"at": at, "command": command.command, "ns": command.ns}))?;
    }
    Ok(())
}

fn json_of_bucket(bucket: &TimelineBucket, seconds: u32) -> Value {
    json!({
        "start": {"t": bucket.start, "i": 0},
        "seconds": seconds,
        "ns": bucket.ns,
        "inserts": bucket.inserts,
        "updates": bucket.updates,
        "deletes": bucket.deletes,
        "commands": bucket.commands,
    })
}

/// All namespaces of a bucket together.
#[derive(Default)]
struct Sums {
    inserts: u64,
    updates: u64,
    deletes: u64,
    commands: u64,
}

impl Sums {
    fn all(&self) -> u64 {
        self.inserts + self.updates + self.deletes + self.commands
    }

    fn is_storm(&self) -> bool {
        self.deletes * 100 > self.all() * STORM_PERCENT
    }
}

fn print_bars(answer: &GetTimelineResponse) -> Result<()> {
    let length = answer.bucket_seconds.max(1);
    let mut buckets: BTreeMap<u32, Sums> = BTreeMap::new();
    for bucket in &answer.buckets {
        let sums = buckets.entry(bucket.start).or_default();
        sums.inserts += bucket.inserts;
        sums.updates += bucket.updates;
        sums.deletes += bucket.deletes;
        sums.commands += bucket.commands;
    }
    let most = buckets.values().map(Sums::all).max().unwrap_or(0).max(1);
    let mut commands = answer.commands.iter().peekable();
    for (start, sums) in &buckets {
        let time = Timestamp::new(*start, 0).for_people().to_string();
        let time = time.split(' ').next().unwrap_or_default();
        let bar = "#".repeat((sums.all() * WIDTH).div_ceil(most) as usize);
        let mark = if sums.is_storm() { "  mostly deletes" } else { "" };
        print_line(&format!(
            "{time}  i {:>7}  u {:>7}  d {:>7}  {bar}{mark}",
            sums.inserts, sums.updates, sums.deletes
        ))?;
        let end = start.saturating_add(length);
        while let Some(command) = commands.next_if(|command| command.at.is_none_or(|at| at.t < end))
        {
            print_line(&format!("    {}  {}  {}", shown(command.at), command.command, command.ns))?;
        }
    }
    for command in commands {
        print_line(&format!("    {}  {}  {}", shown(command.at), command.command, command.ns))?;
    }
    Ok(())
}
