//! The first look-ups of a copy, which determine where the log must begin.

use bson::rawdoc;
use hindsight_base::{Origin, Source};
use hindsight_mongo::{Client, Hello, SetConfig};
use hindsight_oplog::raw::Element;
use hindsight_oplog::{Entry, Hex, OpTime, Timestamp};

use super::CopySettings;
use super::error::{CopyError, Result};
use super::member::{Member, document, unreadable};
use super::reply::unfinished_chain;

/// A limit on the parts of one chain: more than a transaction can have in its lifetime, at 16 MiB
/// each.
const LONGEST_CHAIN: usize = 1 << 16;

/// A copy whose positions are noted and that has not read any data yet.
#[derive(Debug)]
pub struct Started {
    pub(super) member: Member,
    pub(super) settings: CopySettings,
    pub(super) source: Source,
    pub(super) start: OpTime,
    pub(super) oldest_open: Option<OpTime>,
    pub(super) scanned_after: Timestamp,
}

/// Notes the positions of a copy, in the order that makes them safe (see the crate's
/// documentation). `client` must be connected directly to the chosen member
/// (`directConnection=true`): the order means nothing across members. Before [`Started::run`], the
/// caller must make sure that the log holds, or will hold, everything from
/// [`Started::capture_from`] on.
///
/// # Errors
/// Returns [`CopyError::Refused`] when the member is a mongos, is in no replica set or in another
/// one than expected, or sends an unreadable reply. Returns [`CopyError::Unsettled`] when the
/// member cannot be read from now or changed its state meanwhile, and [`CopyError::Server`] when a
/// request failed.
pub async fn begin(client: &Client, settings: CopySettings) -> Result<Started> {
    let member = Member::new(client, settings.attempts);
    let hello = member.hello().await?;
    let source = identify(&member, &hello, settings.expected_replica_set).await?;
    let (start, chain_first) = read_start(&member).await?;
    let recorded = oldest_recorded_transaction(&member).await?;
    let scanned_after = member.seen().max(start.ts);
    if member.hello().await?.incarnation != hello.incarnation {
        return Err(CopyError::Unsettled(format!(
            "{} changed its state, or requests go to several members: connect with directConnection=true",
            source.member
        )));
    }
    let oldest_open = [chain_first, recorded].into_iter().flatten().min();
    // A transaction that began after the start is whole in the log.
    let oldest_open = oldest_open.filter(|open| *open <= start);
    tracing::info!(member = %source.member, %start, ?oldest_open, %scanned_after, "copy of a base begins");
    Ok(Started { member, settings, source, start, oldest_open, scanned_after })
}

impl Started {
    /// Returns the top of the majority-committed oplog when the copy began.
    pub fn start(&self) -> OpTime {
        self.start
    }

    /// Returns the first entry of the oldest transaction that was open when the copy began. None
    /// when no transaction was open.
    pub fn oldest_open(&self) -> Option<OpTime> {
        self.oldest_open
    }

    /// Returns the first entry that the log must hold for this base to be of use.
    pub fn capture_from(&self) -> OpTime {
        self.oldest_open.map_or(self.start, |open| open.min(self.start))
    }

    /// Returns the member and the replica set that the base is copied from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn origin(&self, end: &Hello) -> Origin {
        Origin {
            kind: hindsight_base::BaseKind::Copy,
            source: self.source.clone(),
            start: self.start,
            oldest_open: self.oldest_open,
            scanned_after: self.scanned_after,
            exact_from: end.majority,
            created_ms: end.local_time_ms,
        }
    }
}

async fn identify(member: &Member, hello: &Hello, expected: Option<[u8; 12]>) -> Result<Source> {
    let set_name = match &hello.set_name {
        _ if hello.is_mongos => {
            return refuse("this is a mongos: copy each shard's replica set by itself");
        }
        None => {
            return refuse(
                "this mongod is not a member of a replica set: start it with --replSet and run rs.initiate()",
            );
        }
        Some(name) => name.clone(),
    };
    if !hello.is_readable() {
        let reason = format!("{} is neither primary nor secondary now", hello.member());
        return Err(CopyError::Unsettled(reason));
    }
    let replica_set_id = replica_set_id(member).await?;
    if let Some(expected) = expected.filter(|expected| *expected != replica_set_id) {
        return refuse(format!(
            "{} belongs to replica set {} ({set_name}), the log to {}: copy from a member of the same set, \
             or use another data directory",
            hello.member(),
            Hex(&replica_set_id),
            Hex(&expected)
        ));
    }
    Ok(Source {
        replica_set_id: Some(replica_set_id),
        set_name,
        member: hello.member().to_owned(),
        server_version: server_version(member).await?,
        feature_compatibility_version: feature_compatibility_version(member).await?,
    })
}

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(CopyError::Refused(reason.into()))
}

async fn replica_set_id(member: &Member) -> Result<[u8; 12]> {
    let doing = "read the replica set's configuration";
    let reply = member.command(doing, "admin", SetConfig::command()).await?;
    let config = SetConfig::read(document(doing, &reply)?);
    let config = config.map_err(|malformed| unreadable(doing, &malformed))?;
    let missing = || CopyError::Refused("the set's configuration has no replicaSetId".to_owned());
    config.replica_set_id.ok_or_else(missing)
}

async fn server_version(member: &Member) -> Result<String> {
    let doing = "read the server's version";
    let reply = member.command(doing, "admin", rawdoc! { "buildInfo": 1 }).await?;
    let version = document(doing, &reply)?.get(b"version")?.and_then(Element::as_str);
    Ok(version.unwrap_or("unknown").to_owned())
}

async fn feature_compatibility_version(member: &Member) -> Result<Option<String>> {
    let doing = "read the feature compatibility version";
    let command = rawdoc! {
        "find": "system.version",
        "filter": { "_id": "featureCompatibilityVersion" },
        "limit": 1,
        "readConcern": { "level": "majority" },
    };
    let found = member.documents(doing, "admin", command).await?;
    let Some(found) = found.first() else { return Ok(None) };
    let version = document(doing, found)?.get(b"version")?.and_then(Element::as_str);
    Ok(version.map(str::to_owned))
}

/// Reads the top of the oplog. When that entry is part of a chain that continues after it, also
/// returns the first entry of the chain.
async fn read_start(member: &Member) -> Result<(OpTime, Option<OpTime>)> {
    let doing = "read the top of the oplog";
    // A local read in reverse order could pass unfinished entries; the majority snapshot has none.
    let command = rawdoc! {
        "find": "oplog.rs",
        "filter": {},
        "sort": { "$natural": -1 },
        "limit": 1,
        "readConcern": { "level": "majority" },
    };
    let found = member.documents(doing, "local", command).await?;
    let Some(top) = found.first() else {
        return Err(CopyError::Unsettled("the member's oplog has no committed entry".to_owned()));
    };
    let top = entry(doing, top)?;
    let start = top.optime;
    let chain_first = match unfinished_chain(&top)? {
        Some(previous) => Some(first_of_chain(member, start, previous).await?),
        None => None,
    };
    Ok((start, chain_first))
}

/// Walks a chain back to its first entry.
async fn first_of_chain(member: &Member, last: OpTime, previous: OpTime) -> Result<OpTime> {
    let (mut first, mut previous) = (last, previous);
    for _ in 0..LONGEST_CHAIN {
        if previous == OpTime::NONE {
            return Ok(first);
        }
        first = previous;
        previous = previous_in_chain(member, first).await?;
    }
    Err(CopyError::Refused(format!(
        "the transaction of entry {last} does not lead to its beginning"
    )))
}

async fn previous_in_chain(member: &Member, at: OpTime) -> Result<OpTime> {
    let doing = "follow an open transaction in the oplog";
    let command = rawdoc! {
        "find": "oplog.rs",
        "filter": { "ts": bson_timestamp(at.ts) },
        "limit": 1,
        "readConcern": { "level": "majority" },
    };
    let found = member.documents(doing, "local", command).await?;
    let gone = || {
        CopyError::Unsettled(format!(
            "entry {at} of an open transaction has left the member's oplog"
        ))
    };
    let found = entry(doing, found.first().ok_or_else(gone)?)?;
    if found.optime != at {
        return Err(gone());
    }
    unfinished_chain(&found)?.ok_or_else(gone)
}

/// Reads an entry of the member's oplog.
pub(super) fn entry<'a>(doing: &str, bytes: &'a [u8]) -> Result<Entry<'a>> {
    Entry::parse(bytes).map_err(|malformed| unreadable(doing, &malformed))
}

/// Returns the first entry of the oldest transaction that `config.transactions` records as open.
/// The server refuses `afterClusterTime` for this collection. It is not needed either, because the
/// majority snapshot of a member does not go back.
async fn oldest_recorded_transaction(member: &Member) -> Result<Option<OpTime>> {
    let doing = "look for open transactions";
    let command = rawdoc! {
        "find": "transactions",
        "filter": { "state": { "$in": ["prepared", "inProgress"] } },
        "sort": { "startOpTime": 1 },
        "limit": 1,
        "readConcern": { "level": "majority" },
    };
    let found = member.documents(doing, "config", command).await?;
    let Some(found) = found.first() else { return Ok(None) };
    let began = document(doing, found)?.get(b"startOpTime")?.and_then(Element::as_optime);
    match began {
        Some(began) => Ok(Some(began)),
        None => {
            refuse("config.transactions has an open transaction that does not tell where it began")
        }
    }
}

pub(super) fn bson_timestamp(ts: Timestamp) -> bson::Timestamp {
    bson::Timestamp { time: ts.seconds(), increment: ts.increment() }
}
