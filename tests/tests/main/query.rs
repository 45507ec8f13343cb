//! Tests filters, projections and the order of values against the real server. For random documents
//! of every type, our filter must match the documents that `find` returns, our projection must make
//! the same bytes, and values must sort in the same order. We must refuse what the server refuses,
//! and whatever else we refuse must be refused by name.
//!
//! The server is told to look at all documents. By default, it turns conditions on `_id` into
//! bounds on its `_id` index. There, 6.0.5 fails at `{$not: {$gte: SYMBOL}}`, and a random filter
//! has made it crash.
//!
//! `HINDSIGHT_TEST_FILTERS` sets how many filters are compared (default 20,000), and
//! `HINDSIGHT_TEST_SEED` sets a seed other than the usual one. Every error names the seed of its
//! set of documents.

mod documents;
pub(crate) mod filters;
pub(crate) mod projections;
mod server;
mod tally;
mod values;
pub(crate) mod versions;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, RawDocumentBuf};
use hindsight_query::{Filter, Projection, QueryError};
use hindsight_tests::{Mongod, MongodOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::settings::setting;
use server::{Answer, Server};
use tally::Tally;

const FILTERS: u64 = 20_000;
const SEED: u64 = 20_261_121;
const DOCUMENTS: usize = 80;
const FILTERS_PER_SET: usize = 200;
const PROJECTIONS_PER_SET: usize = 40;
/// The most differences that are shown before the test gives up.
const SHOWN: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_projections_answer_as_the_server_does() -> Result<()> {
    let wanted = setting("HINDSIGHT_TEST_FILTERS", FILTERS)?;
    let seed = setting("HINDSIGHT_TEST_SEED", SEED)?;
    let mongod = Mongod::start(&MongodOptions::default(), &[]).await?;
    let server = Server::new(&mongod.client().await?).await?;
    let mut tally = Tally::default();
    let mut differences = Vec::new();
    for set in 0.. {
        let mut run = Run::new(&server, seed + set).await?;
        run.filters(&mut tally).await?;
        run.projections(&mut tally).await?;
        run.order().await?;
        differences.append(&mut run.differences);
        if tally.filters.compared >= wanted || differences.len() >= SHOWN {
            break;
        }
    }
    println!("{tally}");
    let shown = differences[..differences.len().min(SHOWN)].join("\n");
    ensure!(differences.is_empty(), "{} differences or more:\n{shown}", differences.len());
    tally.ensure_it_says_something(server.version)
}

/// One set of documents, and the questions about it.
struct Run<'a> {
    server: &'a Server,
    seed: u64,
    random: StdRng,
    /// The documents as the server holds them, in the server's order.
    held: Vec<RawDocumentBuf>,
    decoded: Vec<Document>,
    differences: Vec<String>,
}

impl<'a> Run<'a> {
    async fn new(server: &'a Server, seed: u64) -> Result<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        let documents: Vec<_> =
            (0..DOCUMENTS).map(|slot| documents::whole(&mut random, slot)).collect();
        let held = server.replace(&documents).await.with_context(|| format!("seed {seed}"))?;
        ensure!(held.len() == DOCUMENTS, "seed {seed}: {} documents are held", held.len());
        let decoded = held.iter().map(Document::try_from).collect::<Result<_, _>>()?;
        Ok(Self { server, seed, random, held, decoded, differences: Vec::new() })
    }

    async fn filters(&mut self, tally: &mut Tally) -> Result<()> {
        for _ in 0..FILTERS_PER_SET {
            let filter = filters::filter(&mut self.random, &self.decoded);
            if versions::may_differ(&filter, self.server.version) {
                continue;
            }
            let raw = RawDocumentBuf::try_from(&filter)?;
            let theirs = self.server.find(&raw, &RawDocumentBuf::new()).await?;
            let ours = Filter::parse(&raw, versions::named(self.server.version));
            tally.filters.count(&theirs, ours.as_ref().err());
            match (ours, theirs) {
                (Err(QueryError::Unsupported(_)), _) => {}
                (Err(_), Answer::Refused(_)) => {}
                (Ok(filter_of_ours), Answer::Documents(theirs)) => {
                    let is_ours = |d: &&RawDocumentBuf| filter_of_ours.matches(d);
                    let ours: Vec<_> = self.held.iter().filter(is_ours).cloned().collect();
                    tally.outcome(&filter, ours.len(), self.held.len());
                    self.compare_sets(&filter, &ours, &theirs);
                }
                (Err(ours), Answer::Documents(_)) => {
                    self.differs(format!("{filter}: only we refuse it: {ours}"));
                }
                (Ok(_), Answer::Refused(theirs)) => {
                    self.differs(format!("{filter}: only the server refuses it: {theirs}"));
                }
            }
        }
        Ok(())
    }

    fn compare_sets(
        &mut self,
        filter: &Document,
        ours: &[RawDocumentBuf],
        theirs: &[RawDocumentBuf],
    ) {
        for document in ours.iter().filter(|document| !theirs.contains(document)) {
            self.differs(format!("{filter} matches only for us: {document:?}"));
        }
        for document in theirs.iter().filter(|document| !ours.contains(document)) {
            self.differs(format!("{filter} matches only for the server: {document:?}"));
        }
    }

    async fn projections(&mut self, tally: &mut Tally) -> Result<()> {
        for _ in 0..PROJECTIONS_PER_SET {
            let projection = projections::projection(&mut self.random, &self.decoded);
            let raw = RawDocumentBuf::try_from(&projection)?;
            let theirs = self.server.find(&RawDocumentBuf::new(), &raw).await?;
            let ours = Projection::parse(&raw);
            tally.projections.count(&theirs, ours.as_ref().err());
            match (ours, theirs) {
                (Err(QueryError::Unsupported(_)), _) => {}
                (Err(_), Answer::Refused(_)) => {}
                (Ok(ours), Answer::Documents(theirs)) => {
                    self.compare_projected(&projection, &ours, &theirs)?;
                }
                (Err(ours), Answer::Documents(_)) => {
                    self.differs(format!("projection {projection}: only we refuse it: {ours}"));
                }
                (Ok(_), Answer::Refused(theirs)) => {
                    self.differs(format!("projection {projection}: only refused there: {theirs}"));
                }
            }
        }
        Ok(())
    }

    fn compare_projected(
        &mut self,
        projection: &Document,
        ours: &Projection,
        theirs: &[RawDocumentBuf],
    ) -> Result<()> {
        ensure!(theirs.len() == self.held.len(), "{projection}: not all documents came");
        for (document, theirs) in self.held.clone().iter().zip(theirs) {
            let ours = ours.apply(document)?;
            if ours != *theirs {
                let what = format!("projection {projection} of {document:?}:");
                self.differs(format!("{what}\n  ours {ours:?}\n  server {theirs:?}"));
            }
        }
        Ok(())
    }

    /// Compares the order of values. The values are wrapped in documents, because an array would
    /// otherwise be sorted by one of its elements.
    async fn order(&mut self) -> Result<()> {
        let theirs = self.server.sorted(&values::wrapped(&mut self.random)).await?;
        let mut ours = theirs.clone();
        let key = |document: &RawDocumentBuf| document.get("v").ok().flatten().map(Bson::try_from);
        ours.sort_by(|a, b| {
            let (a, b) = (a.as_ref(), b.as_ref());
            let compare = |name| match (a.get(name), b.get(name)) {
                (Ok(Some(a)), Ok(Some(b))) => hindsight_query::compare(a, b),
                other => panic!("no {name} in {other:?}"),
            };
            compare("v").then_with(|| compare("_id"))
        });
        if let Some(at) = (0..ours.len()).find(|&at| ours[at] != theirs[at]) {
            let (ours, theirs) = (key(&ours[at]), key(&theirs[at]));
            self.differs(format!("order, place {at}: ours {ours:?}, server {theirs:?}"));
        }
        Ok(())
    }

    fn differs(&mut self, what: String) {
        self.differences.push(format!("seed {}: {what}", self.seed));
    }
}
