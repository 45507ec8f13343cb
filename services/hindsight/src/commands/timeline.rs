//! `timeline`: a bar for each stretch of time, and the commands in it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use hindsight_api::calls::get_timeline::CommandJson;
use hindsight_api::times::{included, shown, to_api};
use hindsight_oplog::{Entry, Timestamp};
use hindsight_proto::v1::{
    self as api, GetTimelineRequest, GetTimelineResponse, SearchEntriesRequest, TimelineBucket,
    TimelineCommand,
};
use hindsight_runtime::values::{LONGEST, duration};
use serde_json::{Value, json};

use super::ask::Ask;
use super::drops::Drops;
use super::find::DROPPING;
use super::print::{print_json, print_line, say};
use crate::backend::Backend;
use crate::exit::{Context, Exit, Failure, Result};
use crate::global::{Global, Output};

/// Buckets are whole seconds long.
const SHORTEST_BUCKET: Duration = Duration::from_secs(1);
/// Length of the longest bar, in characters.
const WIDTH: u64 = 40;
/// Number of storms whose beginning is looked up.
const MOST_STORMS: usize = 10;
/// A bucket is marked when deletes make up more than this percentage of it.
const STORM_PERCENT: u64 = 50;

/// Show what happened when: operations per stretch of time, and commands such as drop.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight timeline --ns shop.orders --from 2026-11-21T12:00:00Z --bucket 1m"
)]
pub(crate) struct Timeline {
    /// Namespace: db.collection, or db.* for a whole database.
    #[arg(long)]
    pub ns: Option<String>,
    /// Only operations from this time on. Default: from the first entry held.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Only operations up to and including this time. Default: to the last entry held.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Length of a bucket, in whole seconds (`10s`, `5m`). Default: a length that makes at most 60
    /// buckets.
    #[arg(long, value_parser = duration(SHORTEST_BUCKET, LONGEST), value_name = "DURATION")]
    pub bucket: Option<Duration>,
}

impl Ask for Timeline {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let request = GetTimelineRequest {
            ns: self.ns.clone().unwrap_or_default(),
            from: self.from.as_deref().map(included),
            to: self.to.as_deref().map(included),
            bucket_seconds: seconds(self.bucket)?,
        };
        let answer = backend.hindsight().get_timeline(request).await?.into_inner();
        match global.output {
            Output::Json => print_json_lines(&answer)?,
            Output::Text => {
                let storms = storms(&answer, backend).await?;
                print_bars(&answer, &storms)?;
            }
        }
        answer.notes.iter().for_each(|note| say(note));
        let mut drops = Drops::default();
        answer.commands.iter().for_each(|command| drops.note(&command.command, &command.ns));
        drops.notes().iter().for_each(|note| say(note));
        if answer.buckets.is_empty() && answer.commands.is_empty() {
            say(&nothing(self.ns.as_deref()));
        }
        if answer.commands_truncated {
            let shown = answer.commands.len();
            say(&format!(
                "only the newest {shown} commands are shown: to see older ones, give an earlier --to, or one --ns"
            ));
        }
        Ok(Exit::Done)
    }
}

/// Says that an answer is empty: a name may have been mistyped.
fn nothing(ns: Option<&str>) -> String {
    let what = ns.map_or(String::new(), |ns| format!(" to {ns}"));
    format!(
        "nothing was written{what} in this time range, as far as entries are held (see `hindsight windows`)"
    )
}

fn print_command(command: &TimelineCommand) -> Result<()> {
    let mut line = format!("    {}  {}  {}", shown(command.at), command.command, command.ns);
    if !command.to.is_empty() {
        line.push_str(&format!(" to {}", command.to));
    }
    if command.drops_target {
        line.push_str(DROPPING);
    }
    print_line(&line)
}

fn seconds(bucket: Option<Duration>) -> Result<u32, Failure> {
    let Some(bucket) = bucket else { return Ok(0) };
    let whole = u32::try_from(bucket.as_secs()).ok().filter(|_| bucket.subsec_nanos() == 0);
    whole.ok_or_else(|| {
        Failure::usage(format!(
            "--bucket {bucket:?} is not a number of whole seconds, such as 10s or 5m"
        ))
    })
}

/// Prints one object per line: buckets first, then commands. Only buckets have the field `start`,
/// only commands the field `command`.
fn print_json_lines(answer: &GetTimelineResponse) -> Result<()> {
    for bucket in &answer.buckets {
        print_json(&json_of_bucket(bucket, answer.bucket_seconds))?;
    }
    for command in &answer.commands {
        print_json(&CommandJson::from(command.clone()))?;
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

/// The sums over all namespaces of a bucket.
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

/// The first delete of a bucket that holds little else.
struct Storm {
    at: api::Timestamp,
    ns: String,
    deletes: u64,
}

/// Finds where each of the largest storms of deletes began, by the start of its bucket.
async fn storms(answer: &GetTimelineResponse, backend: &Backend) -> Result<BTreeMap<u32, Storm>> {
    let sums = sums(answer);
    let in_storm = |bucket: &&TimelineBucket| {
        bucket.deletes > 0 && sums.get(&bucket.start).is_some_and(Sums::is_storm)
    };
    let mut largest: Vec<&TimelineBucket> = answer.buckets.iter().filter(in_storm).collect();
    largest.sort_by_key(|bucket| (std::cmp::Reverse(bucket.deletes), bucket.start));
    let mut storms = BTreeMap::new();
    for bucket in largest {
        if storms.len() == MOST_STORMS {
            break;
        }
        if storms.contains_key(&bucket.start) {
            continue;
        }
        let end = bucket.start.saturating_add(answer.bucket_seconds.max(1));
        let request = SearchEntriesRequest {
            ns: bucket.ns.clone(),
            op: vec!["d".into()],
            from: Some(included(&format!("{},0", bucket.start))),
            to: Some(included(&Timestamp::new(end, 0).predecessor().to_string())),
            ..Default::default()
        };
        let mut entries = backend.hindsight().search_entries(request).await?.into_inner();
        let first = entries.message().await?.and_then(|it| it.entries.first().cloned());
        let Some(first) = first else { continue };
        let at = to_api(Entry::parse(&first).context("read an entry")?.ts());
        let storm = Storm { at, ns: bucket.ns.clone(), deletes: bucket.deletes };
        storms.insert(bucket.start, storm);
    }
    Ok(storms)
}

fn sums(answer: &GetTimelineResponse) -> BTreeMap<u32, Sums> {
    let mut buckets: BTreeMap<u32, Sums> = BTreeMap::new();
    for bucket in &answer.buckets {
        let sums = buckets.entry(bucket.start).or_default();
        sums.inserts += bucket.inserts;
        sums.updates += bucket.updates;
        sums.deletes += bucket.deletes;
        sums.commands += bucket.commands;
    }
    buckets
}

fn print_bars(answer: &GetTimelineResponse, storms: &BTreeMap<u32, Storm>) -> Result<()> {
    let length = answer.bucket_seconds.max(1);
    let buckets = sums(answer);
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
        let mut storm = storms.get(start);
        let end = start.saturating_add(length);
        while let Some(command) = commands.next_if(|command| command.at.is_none_or(|at| at.t < end))
        {
            let comes_first = |storm: &Storm| command.at.is_some_and(|at| before(storm.at, at));
            if let Some(storm) = storm.take_if(|storm| comes_first(storm)) {
                print_storm(storm)?;
            }
            print_command(command)?;
        }
        if let Some(storm) = storm {
            print_storm(storm)?;
        }
    }
    for command in commands {
        print_command(command)?;
    }
    if !answer.commands.is_empty() || !storms.is_empty() {
        say(
            "use the T,I in brackets with `get --at`, `diff --from`, or `restore --before T,I --to URI` (everything before it)",
        );
    }
    Ok(())
}

fn before(a: api::Timestamp, b: api::Timestamp) -> bool {
    (a.t, a.i) < (b.t, b.i)
}

fn print_storm(storm: &Storm) -> Result<()> {
    let (at, deletes, ns) = (shown(Some(storm.at)), storm.deletes, &storm.ns);
    print_line(&format!("    {at}  the first of {deletes} deletes  {ns}"))
}
