//! Measures searches by `_id`, and how much of the log they read.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::rawdoc;
use hindsight_log::{DirectoryLog, DirectoryOptions, SegmentLog};
use hindsight_oplog::id_key;
use hindsight_oplog::raw::Doc;
use hindsight_segment::{SegmentInfo, Sequence};

use super::asking::{Asking, say};
use super::caller::Caller;
use super::http::Connection;
use crate::measure::{bytes_read, verdict};

const GOAL: Duration = Duration::from_millis(300);
const CALLS: usize = 200;

/// The metric in which the process counts the frames that its searches read.
const METRIC: &str = "hindsight_search_frames_total ";

/// A number of frames, with their bytes in the log or with the bytes that were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Frames {
    frames: u64,
    bytes: u64,
}

impl Frames {
    fn all(segments: &[Arc<SegmentInfo>]) -> Self {
        let frames = segments.iter().flat_map(|segment| &segment.seal.frames);
        frames.fold(Self::default(), |sum, frame| sum.and(frame.stored_len))
    }

    /// Counts the frames whose filter does not exclude the `_id`.
    fn that_may_hold(id: ObjectId, segments: &[Arc<SegmentInfo>]) -> Result<Self> {
        let document = rawdoc! {"_id": id};
        let element = Doc::new(document.as_bytes())?.get(b"_id")?.context("it has an _id")?;
        let hash = id_key::hash64(element);
        let frames = segments.iter().flat_map(|segment| &segment.seal.frames);
        let may_hold = frames.filter(|frame| frame.filter.may_contain(hash));
        Ok(may_hold.fold(Self::default(), |sum, frame| sum.and(frame.stored_len)))
    }

    fn since(self, earlier: &Self) -> Self {
        Self { frames: self.frames - earlier.frames, bytes: self.bytes - earlier.bytes }
    }

    fn and(self, stored_len: u32) -> Self {
        Self { frames: self.frames + 1, bytes: self.bytes + u64::from(stored_len) }
    }
}

impl Asking {
    /// Measures searches over gRPC and JSON, with and without a limit.
    pub async fn finds(&self) -> Result<()> {
        let path = self.data.join("log");
        let log = DirectoryLog::open_reader(&path, DirectoryOptions::default()).await?;
        let segments = log.infos(Sequence::FIRST, usize::MAX).await?;
        let [grpc, json, _] = self.callers().await?;
        for mut caller in [grpc, json] {
            for limit in [0, 100] {
                self.find(&mut caller, limit, &segments).await?;
            }
        }
        Ok(())
    }

    async fn find(
        &self,
        caller: &mut Caller,
        limit: u64,
        segments: &[Arc<SegmentInfo>],
    ) -> Result<()> {
        let (mut draw, mut grpc) = (self.past.draw()?, Caller::grpc(&self.url).await?);
        let (mut times, mut held) = (Vec::new(), Frames::default());
        let before = self.read().await?;
        for _ in 0..CALLS {
            let (collection, id) = draw.document();
            let (versions, _) = grpc.versions(&collection, id).await?;
            let (entries, took) = caller.find(&collection, id, limit).await?;
            times.push(took);
            let may_hold = Frames::that_may_hold(id, segments)?;
            held.frames += may_hold.frames;
            held.bytes += may_hold.bytes;
            let expected = if limit == 0 { versions } else { versions.min(limit) };
            ensure!(entries == expected, "{entries} entries of {id}, {versions} versions");
        }
        let what = format!("find one _id, {}, limit {limit}: {CALLS} calls", caller.name());
        say(&what, &mut times, GOAL);
        let read = self.read().await?.since(&before);
        let (calls, all) = (CALLS as u64, Frames::all(segments));
        let met = verdict(read.frames > 0 && read.frames <= held.frames);
        println!(
            "  a call read {} of {} frames, {} may hold the _id (goal no other {met}); {} KiB of {} KiB in {} \
             segments, {} KiB in the frames that may",
            per_call(read.frames, calls),
            all.frames,
            per_call(held.frames, calls),
            (read.bytes / calls) >> 10,
            all.bytes >> 10,
            segments.len(),
            (held.bytes / calls) >> 10,
        );
        Ok(())
    }

    /// Returns the frames that searches have read so far, and the bytes that the process has read
    /// from files.
    async fn read(&self) -> Result<Frames> {
        let (mut connection, mut page) = (Connection::open(&self.url).await?, Vec::new());
        let take = |piece: &[u8]| page.extend_from_slice(piece);
        let code = connection.get("/metrics", "text/plain", take).await?;
        ensure!(code == 200, "no metrics: HTTP {code}");
        let page = String::from_utf8(page)?;
        // The metric does not exist before the first search.
        let frames = page.lines().find_map(|line| line.strip_prefix(METRIC)).unwrap_or("0");
        Ok(Frames { frames: frames.parse()?, bytes: bytes_read(self.pid)? })
    }
}

fn per_call(count: u64, calls: u64) -> String {
    format!("{:.1}", count as f64 / calls as f64)
}
