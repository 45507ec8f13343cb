//! Calls `get` as the command line does, about what the writers wrote.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bson::oid::ObjectId;
use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use hindsight_proto::v1::hindsight_client::HindsightClient;
use hindsight_proto::v1::{GetDocumentRequest, TimeSpec};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::writes::{COLLECTIONS, DATABASE, Writer, collection_name, id_of};

/// The same limit as in the command line.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Draws random documents and times among the writes.
#[derive(Debug)]
pub struct Questions {
    random: SmallRng,
    inserted: Vec<u64>,
    times: Vec<Timestamp>,
}

impl Questions {
    /// Draws from what these writers wrote.
    ///
    /// # Errors
    /// Returns an error when nothing was written.
    pub fn about(writers: &[Writer]) -> Result<Self> {
        let inserted = writers.iter().map(Writer::inserted).collect();
        let mut times: Vec<_> = writers.iter().flat_map(Writer::times).copied().collect();
        times.sort_unstable();
        ensure!(!times.is_empty(), "nothing was written");
        Ok(Self { random: SmallRng::seed_from_u64(7), inserted, times })
    }

    /// Returns a collection, and the `_id` of a document that was once inserted there.
    pub fn document(&mut self) -> (String, ObjectId) {
        let number = self.random.random_range(0..COLLECTIONS);
        let nth = self.random.random_range(0..self.inserted[number as usize]);
        (collection_name(number), id_of(number, nth))
    }

    /// Returns the second of a write, with any increment up to that of the write, but not before
    /// the first write.
    pub fn time(&mut self) -> String {
        let mut time = self.times[self.random.random_range(0..self.times.len())];
        time.increment = self.random.random_range(1..=time.increment);
        let time = time.max(self.times[0]);
        format!("{},{}", time.time, time.increment)
    }
}

/// One connection over gRPC.
pub type Api = HindsightClient<Channel>;

/// Connects as the command line does.
pub async fn connect(address: String) -> Result<Api> {
    let channel = Endpoint::from_shared(address)?.connect().await?;
    Ok(HindsightClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Returns a document as of a time, and how long the answer took.
pub async fn get(
    api: &mut Api,
    collection: &str,
    id: ObjectId,
    at: String,
) -> Result<(Option<RawDocumentBuf>, Duration)> {
    let request = GetDocumentRequest {
        ns: format!("{DATABASE}.{collection}"),
        id: rawdoc! {"_id": id}.into_bytes().into(),
        at: Some(TimeSpec { text: at, exclusive: false }),
    };
    let asked = Instant::now();
    let answer = api.get_document(request).await;
    let took = asked.elapsed();
    let found = match answer {
        Ok(answer) => {
            let document = answer.into_inner().document;
            let document = RawDocument::from_bytes(&document)?;
            let found = document.get_object_id("_id")?;
            ensure!(found == id, "asked for {id} in {collection}, got {found}");
            Some(document.to_owned())
        }
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => bail!("get {id} in {collection}: {status}"),
    };
    Ok((found, took))
}
