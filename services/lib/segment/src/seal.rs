//! The seal of a segment: what is known after its last entry.

use hindsight_oplog::{OpTime, Timestamp};

use crate::error::{Error, Place};
use crate::fields::{FieldReader, length_u32, put_i64, put_optime, put_text, put_u32, put_u64};
use crate::filter::KeyFilter;
use crate::frame::{FRAME_HEADER_BYTES, FrameInfo};
use crate::identity::CutReason;
use crate::limits::{
    MAX_COMMAND_NAME_BYTES, MAX_FRAME_RAW_BYTES, MAX_SEGMENT_RAW_BYTES, MAX_SIGHTINGS_BYTES,
    MAX_SIGHTINGS_RAW_BYTES,
};
use crate::sighting::Sightings;
use crate::tally::{CommandNote, NamespaceCounts, OpCounts};

pub(crate) const SEAL_MAGIC: [u8; 8] = *b"HSSEAL\0\0";
/// The length of the segment's digest, which is the last field of the seal.
pub(crate) const DIGEST_BYTES: usize = 32;

const HAS_FIRST_WALL: u8 = 1;
const HAS_LAST_WALL: u8 = 2;
const HAS_UNRESOLVED: u8 = 4;
const HAS_PREPARED: u8 = 8;
const HAS_SIGHTINGS: u8 = 16;
const KNOWN_FLAGS: u8 =
    HAS_FIRST_WALL | HAS_LAST_WALL | HAS_UNRESOLVED | HAS_PREPARED | HAS_SIGHTINGS;

/// The least number of bytes that one line of each table takes.
const LEAST_NAMESPACE: usize = 4 + 6 * 4;
const LEAST_COMMAND: usize = 16 + 1 + 4 + 1;
const LEAST_FRAME: usize = 3 * 4 + 2 * 16 + 32 + 1;

/// The facts of a sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The first entry's optime.
    pub first: OpTime,
    /// The last entry's optime.
    pub last: OpTime,
    /// The source's majority point as the writer knew it at the cut. It is at or after `last` (I2).
    pub majority: OpTime,
    /// Why the segment was closed where it was.
    pub reason: CutReason,
    /// The first entry's `wall`, in milliseconds since the Unix epoch. It is not monotonic.
    pub first_wall_ms: Option<i64>,
    /// The last entry's `wall`, in milliseconds since the Unix epoch. It is not monotonic.
    pub last_wall_ms: Option<i64>,
    /// The first entry of the oldest transaction that was neither committed nor aborted at the cut.
    pub oldest_unresolved: Option<OpTime>,
    /// The oldest prepare that was neither committed nor aborted at the cut. No state from there on
    /// is known yet (I7).
    pub oldest_prepared: Option<Timestamp>,
    /// The number of entries.
    pub entries: u64,
    /// The length of all entries in bytes, uncompressed.
    pub raw_bytes: u64,
    /// The length of all frames in bytes, as they are stored.
    pub stored_bytes: u64,
    /// Operations per namespace, in the order of the names.
    pub namespaces: Vec<NamespaceCounts>,
    /// The commands, in the order of their entries.
    pub commands: Vec<CommandNote>,
    /// The frame table, in the order of the segment.
    pub frames: Vec<FrameInfo>,
    /// What members listed of their catalog, as of the segment's end.
    pub sightings: Option<Sightings>,
}

impl Seal {
    /// Encodes everything but the digest.
    pub(crate) fn encode_body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + 128 * self.frames.len());
        out.extend_from_slice(&SEAL_MAGIC);
        [self.first, self.last, self.majority].iter().for_each(|&it| put_optime(&mut out, it));
        let flag = |present: bool, bit: u8| if present { bit } else { 0 };
        out.push(
            flag(self.first_wall_ms.is_some(), HAS_FIRST_WALL)
                | flag(self.last_wall_ms.is_some(), HAS_LAST_WALL)
                | flag(self.oldest_unresolved.is_some(), HAS_UNRESOLVED)
                | flag(self.oldest_prepared.is_some(), HAS_PREPARED)
                | flag(self.sightings.is_some(), HAS_SIGHTINGS),
        );
        out.extend_from_slice(&[self.reason as u8, 0, 0]);
        put_u32(&mut out, length_u32(self.frames.len()));
        put_i64(&mut out, self.first_wall_ms.unwrap_or_default());
        put_i64(&mut out, self.last_wall_ms.unwrap_or_default());
        put_optime(&mut out, self.oldest_unresolved.unwrap_or_default());
        put_u64(&mut out, self.oldest_prepared.unwrap_or_default().as_u64());
        put_u64(&mut out, self.entries);
        put_u64(&mut out, self.raw_bytes);
        put_u64(&mut out, self.stored_bytes);
        put_u32(&mut out, length_u32(self.namespaces.len()));
        put_u32(&mut out, length_u32(self.commands.len()));
        self.namespaces.iter().for_each(|it| put_namespace(&mut out, it));
        self.commands.iter().for_each(|it| put_command(&mut out, it));
        self.frames.iter().for_each(|it| put_frame(&mut out, it));
        if let Some(sightings) = &self.sightings {
            put_sightings(&mut out, sightings);
        }
        out
    }

    /// Reads what [`Seal::encode_body`] wrote, and refuses everything that it would not write.
    pub(crate) fn read_body(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = FieldReader::new(bytes, Place::Seal);
        fields.expect(&SEAL_MAGIC, "it does not begin with the mark of a seal")?;
        let (first, last, majority) = (fields.optime()?, fields.optime()?, fields.optime()?);
        let flags = fields.u8()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(fields.corrupt("its flags are unknown"));
        }
        let reason = CutReason::from_stored(fields.u8()?)
            .ok_or(fields.corrupt("its cut reason is unknown"))?;
        fields.expect(&[0; 2], "reserved bytes are not zero")?;
        let frame_count = fields.u32()?;
        let first_wall_ms = fields.i64()?;
        let last_wall_ms = fields.i64()?;
        let oldest_unresolved = fields.optime()?;
        let oldest_prepared = Timestamp::from_u64(fields.u64()?);
        let seal = Seal {
            first,
            last,
            majority,
            reason,
            first_wall_ms: optional(&fields, flags & HAS_FIRST_WALL, first_wall_ms)?,
            last_wall_ms: optional(&fields, flags & HAS_LAST_WALL, last_wall_ms)?,
            oldest_unresolved: optional(&fields, flags & HAS_UNRESOLVED, oldest_unresolved)?,
            oldest_prepared: optional(&fields, flags & HAS_PREPARED, oldest_prepared)?,
            entries: fields.u64()?,
            raw_bytes: fields.u64()?,
            stored_bytes: fields.u64()?,
            namespaces: Vec::new(),
            commands: Vec::new(),
            frames: Vec::new(),
            sightings: None,
        };
        seal.read_tables(fields, frame_count, flags & HAS_SIGHTINGS != 0)
    }

    fn read_tables(
        mut self,
        mut fields: FieldReader<'_>,
        frames: u32,
        has_sightings: bool,
    ) -> Result<Self, Error> {
        let namespaces = fields.u32()?;
        let commands = fields.u32()?;
        self.namespaces = read_table(&mut fields, namespaces, LEAST_NAMESPACE, read_namespace)?;
        self.commands = read_table(&mut fields, commands, LEAST_COMMAND, read_command)?;
        self.frames = read_table(&mut fields, frames, LEAST_FRAME, read_frame)?;
        if has_sightings {
            self.sightings = Some(read_sightings(&mut fields)?);
        }
        fields.finish()?;
        self.check().map_err(|what| Error::corrupt(Place::Seal, what))?;
        Ok(self)
    }

    /// Checks what must hold between the numbers of any seal, written or read.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let Some((first_frame, last_frame)) = self.frames.first().zip(self.frames.last()) else {
            return Err("the segment has no frames");
        };
        if first_frame.first != self.first || last_frame.last != self.last {
            return Err("its frames do not begin and end where the segment does");
        }
        if self.frames.windows(2).any(|pair| !comes_after(pair[0].last, pair[1].first)) {
            return Err("its frames are not in order");
        }
        let sum = |of: fn(&FrameInfo) -> u32| self.frames.iter().map(|it| u64::from(of(it))).sum();
        if self.entries != sum(|it| it.entries)
            || self.raw_bytes != sum(|it| it.raw_len)
            || self.stored_bytes != sum(|it| it.stored_len)
        {
            return Err("its totals are not the sums of its frames");
        }
        if self.raw_bytes > MAX_SEGMENT_RAW_BYTES {
            return Err("the segment is longer than a segment may be");
        }
        if self.majority < self.last {
            return Err("its majority point lies before its last entry");
        }
        if self.oldest_unresolved.is_some_and(|it| it > self.last) {
            return Err("its oldest unresolved transaction begins after its last entry");
        }
        if self.oldest_prepared.is_some_and(|it| it > self.last.ts) {
            return Err("its oldest prepared transaction was prepared after its last entry");
        }
        if self.namespaces.windows(2).any(|pair| pair[0].namespace >= pair[1].namespace) {
            return Err("its namespaces are not in order");
        }
        if self.commands.windows(2).any(|pair| pair[0].optime > pair[1].optime)
            || self.commands.iter().any(|it| it.optime < self.first || it.optime > self.last)
        {
            return Err("its commands are not in order");
        }
        Ok(())
    }
}

fn comes_after(last: OpTime, next: OpTime) -> bool {
    next.ts > last.ts && next.term >= last.term
}

/// Returns a field whose presence is a flag. A field that is absent must be zero.
fn optional<T: Default + PartialEq>(
    fields: &FieldReader<'_>,
    present: u8,
    value: T,
) -> Result<Option<T>, Error> {
    match (present != 0, value == T::default()) {
        (true, _) => Ok(Some(value)),
        (false, true) => Ok(None),
        (false, false) => Err(fields.corrupt("an absent field is not zero")),
    }
}

fn read_table<T>(
    fields: &mut FieldReader<'_>,
    stored_count: u32,
    least: usize,
    read: fn(&mut FieldReader<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = fields.check_count(stored_count, least)?;
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(read(fields)?);
    }
    Ok(items)
}

fn put_namespace(out: &mut Vec<u8>, line: &NamespaceCounts) {
    let OpCounts { inserts, updates, deletes, commands, noops, others } = line.counts;
    put_text(out, &line.namespace);
    [inserts, updates, deletes, commands, noops, others].iter().for_each(|&it| put_u32(out, it));
}

fn read_namespace(fields: &mut FieldReader<'_>) -> Result<NamespaceCounts, Error> {
    let namespace = fields.sized_text()?.to_owned();
    let counts = OpCounts {
        inserts: fields.u32()?,
        updates: fields.u32()?,
        deletes: fields.u32()?,
        commands: fields.u32()?,
        noops: fields.u32()?,
        others: fields.u32()?,
    };
    Ok(NamespaceCounts { namespace, counts })
}

fn put_command(out: &mut Vec<u8>, line: &CommandNote) {
    put_optime(out, line.optime);
    out.push(u8::try_from(line.name.len()).expect("a noted name has at most 120 bytes"));
    out.extend_from_slice(line.name.as_bytes());
    put_text(out, &line.namespace);
    out.push(u8::from(line.renamed_to.is_some()));
    if let Some(name) = &line.renamed_to {
        put_text(out, name);
    }
}

fn read_command(fields: &mut FieldReader<'_>) -> Result<CommandNote, Error> {
    let optime = fields.optime()?;
    let name_length = fields.u8()? as usize;
    if name_length > MAX_COMMAND_NAME_BYTES {
        return Err(fields.corrupt("a command's name is too long"));
    }
    let name = fields.text(name_length)?.to_owned();
    let namespace = fields.sized_text()?.to_owned();
    let renamed_to = if fields.flag()? { Some(fields.sized_text()?.to_owned()) } else { None };
    Ok(CommandNote { optime, name, namespace, renamed_to })
}

fn put_frame(out: &mut Vec<u8>, line: &FrameInfo) {
    put_u32(out, line.stored_len);
    put_u32(out, line.raw_len);
    put_u32(out, line.entries);
    put_optime(out, line.first);
    put_optime(out, line.last);
    out.extend_from_slice(&line.digest);
    line.filter.put(out);
}

fn read_frame(fields: &mut FieldReader<'_>) -> Result<FrameInfo, Error> {
    let frame = FrameInfo {
        stored_len: fields.u32()?,
        raw_len: fields.u32()?,
        entries: fields.u32()?,
        first: fields.optime()?,
        last: fields.optime()?,
        digest: fields.array()?,
        filter: KeyFilter::read(fields)?,
    };
    if (frame.stored_len as usize) < FRAME_HEADER_BYTES
        || frame.raw_len as usize > MAX_FRAME_RAW_BYTES
        || frame.entries == 0
    {
        return Err(fields.corrupt("a line of its frame table is impossible"));
    }
    Ok(frame)
}

fn put_sightings(out: &mut Vec<u8>, sightings: &Sightings) {
    put_u32(out, sightings.raw_len);
    put_u32(out, length_u32(sightings.stored.len()));
    out.extend_from_slice(&sightings.stored);
}

/// Reads the sightings without expanding them. The caller that needs them expands them.
fn read_sightings(fields: &mut FieldReader<'_>) -> Result<Sightings, Error> {
    let raw_len = fields.u32()?;
    let length = fields.u32()? as usize;
    if raw_len as usize > MAX_SIGHTINGS_RAW_BYTES || length > MAX_SIGHTINGS_BYTES {
        return Err(fields.corrupt("its sightings of the catalog are too long"));
    }
    Ok(Sightings { raw_len, stored: fields.bytes(length)?.to_vec() })
}
