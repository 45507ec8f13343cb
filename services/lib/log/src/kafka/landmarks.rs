//! What was found in a topic, so that a next opening need not read it from its beginning.
//!
//! Derived, and may be deleted. It is believed only as far as the topic bears it out: the last segment it names must
//! lie where it says, with the digest it says; segments before it are verified when they are read, as always.
//!
//! ```text
//! hindsight-landmarks 1 TOPIC
//! claim OFFSET ~CRC                              a claim that held
//! base OFFSET ~CRC                               a base that was announced
//! segment FIRST SEAL LAST SEQUENCE DIGEST ~CRC   offsets of records
//! ```
//!
//! CRC is the CRC32C of the line before it. A line that was cut ends the file.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use hindsight_segment::{SegmentInfo, Sequence};

use super::gather::Place;

const MAGIC: &str = "hindsight-landmarks 1";

/// What the file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The newest claim before the last segment.
    pub(super) claim: i64,
    /// Base notices before the last segment.
    pub(super) bases: Vec<i64>,
    /// Without holes, from sequence 1.
    pub(super) places: Vec<Place>,
    /// Of the last segment, in hexadecimal.
    pub(super) digest: String,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Landmarks {
    file: File,
}

/// Reads the file of a topic; nothing when there is none, or it says nothing.
pub(super) fn read(path: &Path, topic: &str) -> Option<Found> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.split_inclusive('\n');
    if lines.next()?.strip_suffix('\n')? != header(topic) {
        return None;
    }
    // What comes after the last segment is read from the topic again.
    let (mut claim, mut bases) = (None, Vec::new());
    let mut found = None;
    let mut places: Vec<Place> = Vec::new();
    for line in lines {
        let Some(landmark) = parse(line) else { break };
        match landmark {
            Landmark::Claim(offset) => claim = Some(offset),
            Landmark::Base(offset) => bases.push(offset),
            Landmark::Segment(place, sequence, digest) => {
                if sequence != places.len() as u64 + 1 {
                    return None;
                }
                places.push(place);
                found = Some((claim?, bases.len(), digest));
            }
        }
    }
    let (claim, bases_before, digest) = found?;
    bases.truncate(bases_before);
    Some(Found { claim, bases, places, digest })
}

enum Landmark {
    Claim(i64),
    Base(i64),
    Segment(Place, u64, String),
}

fn parse(line: &str) -> Option<Landmark> {
    let (text, crc) = line.strip_suffix('\n')?.rsplit_once(" ~")?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(text.as_bytes()) {
        return None;
    }
    let mut words = text.split(' ');
    let kind = words.next()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    match kind {
        "claim" => Some(Landmark::Claim(number()?)),
        "base" => Some(Landmark::Base(number()?)),
        "segment" => {
            let place = Place { first: number()?, seal: number()?, last: number()? };
            let sequence = u64::try_from(number()?).ok()?;
            let is_in_order = place.first <= place.seal && place.seal <= place.last;
            let digest = words.next()?.to_owned();
            is_in_order.then_some(Landmark::Segment(place, sequence, digest))
        }
        _ => None,
    }
}

fn header(topic: &str) -> String {
    format!("{MAGIC} {topic}")
}

impl Landmarks {
    /// Goes on after what [`read`] found, or begins anew.
    pub(super) fn open(path: &Path, topic: &str, found: Option<&Found>) -> io::Result<Self> {
        match found {
            Some(_) => {
                // A line that was cut would spoil the next one.
                let bytes = std::fs::read(path)?;
                let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                let file = OpenOptions::new().append(true).open(path)?;
                file.set_len(whole as u64)?;
                Ok(Self { file })
            }
            None => {
                std::fs::write(path, header(topic) + "\n")?;
                Ok(Self { file: OpenOptions::new().append(true).open(path)? })
            }
        }
    }

    pub(super) fn claim(&mut self, offset: i64) -> io::Result<()> {
        self.append(format!("claim {offset}"))
    }

    pub(super) fn base(&mut self, offset: i64) -> io::Result<()> {
        self.append(format!("base {offset}"))
    }

    pub(super) fn segment(&mut self, info: &SegmentInfo, place: Place) -> io::Result<()> {
        let Place { first, seal, last } = place;
        let Sequence(sequence) = info.sequence();
        self.append(format!("segment {first} {seal} {last} {sequence} {}", info.digest))
    }

    fn append(&mut self, mut line: String) -> io::Result<()> {
        let crc = crc32c::crc32c(line.as_bytes());
        let _ = writeln!(line, " ~{crc:08x}");
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::conformance::SegmentMaker;

    fn place(first: i64) -> Place {
        Place { first, seal: first + 2, last: first + 2 }
    }

    #[test]
    fn what_was_noted_is_found_and_cut_lines_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("landmarks");
        assert_eq!(read(&path, "t"), None);
        let mut maker = SegmentMaker::default();
        let (one, two) = (maker.make(3), maker.make(3));
        let mut file = Landmarks::open(&path, "t", None).unwrap();
        file.claim(0).unwrap();
        file.segment(one.info(), place(1)).unwrap();
        file.base(4).unwrap();
        file.claim(5).unwrap();
        let first = read(&path, "t").unwrap();
        let digest = one.digest().to_string();
        assert_eq!(first, Found { claim: 0, bases: vec![], places: vec![place(1)], digest });
        file.segment(two.info(), place(6)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let places = vec![place(1), place(6)];
        let digest = two.digest().to_string();
        let both = Found { claim: 5, bases: vec![4], places, digest };
        assert_eq!(read(&path, "t"), Some(both.clone()));
        assert_eq!(read(&path, "other"), None);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let found = read(&path, "t");
            assert!(found.is_none() || found.as_ref() == Some(&first), "cut at {cut}: {found:?}");
            if let Some(found) = found {
                let mut file = Landmarks::open(&path, "t", Some(&found)).unwrap();
                file.base(9).unwrap();
                assert_eq!(read(&path, "t"), Some(found), "a base after the last segment");
            }
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            let found = read(&path, "t");
            assert!(
                found.is_none() || found.as_ref() == Some(&first),
                "flipped at {at}: {found:?}"
            );
        }
        std::fs::write(&path, &whole).unwrap();
        drop(Landmarks::open(&path, "t", None).unwrap());
        assert_eq!(read(&path, "t"), None, "begun anew");
    }
}
