//! Measures how fast entries are applied, and how long a read of one document at a random time
//! takes.
//!
//! One million entries: 60 % inserts of about 400 bytes, 30 % updates by delta and 10 % deletes,
//! both of documents that are chosen uniformly from all existing ones. Each entry is parsed from
//! its bytes, applied in strict mode, and committed together with the other entries of its segment.
//! `HINDSIGHT_BENCH_ENTRIES` and `HINDSIGHT_BENCH_READS` change the numbers.
//!
//! Besides, small updates of large documents: two fields of 2,000 documents of 10 kB each, 400,000
//! times (`HINDSIGHT_BENCH_UPDATES`). What the history adds to the disk is compared with the bytes
//! of the entries.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use hindsight_history::{Ahead, BaseInfo, CollectionState, History, Progress, Settings};
use hindsight_oplog::raw::{Doc, DocWriter, kind};
use hindsight_oplog::{Entry, OpTime, Timestamp};
use tempfile::TempDir;

const NS: &str = "bench.documents";
const UUID: [u8; 16] = [9; 16];
/// About as many entries as a segment of 8 MiB holds.
const COMMIT_EVERY: usize = 16_384;

/// A small generator of our own (splitmix64), so that every run sees the same entries.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

struct Log {
    bytes: Vec<u8>,
    /// Where each entry begins.
    starts: Vec<usize>,
    ids: Vec<[u8; 12]>,
}

impl Log {
    fn entry(&self, number: usize) -> &[u8] {
        &self.bytes[self.starts[number]..self.starts[number + 1]]
    }
}

/// Returns a number from the environment, or the default.
fn wanted(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn time_of(entry: usize) -> Timestamp {
    Timestamp::new(1_000_000 + (entry / 1000) as u32, (entry % 1000) as u32 + 1)
}

fn optime_of(entry: usize) -> OpTime {
    OpTime { ts: time_of(entry), term: 1 }
}

fn make_log(entries: usize) -> Log {
    let mut random = Random(42);
    let mut log = Log { bytes: Vec::new(), starts: Vec::new(), ids: Vec::new() };
    let mut live: Vec<[u8; 12]> = Vec::new();
    for number in 0..entries {
        let entry = match random.below(10) {
            kind @ 6..10 if live.len() > 1000 => {
                let at = random.below(live.len());
                if kind == 9 {
                    let id = live.swap_remove(at);
                    entry(number, "d", id_only(id), None)
                } else {
                    entry(number, "u", delta(&mut random), Some(id_only(live[at])))
                }
            }
            _ => {
                let mut id = [0; 12];
                id[..4].copy_from_slice(&(number as u32).to_be_bytes());
                id[4..].copy_from_slice(&random.next().to_be_bytes());
                live.push(id);
                log.ids.push(id);
                entry(number, "i", document(id, &mut random), None)
            }
        };
        log.starts.push(log.bytes.len());
        log.bytes.extend_from_slice(&entry);
    }
    log.starts.push(log.bytes.len());
    log
}

fn entry(number: usize, op: &str, o: Vec<u8>, o2: Option<Vec<u8>>) -> Vec<u8> {
    let mut uuid = vec![16, 0, 0, 0, 4];
    uuid.extend_from_slice(&UUID);
    let mut entry = DocWriter::with_capacity(640);
    entry.string(b"op", op).string(b"ns", NS).value(kind::BINARY, b"ui", &uuid);
    entry.value(kind::DOCUMENT, b"o", &o);
    if let Some(o2) = o2 {
        entry.value(kind::DOCUMENT, b"o2", &o2);
    }
    entry.value(kind::TIMESTAMP, b"ts", &time_of(number).as_u64().to_le_bytes());
    entry.int64(b"t", 1).int64(b"v", 2);
    entry.value(kind::DATE, b"wall", &(number as i64).to_le_bytes());
    entry.finish()
}

fn id_only(id: [u8; 12]) -> Vec<u8> {
    let mut doc = DocWriter::new();
    doc.value(kind::OBJECT_ID, b"_id", &id);
    doc.finish()
}

/// Twelve fields, about 400 bytes, half of them hard to compress.
fn document(id: [u8; 12], random: &mut Random) -> Vec<u8> {
    let mut doc = DocWriter::with_capacity(512);
    doc.value(kind::OBJECT_ID, b"_id", &id);
    doc.string(b"customer", &format!("customer-{}", random.below(100_000)));
    doc.int32(b"n", random.below(1000) as i32).int64(b"total", random.next() as i64);
    doc.string(b"state", "open").value(kind::BOOL, b"paid", &[0]);
    doc.open(kind::ARRAY, b"items");
    for name in [b"0", b"1", b"2"] {
        doc.int64(name, random.next() as i64);
    }
    doc.close();
    let noise: String = (0..8).map(|_| format!("{:016x}", random.next())).collect();
    doc.string(b"noise", &noise).string(b"note", &"as agreed ".repeat(8));
    doc.finish()
}

fn delta(random: &mut Random) -> Vec<u8> {
    let mut update = DocWriter::new();
    update.int32(b"$v", 2).open(kind::DOCUMENT, b"diff").open(kind::DOCUMENT, b"u");
    update.int32(b"n", random.below(1000) as i32).string(b"state", "shipped");
    update.close().close();
    update.finish()
}

fn open() -> (TempDir, History) {
    open_with(&[])
}

fn open_with(documents: &[Vec<u8>]) -> (TempDir, History) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let history = History::open(dir.path(), Settings::default()).expect("a store");
    let time = Timestamp::new(1, 1);
    let base =
        BaseInfo { name: "empty".to_owned(), start: time, exact_from: time, server_version: None };
    let mut load = history.begin_generation(base).expect("a load");
    let number = load.collection(CollectionState::new(UUID, NS)).expect("a collection");
    for document in documents {
        load.put(number, document).expect("a document");
    }
    load.finish().expect("a base");
    (dir, history)
}

/// Applies segment after segment. If the history looks ahead, another thread finds the documents of
/// the next segment meanwhile, as in the replayer.
fn apply_all(history: &History, log: &Log, looks_ahead: bool) {
    let mut writer = history.writer().expect("a writer");
    let entries = log.starts.len() - 1;
    let mut ahead = None;
    for first in (0..entries).step_by(COMMIT_EVERY) {
        let end = entries.min(first + COMMIT_EVERY);
        ahead = std::thread::scope(|scope| {
            let following = end..entries.min(end + COMMIT_EVERY);
            let read = || read_ahead(history, log, following);
            let next = looks_ahead.then(|| scope.spawn(read));
            writer.use_ahead(ahead.take());
            for number in first..end {
                let entry = Entry::parse(log.entry(number)).expect("an entry");
                writer.apply(entry.ts(), entry.optime, [entry.operation()]).expect("it fits");
            }
            writer.commit_behind(Progress::at(optime_of(end - 1))).expect("stored");
            next.map(|next| next.join().expect("no panic"))
        });
    }
    writer.flush().expect("durable");
    if std::env::var_os("HINDSIGHT_BENCH_CPU").is_some() {
        println!("{:?}", writer.counts());
    }
}

fn read_ahead(history: &History, log: &Log, entries: Range<usize>) -> Ahead {
    let mut ahead = history.look_ahead().expect("a writer exists");
    for number in entries {
        let entry = Entry::parse(log.entry(number)).expect("an entry");
        ahead.want(&entry.operation()).expect("readable");
    }
    ahead.read().expect("readable")
}

/// Returns the CPU time of this thread so far. On a busy machine this says more than the wall
/// clock.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// Returns the CPU time of all threads so far, in steps of 10 ms.
fn process_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default().split(' ');
    // The fields `utime` and `stime`, in ticks of 10 ms.
    let ticks = after_name.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn apply(c: &mut Criterion) {
    let log = make_log(wanted("HINDSIGHT_BENCH_ENTRIES", 1_000_000));
    let entries = log.starts.len() - 1;
    let mut group = c.benchmark_group("history");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Elements(entries as u64));
    for (name, looks_ahead) in [("apply and flush", false), ("apply, looking ahead", true)] {
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let (_dir, history) = open();
                    let (start, cpu, all) = (Instant::now(), thread_cpu(), process_cpu());
                    apply_all(&history, &log, looks_ahead);
                    let took = start.elapsed();
                    spent += took;
                    if std::env::var_os("HINDSIGHT_BENCH_CPU").is_some() {
                        let (cpu, all) = (thread_cpu() - cpu, process_cpu() - all);
                        println!(
                            "{took:?} ({cpu:?} on this thread's CPU, {all:?} on all threads')"
                        );
                    }
                }
                spent
            });
        });
    }

    let reads = wanted("HINDSIGHT_BENCH_READS", 100_000);
    if reads == 0 {
        return;
    }
    let (_dir, history) = open();
    apply_all(&history, &log, false);
    let mut random = Random(7);
    let mut read = || {
        let id = id_only(log.ids[random.below(log.ids.len())]);
        let id = Doc::new(&id).expect("a document").first().expect("BSON").expect("an id");
        let view = history.reader_at(time_of(random.below(entries))).expect("in the window");
        view.get(NS, id).expect("readable")
    };
    let mut times: Vec<Duration> = (0..reads)
        .map(|_| {
            let start = Instant::now();
            black_box(read());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let quantile = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    println!(
        "get at a random time over {entries} entries: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0)
    );
    group.throughput(Throughput::Elements(1)).sample_size(50);
    group.bench_function("get at a random time", |b| b.iter(&mut read));
    group.finish();
}

/// Large documents whose first two fields are counters.
fn large_documents(random: &mut Random) -> Vec<Vec<u8>> {
    let document = |number: u32| {
        let mut doc = DocWriter::with_capacity(11_000);
        doc.value(kind::OBJECT_ID, b"_id", &large_id(number)).int32(b"n", 0).int64(b"when", 0);
        doc.open(kind::DOCUMENT, b"body");
        for field in 0..40 {
            let text: String = (0..15).map(|_| format!("{:016x}", random.next())).collect();
            doc.string(format!("field{field}").as_bytes(), &text);
        }
        doc.close();
        doc.finish()
    };
    (0..2000).map(document).collect()
}

fn large_id(number: u32) -> [u8; 12] {
    let mut id = [7; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

fn make_updates(updates: usize, random: &mut Random) -> Log {
    let mut log = Log { bytes: Vec::new(), starts: Vec::new(), ids: Vec::new() };
    for number in 0..updates {
        let id = large_id(random.below(2000) as u32);
        let mut update = DocWriter::new();
        update.int32(b"$v", 2).open(kind::DOCUMENT, b"diff").open(kind::DOCUMENT, b"u");
        update.int32(b"n", number as i32).int64(b"when", random.next() as i64);
        update.close().close();
        log.starts.push(log.bytes.len());
        log.bytes.extend_from_slice(&entry(number, "u", update.finish(), Some(id_only(id))));
        log.ids.push(id);
    }
    log.starts.push(log.bytes.len());
    log
}

/// The bytes of the files in a directory, and the bytes that this process has sent to the disk.
fn disk(dir: &TempDir) -> (u64, u64) {
    let files = std::fs::read_dir(dir.path()).expect("a directory").filter_map(Result::ok);
    let held = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    (held, written.unwrap_or_default())
}

fn large(_: &mut Criterion) {
    let mut random = Random(43);
    let documents = large_documents(&mut random);
    let log = make_updates(wanted("HINDSIGHT_BENCH_UPDATES", 400_000), &mut random);
    let updates = log.starts.len() - 1;
    let (dir, history) = open_with(&documents);
    let before = disk(&dir);
    let (start, cpu) = (Instant::now(), thread_cpu());
    apply_all(&history, &log, false);
    let (took, cpu) = (start.elapsed(), thread_cpu() - cpu);
    let after = disk(&dir);
    let entries = log.bytes.len() as f64;
    println!(
        "{updates} updates of {} documents of {} B: {:.0} updates/s ({cpu:?} of {took:?} on this thread's CPU), \
         {:.2} bytes held and {:.2} bytes written for each byte of the entries",
        documents.len(),
        documents[0].len(),
        updates as f64 / took.as_secs_f64(),
        (after.0 - before.0) as f64 / entries,
        (after.1 - before.1) as f64 / entries,
    );
    let mut times: Vec<Duration> = (0..20_000)
        .map(|_| {
            let id = id_only(log.ids[random.below(updates)]);
            let id = Doc::new(&id).expect("a document").first().expect("BSON").expect("an id");
            let view = history.reader_at(time_of(random.below(updates))).expect("in the window");
            let start = Instant::now();
            black_box(view.get(NS, id).expect("readable"));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("get at a random time: p50 {:?}, p99 {:?}", times[10_000], times[19_800]);
}

criterion_group!(benches, large, apply);
criterion_main!(benches);
