//! Compares landmarks with the topic that they belong to.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::bases::{Announced, announce, base_notice};
use super::chain::Chain;
use super::fetch::read_info;
use super::follow::Known;
use super::landmarks::Found;
use super::record::{Head, Note, PieceHead, Says};
use super::topic::{Record, Session, Topic};
use crate::error::LogError;

impl Topic {
    /// Returns what is known of the topic when these landmarks hold. None when they do not hold:
    /// the topic is another one, or was changed.
    ///
    /// # Errors
    /// Returns [`LogError::Unavailable`] only. Damage is found when the topic is read.
    pub(super) fn recall(&self, found: Found) -> Result<Option<Known>, LogError> {
        match self.try_recall(found) {
            Ok(known) => Ok(known),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "landmarks of the topic do not hold: reading all of it");
                Ok(None)
            }
        }
    }

    fn try_recall(&self, found: Found) -> Result<Option<Known>, LogError> {
        let (first, end) = self.watermarks()?;
        let mut places = found.places;
        places.forget_before(first);
        // What lies before the first offset is gone, and cannot be confirmed.
        let Some(last) = places.last().filter(|it| it.last < end && found.claim >= first) else {
            return Ok(None);
        };
        let mut session = self.session()?;
        let Some(Record { head: Ok(Head::Piece(PieceHead { attempt, .. })), .. }) =
            self.record_at(&mut session, last.seal)?
        else {
            return Ok(None);
        };
        let info = read_info(self, &mut session, last)?;
        let is_it =
            info.digest.to_string() == found.digest && info.sequence().next() == places.next();
        let claim = self.record_at(&mut session, found.claim)?;
        let Some(Record { head: Ok(Head::Claim(claim)), value: name, .. }) = claim else {
            return Ok(None);
        };
        let mut bases = Vec::with_capacity(found.bases.len());
        for &offset in found.bases.iter().filter(|&&offset| offset >= first) {
            let record = self.record_at(&mut session, offset)?;
            let Some(Record { head: Ok(Head::Note(note)), value, .. }) = record else {
                return Ok(None);
            };
            let Note { says: Says::Base(digest), .. } = note else { return Ok(None) };
            let notice = base_notice(digest, &value);
            announce(&mut bases, Announced { notice, offset });
        }
        if !is_it {
            return Ok(None);
        }
        let chain = Chain::after(Arc::new(info), attempt, claim, &name, bases);
        Ok(chain.map(|chain| Known { chain, places }))
    }

    fn record_at(
        &self,
        session: &mut Session<'_>,
        offset: i64,
    ) -> Result<Option<Record>, LogError> {
        let mut found = None;
        session.read(offset, offset + 1, &mut |record| {
            found = Some(record);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }
}
