//! The reading task: chooses a member, tails it, and continues at another member when it must.

use std::collections::HashMap;
use std::time::Duration;

use hindsight_oplog::{Entry, OpTime};
use hindsight_runtime::{Backoff, CancellationToken, queue};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::choose::{Candidate, Member, Preference, candidates};
use crate::error::CaptureError;
use crate::gap::{self, Decision};
use crate::metrics;
use crate::pace::Pace;
use crate::positions::PositionBoard;
use crate::reader::{EntryBatch, Opened, OplogReader};
use crate::resume::{ResumeAt, Verdict};
use crate::settings::{Boards, CaptureSettings};
use crate::source::{SetIdentity, Source};
use crate::status::StatusBoard;
use crate::watch::MemberWatch;

/// How long a member that failed is avoided while another member answers.
const AVOID: Duration = Duration::from_secs(10);

/// What the reading task hands on, in order.
#[derive(Debug)]
pub(crate) enum Received {
    /// Entries from one reply.
    Batch {
        batch: EntryBatch,
        /// The optime of the last entry.
        last: OpTime,
    },
    /// Entries between the two optimes existed and can no longer be read from any member.
    Gap { after: OpTime, before: OpTime, reason: String },
}

impl Received {
    /// Returns the last entry that had been read when this was handed on.
    pub(crate) fn last(&self) -> OpTime {
        match self {
            Self::Batch { last, .. } => *last,
            Self::Gap { after, .. } => *after,
        }
    }

    /// Drops everything up to and including the given entry. Returns false when the entry is not in
    /// this batch.
    pub(crate) fn go_on_after(&mut self, entry: &ResumeAt) -> bool {
        match self {
            Self::Batch { batch, .. } => batch.go_on_after(entry),
            Self::Gap { .. } => false,
        }
    }
}

/// The state of the reading task. `resume` is where reading continues, and moves with every batch
/// that is handed on.
pub(crate) struct Tail {
    source: Source,
    identity: SetIdentity,
    preference: Preference,
    resume: ResumeAt,
    /// The last entry that is held or was handed on. None while there is none.
    last: Option<OpTime>,
    positions: PositionBoard,
    status: StatusBoard,
    hosts: Vec<String>,
    avoid: HashMap<String, Instant>,
    /// How fast each member answered lately.
    paces: HashMap<String, Pace>,
    /// Since when members that do not answer are the only reason not to count the next entries as
    /// lost.
    missing_since: Option<Instant>,
}

impl Tail {
    /// Makes a tail that begins at `resume`.
    pub(crate) fn new(settings: &CaptureSettings, boards: &Boards, resume: ResumeAt) -> Self {
        Self {
            hosts: settings.source.hosts(),
            source: settings.source.clone(),
            identity: settings.identity.clone(),
            preference: settings.preference.clone(),
            resume,
            last: (!resume.deliver).then_some(resume.optime),
            positions: boards.positions.clone(),
            status: boards.status.clone(),
            avoid: HashMap::new(),
            paces: HashMap::new(),
            missing_since: None,
        }
    }

    /// Reads until shutdown. Retryable failures are waited out, with the reason on the status
    /// board.
    ///
    /// # Errors
    /// Returns an error that no retry can mend, such as refused or diverged.
    pub(crate) async fn run(
        mut self,
        sender: queue::Sender<Received>,
        shutdown: CancellationToken,
    ) -> Result<(), CaptureError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while !shutdown.is_cancelled() {
            let before = self.resume;
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                ended = self.read_from_some_member(&sender) => ended,
            };
            if self.resume != before {
                backoff.reset();
            }
            match ended {
                Ok(()) => {}
                Err(error) if error.passes_while_followed() => {
                    metrics::source_retried();
                    warn!(%error, "reading the source stopped; trying again");
                    self.status.source_failed(&error);
                    if !backoff.pause(&shutdown).await {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn read_from_some_member(
        &mut self,
        sender: &queue::Sender<Received>,
    ) -> Result<(), CaptureError> {
        // When this attempt finds anything else than the last one did, the wait for members that do
        // not answer starts anew.
        let missing_since = self.missing_since.take();
        let mut rolled_over = Vec::new();
        let mut others = Vec::new();
        let members = self.survey().await?;
        for candidate in self.candidates(&members)? {
            match self.open(&candidate).await {
                Ok(Opened::Reading(reader)) => {
                    info!(member = %candidate.host, reason = %candidate.reason, "reading the oplog");
                    self.status.reading_from(&candidate.host, &candidate.reason);
                    return self.read(*reader, sender).await;
                }
                Ok(Opened::Not(Verdict::RolledOver { oldest })) => {
                    rolled_over.push((candidate.host.clone(), oldest));
                }
                Ok(Opened::Not(Verdict::Diverged(detail))) => {
                    let detail = format!("{}: {detail}", candidate.host);
                    return Err(CaptureError::Diverged { at: self.resume.optime, detail });
                }
                Ok(Opened::Not(verdict)) => others.push(format!("{}: {verdict:?}", candidate.host)),
                Err(error) => {
                    let error = self.note_failure(&candidate.host, error);
                    if !error.passes_while_followed() {
                        return Err(error);
                    }
                    others.push(error.to_string());
                }
            }
        }
        if others.is_empty() && !rolled_over.is_empty() {
            let since = missing_since.unwrap_or_else(Instant::now);
            return self.stand_at_gap(&members, &rolled_over, since, sender).await;
        }
        others
            .extend(rolled_over.iter().map(|(host, oldest)| format!("{host}: oldest is {oldest}")));
        Err(CaptureError::Unavailable(format!("no member can be read: {}", others.join("; "))))
    }

    /// Returns the present members of the set.
    async fn survey(&mut self) -> Result<Vec<Member>, CaptureError> {
        let survey = self.source.survey(&self.hosts).await?;
        if survey.identity != self.identity {
            return Err(CaptureError::Refused(format!(
                "the source is now replica set {:?}, and the log belongs to {:?}",
                survey.identity.set_name, self.identity.set_name
            )));
        }
        for member in &survey.members {
            if !self.hosts.contains(&member.host) {
                self.hosts.push(member.host.clone());
            }
        }
        Ok(survey.members)
    }

    /// Returns the members to try. Members that failed recently come last.
    fn candidates(&mut self, members: &[Member]) -> Result<Vec<Candidate>, CaptureError> {
        let mut found = candidates(members, &self.preference)?;
        self.avoid.retain(|_, since| since.elapsed() < AVOID);
        found.sort_by_key(|candidate| self.avoid.contains_key(&candidate.host));
        Ok(found)
    }

    async fn open(&self, candidate: &Candidate) -> Result<Opened, CaptureError> {
        let client = self.source.member_client(&candidate.host)?;
        OplogReader::open(&client, &candidate.host, &self.resume, self.pace(&candidate.host)).await
    }

    fn pace(&self, host: &str) -> Pace {
        self.paces.get(host).copied().unwrap_or_default()
    }

    /// Remembers that a member failed: another member is tried first for a while. The set may not
    /// have noticed yet that this member is gone. Returns the error as one of this member alone:
    /// the set has just been surveyed with the user and password that this member does not accept.
    fn note_failure(&mut self, host: &str, error: CaptureError) -> CaptureError {
        self.avoid.insert(host.to_owned(), Instant::now());
        match error {
            CaptureError::NoAnswer(_) => {
                self.paces.entry(host.to_owned()).or_default().too_slow();
                error
            }
            CaptureError::BadCredentials(text) => CaptureError::Unavailable(format!(
                "{text}. Other members accept them: is this member being resynced?"
            )),
            error => error,
        }
    }

    /// Handles the case that every readable member begins after the resume point. What follows the
    /// resume point is lost only when no other member has it either.
    async fn stand_at_gap(
        &mut self,
        members: &[Member],
        rolled_over: &[(String, OpTime)],
        since: Instant,
        sender: &queue::Sender<Received>,
    ) -> Result<(), CaptureError> {
        let tried: Vec<&str> = rolled_over.iter().map(|(host, _)| host.as_str()).collect();
        let others = gap::others(members, &tried, &self.preference);
        let after = self.resume.optime;
        let others = gap::ask(&self.source, others, after).await;
        match gap::decide(&others, after, since.elapsed()) {
            Decision::GoOnBehind { unheard } => {
                self.read_past_gap(rolled_over, &unheard, sender).await
            }
            Decision::Wait(reason) => {
                self.missing_since = Some(since);
                Err(CaptureError::Unavailable(reason))
            }
            Decision::Refuse(held) => Err(held.into()),
        }
    }

    async fn read_past_gap(
        &mut self,
        rolled_over: &[(String, OpTime)],
        unheard: &[String],
        sender: &queue::Sender<Received>,
    ) -> Result<(), CaptureError> {
        let (host, _) = rolled_over
            .iter()
            .min_by_key(|(_, oldest)| *oldest)
            .expect("the caller found at least one member");
        let client = self.source.member_client(host)?;
        let (reader, first) = OplogReader::open_at_oldest(&client, host, self.pace(host)).await?;
        // The oplog may roll over again before an entry after an earlier gap was handed on.
        let Some(after) = self.last else {
            return Err(CaptureError::BeganTooLate { start: self.resume.optime, oldest: first });
        };
        let reason = gap::reason(host, first, unheard);
        warn!(%after, before = %first, %reason, "entries were lost before they could be read: a gap");
        metrics::gap_met();
        let gap = Received::Gap { after, before: first, reason };
        if sender.send(gap, 0).await.is_err() {
            return Ok(());
        }
        self.resume = ResumeAt { optime: first, digest: None, deliver: true };
        self.status.reading_from(host, "the oldest oplog left after a gap");
        self.read(reader, sender).await
    }

    /// Reads one member until it fails or another member is clearly better.
    async fn read(
        &mut self,
        mut reader: OplogReader,
        sender: &queue::Sender<Received>,
    ) -> Result<(), CaptureError> {
        let client = self.source.member_client(&reader.host)?;
        let host = reader.host.clone();
        let watched = self.clone_for_watch();
        let watch = watched.watch_member(&client, &host);
        tokio::pin!(watch);
        let (mut held, mut pace) = (None, self.pace(&host));
        loop {
            let asked = Instant::now();
            let next = async {
                tokio::select! {
                    biased;
                    // First, or answers that are always there would keep it from running.
                    leave = &mut watch => Err(leave),
                    batch = reader.next_batch() => match batch {
                        Ok(Some(batch)) => Ok(batch),
                        Ok(None) => Err(CaptureError::Unavailable(format!("{host} closed the cursor"))),
                        Err(error) => Err(error),
                    },
                }
            };
            // The next batch is requested before this one is processed, so that the member works
            // meanwhile.
            let (next, goes_on) = tokio::join!(next, self.hand_on(held.take(), sender));
            if !goes_on? {
                return Ok(());
            }
            let batch = next.map_err(|error| self.note_failure(&host, error))?;
            let now = Instant::now();
            if !batch.is_empty()? && pace.answered(now.duration_since(asked), now) {
                // What was read and not handed on yet is read again.
                info!(member = host, "answers come fast: asking for more at once");
                self.paces.insert(host.clone(), pace);
                return Ok(());
            }
            held = Some(batch);
        }
    }

    /// Hands on a batch. Returns false when the receiver is gone, which happens at shutdown only.
    async fn hand_on(
        &mut self,
        batch: Option<EntryBatch>,
        sender: &queue::Sender<Received>,
    ) -> Result<bool, CaptureError> {
        let Some(batch) = batch else { return Ok(true) };
        let mut last = None;
        for bytes in batch.entries()? {
            last = Some(bytes?);
        }
        let Some(last) = last else { return Ok(true) };
        let after = self.resume.optime;
        let entry = Entry::parse(last)
            .map_err(|error| CaptureError::Malformed { after, source: error.into() })?;
        let optime = entry.optime;
        let digest = Some(*blake3::hash(last).as_bytes());
        let bytes = batch.bytes();
        metrics::received(bytes);
        // Positions move before the batch is handed on: `durable` must never be seen ahead of
        // `received`.
        self.positions.received(optime);
        if sender.send(Received::Batch { batch, last: optime }, bytes).await.is_err() {
            return Ok(false);
        }
        self.resume = ResumeAt { optime, digest, deliver: false };
        self.last = Some(optime);
        Ok(true)
    }

    fn clone_for_watch(&self) -> MemberWatch {
        MemberWatch {
            source: self.source.clone(),
            preference: self.preference.clone(),
            positions: self.positions.clone(),
            hosts: self.hosts.clone(),
        }
    }
}
