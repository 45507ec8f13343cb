//! What a tailer talks to: a member of the simulated set, as a scripted [`Connection`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Document, RawArrayBuf, RawDocument, RawDocumentBuf, doc, rawdoc};
use hindsight_mongo::{Batch, Batches, Client, Connection, Failure, Servers, Wait};
use hindsight_oplog::{OpTime, Timestamp};
use rand::Rng;

use crate::entries::{Entry, time};
use crate::member::{Member, Reach, Role};
use crate::set::Set;

pub(crate) const SET_NAME: &str = "rs0";
pub(crate) const SET_ID: [u8; 12] = *b"replicaset01";

/// Codes that a member answers with now and then: the cursor is lost, the member changes its state,
/// or the network failed.
const PASSING: [i32; 6] = [43, 175, 91, 11600, 11602, 89];

/// The members of a set, as a deployment that a tailer connects to.
#[derive(Debug)]
pub(crate) struct Network(pub(crate) Arc<Set>);

impl Servers for Network {
    fn hosts(&self) -> Vec<String> {
        self.0.state().members.iter().map(|member| member.host.clone()).collect()
    }

    fn member(&self, host: &str) -> Result<Client, Failure> {
        let at = self.0.state().members.iter().position(|member| member.host == host);
        let at = at.ok_or_else(|| Failure::passing(format!("{host} is not known")))?;
        Ok(Client::new(ToMember { set: Arc::clone(&self.0), at }))
    }
}

#[derive(Debug, Clone)]
struct ToMember {
    set: Arc<Set>,
    at: usize,
}

impl ToMember {
    fn look<T>(&self, look: impl FnOnce(&Member) -> T) -> T {
        look(&self.set.state().members[self.at])
    }

    fn chance(&self, probability: f64) -> bool {
        self.set.state().random.random_bool(probability)
    }

    fn pause(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.set.state().random.random_range(1..=most_ms))
    }

    /// Waits as long as a request to the member takes to arrive and be answered.
    async fn arrive(&self) -> Result<(), Failure> {
        loop {
            let (up, hung, reach) = self.look(|member| (member.up, member.hung, member.reach));
            if !up || reach == Reach::Refused {
                tokio::time::sleep(self.pause(5)).await;
                return Err(Failure::passing("connection refused"));
            }
            if !hung && reach != Reach::Silent {
                let slow = if let Reach::Slow(by) = reach { by } else { Duration::ZERO };
                tokio::time::sleep(slow + self.pause(10)).await;
                break;
            }
            self.set.stepped().await;
        }
        if self.chance(0.003) {
            let at = self.set.state().random.random_range(0..PASSING.len());
            return Err(Failure::from_server(PASSING[at], "Passing", "not now"));
        }
        Ok(())
    }

    fn hello(&self) -> Document {
        self.look(|member| {
            let majority = member.commit.checked_sub(1).and_then(|at| member.log.get(at));
            let majority = majority.map_or(OpTime::NONE, |entry| entry.optime);
            doc! {
                "setName": SET_NAME,
                "isWritablePrimary": member.role == Role::Primary,
                "secondary": member.role == Role::Secondary,
                "me": &member.host,
                "topologyVersion": { "counter": member.incarnation as i64 },
                "lastWrite": { "opTime": optime(member.log.last()), "majorityOpTime": optime(majority) },
                "operationTime": time(member.log.last().ts),
                "ok": 1,
            }
        })
    }

    fn config(&self) -> Document {
        let state = self.set.state();
        let members: Vec<Document> = state
            .members
            .iter()
            .map(|member| doc! { "host": &member.host, "hidden": member.hidden })
            .collect();
        let settings = doc! { "replicaSetId": ObjectId::from_bytes(SET_ID) };
        doc! { "config": { "_id": SET_NAME, "members": members, "settings": settings }, "ok": 1 }
    }

    /// A member knows its own state, and those of members that it hears from.
    fn status(&self) -> Document {
        let state = self.set.state();
        let is_cut_off = state.members[self.at].isolated;
        let members = state.members.iter().enumerate().map(|(at, member)| {
            let is_heard = at == self.at || (member.is_among_others() && !is_cut_off);
            let number = match member.role {
                _ if !is_heard => 8,
                Role::Primary => 1,
                Role::Secondary => 2,
                Role::Recovering => 3,
            };
            doc! { "name": &member.host, "state": number, "optime": optime(member.log.last()) }
        });
        doc! { "members": members.collect::<Vec<_>>(), "ok": 1 }
    }

    /// Opens the tail of the oplog at a timestamp.
    fn tail(
        &self,
        from: Timestamp,
        wait: Duration,
        batch: Option<u32>,
        is_majority: bool,
    ) -> Box<dyn Batches> {
        let (incarnation, position) =
            self.look(|member| (member.incarnation, member.log.position_from(from)));
        let tail = Tail {
            member: self.clone(),
            incarnation,
            from,
            position,
            is_first: true,
            is_over: false,
            wait,
            batch,
            is_majority,
        };
        Box::new(tail)
    }

    /// Returns the oldest or the newest entry of the oplog, whatever a majority holds.
    fn end_of_log(&self, direction: i32) -> Vec<RawDocumentBuf> {
        let entry = self.look(|member| {
            let end = if direction > 0 { member.log.oldest() } else { member.log.newest() };
            end.map(|entry| entry.optime)
        });
        let projected = entry.map(|optime| {
            let ts =
                bson::Timestamp { time: optime.ts.seconds(), increment: optime.ts.increment() };
            rawdoc! { "ts": ts, "t": optime.term }
        });
        projected.into_iter().collect()
    }
}

#[async_trait]
impl Connection for ToMember {
    async fn run(&self, _: &str, command: RawDocumentBuf) -> Result<Document, Failure> {
        self.arrive().await?;
        let name = command.iter().next().and_then(Result::ok).map(|(name, _)| name.to_string());
        Ok(match name.as_deref() {
            Some("hello") => self.hello(),
            Some("replSetGetConfig") => self.config(),
            Some("replSetGetStatus") => self.status(),
            Some("buildInfo") => doc! { "version": "6.0.5", "ok": 1 },
            other => return Err(Failure::refused(format!("the model does not know {other:?}"))),
        })
    }

    async fn open(
        &self,
        _: &str,
        command: RawDocumentBuf,
        wait: Wait,
    ) -> Result<Box<dyn Batches>, Failure> {
        self.arrive().await?;
        if self.look(|member| member.role == Role::Recovering) {
            return Err(Failure::from_server(13436, "NotPrimaryOrSecondary", "recovering"));
        }
        let unreadable = |error: &dyn std::fmt::Display| Failure::refused(error.to_string());
        let filter = command.get_document("filter").map_err(|error| unreadable(&error))?;
        match wait {
            Wait::Tail { without_news, batch_size } => {
                let from = filter.get_document("ts").and_then(|ts| ts.get_timestamp("$gte"));
                let from = from.map_err(|error| unreadable(&error))?;
                let from = Timestamp::new(from.time, from.increment);
                let level = command.get_document("readConcern").and_then(|it| it.get_str("level"));
                let is_majority = level.is_ok_and(|level| level == "majority");
                Ok(self.tail(from, without_news, batch_size, is_majority))
            }
            Wait::No => {
                let sort = command.get_document("sort").and_then(|sort| sort.get_i32("$natural"));
                let found = self.end_of_log(sort.map_err(|error| unreadable(&error))?);
                let reply = reply("firstBatch", 0, found.iter().map(|it| &**it));
                Ok(Box::new(vec![Ok(reply)].into_iter()))
            }
        }
    }
}

/// A cursor on the oplog of a member.
struct Tail {
    member: ToMember,
    incarnation: u64,
    from: Timestamp,
    position: usize,
    is_first: bool,
    is_over: bool,
    wait: Duration,
    batch: Option<u32>,
    /// Whether only entries that a majority holds are returned.
    is_majority: bool,
}

impl Tail {
    /// Returns the next entries that a majority holds, and the position of the first one.
    fn entries(&self) -> Result<(usize, Vec<Arc<Entry>>), Failure> {
        let mut state = self.member.set.state();
        let most = self.batch.map_or(30, |most| most as usize).min(30);
        let most = state.random.random_range(1..=most.max(1));
        let member = &state.members[self.member.at];
        if member.incarnation != self.incarnation {
            return Err(Failure::from_server(43, "CursorNotFound", "cursor not found"));
        }
        if self.position < member.log.start() && !self.is_first {
            return Err(Failure::from_server(136, "CappedPositionLost", "position lost"));
        }
        let start = self.position.max(member.log.position_from(self.from));
        let readable = if self.is_majority { member.commit } else { member.log.end() };
        let end = readable.min(start + most);
        Ok((start, (start..end).filter_map(|at| member.log.get(at)).cloned().collect()))
    }

    async fn answer(&mut self) -> Result<Batch, Failure> {
        self.member.arrive().await?;
        let deadline = tokio::time::Instant::now() + self.wait;
        let (start, entries) = loop {
            let (start, entries) = self.entries()?;
            if !entries.is_empty() || self.is_first {
                break (start, entries);
            }
            match tokio::time::timeout_at(deadline, self.member.set.stepped()).await {
                Ok(()) => {}
                Err(_) => break (start, Vec::new()),
            }
        };
        // A member that stops meanwhile does not answer.
        if self.member.look(|member| !member.up || member.hung) {
            self.member.arrive().await?;
        }
        if !entries.is_empty() {
            self.position = start + entries.len();
        }
        let part = if self.is_first { "firstBatch" } else { "nextBatch" };
        self.is_first = false;
        let documents = entries.iter().map(|entry| {
            RawDocument::from_bytes(&entry.bytes).expect("an entry of the model is BSON")
        });
        Ok(reply(part, 7, documents))
    }
}

#[async_trait]
impl Batches for Tail {
    async fn next(&mut self) -> Option<Result<Batch, Failure>> {
        if self.is_over || self.member.chance(0.002) {
            return None;
        }
        let answer = self.answer().await;
        self.is_over = answer.is_err();
        Some(answer)
    }
}

fn reply<'a>(part: &str, id: i64, documents: impl Iterator<Item = &'a RawDocument>) -> Batch {
    let mut array = RawArrayBuf::new();
    documents.for_each(|document| array.push(document.to_owned()));
    let mut cursor = RawDocumentBuf::new();
    match part {
        "firstBatch" => cursor.append(cstr!("firstBatch"), array),
        _ => cursor.append(cstr!("nextBatch"), array),
    }
    cursor.append(cstr!("id"), id);
    rawdoc! { "cursor": cursor, "ok": 1 }.into()
}

fn optime(optime: OpTime) -> Document {
    doc! { "ts": time(optime.ts), "t": optime.term }
}
