//! Writers that behave correctly, on a network that does not. Whatever the order in which their
//! records arrive, and whichever records never arrive, there is one log, and it never looks
//! damaged.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

type Records = VecDeque<(Head, Bytes)>;

/// Records under way. The records of one producer arrive in order; the records of several producers
/// arrive in any order.
struct Queue {
    writer: usize,
    records: Records,
    /// The last record, which is sent once all records before it are acknowledged.
    last: Records,
}

struct Writer {
    id: u64,
    epoch: WriterEpoch,
    attempts: u64,
    /// The segment that the writer is trying to append, as long as the outcome is unknown to it.
    pending: Option<SealedSegment>,
    /// The segments that the writer saw become durable.
    durable: Vec<SealedSegment>,
}

#[derive(Default)]
struct World {
    topic: Topic,
    network: Vec<Queue>,
    writers: Vec<Writer>,
    /// A writer that tries again sends nothing more of its earlier try. What was sent may still
    /// arrive.
    discards: bool,
}

impl World {
    /// Starts a writer that has read the whole topic.
    fn start(&mut self) {
        let supersedes = self.topic.chain.epoch();
        let epoch = WriterEpoch(supersedes.0 + 1);
        let id = self.writers.len() as u64;
        let instance = Instance(id);
        let claim = Head::Claim(Claim { writer: WriterId(id), epoch, supersedes, instance });
        let records = Records::from([(claim, Bytes::new())]);
        self.network.push(Queue { writer: self.writers.len(), records, last: Records::new() });
        let (pending, durable) = (None, Vec::new());
        self.writers.push(Writer { id, epoch, attempts: 0, pending, durable });
    }

    /// The writer reads the topic. If it still holds the log, it appends the segment under way, or
    /// another segment in its place.
    fn append(&mut self, index: usize, entries: u32, again: bool) {
        let Some(writer) = self.writers.get_mut(index) else { return };
        self.topic.learn(writer);
        if !self.topic.chain.is_held_by(writer.epoch, WriterId(writer.id)) {
            return;
        }
        let segment = match writer.pending.take() {
            Some(pending) if again => pending,
            _ => self.topic.next_segment(entries),
        };
        writer.attempts += 1;
        let attempt = attempt(writer.id, writer.epoch.0, writer.attempts);
        let mut records: Records = lay_out(&segment, attempt, 300)
            .into_iter()
            .map(|it| (Head::Piece(it.head), it.value))
            .collect();
        let last = records.split_off(records.len() - 1);
        writer.pending = Some(segment);
        if self.discards {
            let given_up = self.network.iter_mut().filter(|it| it.writer == index);
            given_up.filter(|it| !it.records.is_empty()).for_each(|it| it.last.clear());
        }
        self.network.push(Queue { writer: index, records, last });
    }

    /// Some records of a queue arrive.
    fn deliver(&mut self, index: usize, count: usize) {
        let Some(queue) = self.network.get_mut(index) else { return };
        for _ in 0..count {
            if queue.records.is_empty() {
                queue.records.append(&mut queue.last);
            }
            let Some((head, value)) = queue.records.pop_front() else { break };
            self.topic.put(Ok(head), value);
        }
    }

    /// Loses records of a queue: either one in the middle, and therefore the last one too, or all
    /// of them.
    fn lose(&mut self, index: usize, one: bool) {
        let Some(queue) = self.network.get_mut(index) else { return };
        queue.last.clear();
        if one && queue.records.len() > 1 {
            queue.records.remove(1);
        } else {
            queue.records.clear();
        }
    }
}

impl Topic {
    /// A writer that has read the whole topic learns what became of its segment under way.
    fn learn(&self, writer: &mut Writer) {
        let digests = self.digests();
        writer.durable.extend(writer.pending.take_if(|it| digests.contains(&it.digest())));
    }

    fn next_segment(&self, entries: u32) -> SealedSegment {
        let mut maker = SegmentMaker::default();
        if let Some(end) = self.chain.end() {
            let (ts, term) = (end.last().ts, end.last().term);
            maker.sequence = end.sequence().next();
            maker.predecessor = end.digest;
            maker.next = hindsight_oplog::OpTime::new(ts.seconds(), ts.increment() + 1, term);
        }
        maker.make(entries)
    }
}

#[derive(Clone, Debug)]
enum Event {
    Start,
    Append { writer: usize, entries: u32, again: bool },
    Deliver { queue: usize, count: usize },
    Lose { queue: usize, one: bool },
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Start),
        4 => (0usize..4, 1u32..40, any::<bool>())
            .prop_map(|(writer, entries, again)| Event::Append { writer, entries, again }),
        9 => (0usize..12, 1usize..9).prop_map(|(queue, count)| Event::Deliver { queue, count }),
        1 => (0usize..12, any::<bool>()).prop_map(|(queue, one)| Event::Lose { queue, one }),
    ]
}

proptest! {
    #[test]
    fn there_is_one_log_whatever_arrives(
        events in prop::collection::vec(any_event(), 1..80),
        discards in any::<bool>(),
    ) {
        let mut world = World { discards, ..World::default() };
        world.start();
        world.deliver(0, 1);
        for event in events {
            // The newest writers and queues are the interesting ones.
            let back = |from: usize, length: usize| length.wrapping_sub(from + 1);
            match event {
                Event::Start => world.start(),
                Event::Append { writer, entries, again } => {
                    world.append(back(writer, world.writers.len()), entries, again);
                }
                Event::Deliver { queue, count } => {
                    world.deliver(back(queue, world.network.len()), count);
                }
                Event::Lose { queue, one } => world.lose(back(queue, world.network.len()), one),
            }
            prop_assert_eq!(world.topic.chain.broken(), None);
        }
        for (accepted, number) in world.topic.accepted.iter().zip(1..) {
            prop_assert_eq!(accepted.info.sequence(), Sequence(number));
        }
        let digests = world.topic.digests();
        for segment in world.writers.iter().flat_map(|it| &it.durable) {
            let index = segment.info().sequence().0 as usize - 1;
            prop_assert_eq!(digests[index], segment.digest(), "what was durable stays");
        }
        if discards {
            whoever_reads_less_reads_the_same(&world.topic)?;
        }
    }
}

/// Readers of a topic whose oldest records are gone agree with a reader that has read them all.
fn whoever_reads_less_reads_the_same(topic: &Topic) -> Result<(), TestCaseError> {
    let all = topic.digests();
    for first in 1..=topic.records.len() as i64 {
        let left = topic.read_from(first);
        let held = topic.accepted.iter().filter(|it| it.place.first >= first).count();
        let is_boundary = topic.accepted.iter().any(|it| it.place.first == first);
        prop_assert_eq!(left.chain.broken(), None, "from {}", first);
        if is_boundary {
            prop_assert_eq!(left.digests(), &all[all.len() - held..], "from {}", first);
        }
        if held > 0 {
            prop_assert!(all.ends_with(&left.digests()), "from {first}");
            prop_assert_eq!(left.chain.end(), topic.chain.end(), "from {}", first);
            prop_assert_eq!(left.chain.epoch(), topic.chain.epoch(), "from {}", first);
        }
    }
    Ok(())
}
