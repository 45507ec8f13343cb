//! Notes what was found in a topic, so that the next opening need not read it from its beginning.
//!
//! The file is derived, and may be deleted. It is believed only as far as the topic confirms it:
//! the last segment that the file names must lie where the file says, with the digest that the file
//! says. The segments before it are verified when they are read, as always.
//!
//! ```text
//! hindsight-landmarks 1 TOPIC
//! claim OFFSET ~CRC                              a claim that held
//! base OFFSET ~CRC                               a base that was announced
//! segment FIRST SEAL LAST SEQUENCE DIGEST ~CRC   offsets of records
//! ```
//!
//! CRC is the CRC32C of the text before it in the line. A line that was cut off ends the file.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use hindsight_segment::{SegmentInfo, Sequence};

use super::gather::Place;
use super::places::Places;

const MAGIC: &str = "hindsight-landmarks 1";
/// Longer than any line that this program writes, in bytes.
const MAX_LINE: u64 = 1024;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The offset of the newest claim before the last segment.
    pub(super) claim: i64,
    /// The offsets of the base notices before the last segment.
    pub(super) bases: Vec<i64>,
    /// The places of the segments.
    pub(super) places: Places,
    /// The digest of the last segment, in hexadecimal.
    pub(super) digest: String,
    /// Where the line of the last segment ends in the file, in bytes.
    pub(super) end: u64,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Landmarks {
    file: File,
}

/// The lines of the file, read one at a time, because a long log has many.
struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where the last line that was read ends, in bytes.
    end: u64,
}

impl Lines {
    fn open(path: &Path) -> Option<Self> {
        let reader = BufReader::new(File::open(path).ok()?);
        Some(Self { reader, line: Vec::new(), end: 0 })
    }

    /// Returns the next line without its line break. None after the last complete line.
    fn next_line(&mut self) -> Option<&str> {
        self.line.clear();
        let length = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.line).ok()?;
        self.end += length as u64;
        std::str::from_utf8(&self.line).ok()?.strip_suffix('\n')
    }
}

/// Reads the file of a topic. None when there is no file, or when it says nothing about this topic.
pub(super) fn read(path: &Path, topic: &str) -> Option<Found> {
    let mut lines = Lines::open(path)?;
    if lines.next_line()? != header(topic) {
        return None;
    }
    // What comes after the last segment is read from the topic again.
    let (mut claim, mut bases) = (None, Vec::new());
    let mut found = None;
    let mut places = Places::default();
    while let Some(landmark) = lines.next_line().and_then(parse) {
        match landmark {
            Landmark::Claim(offset) => claim = Some(offset),
            // An older program noted some bases twice.
            Landmark::Base(offset) if bases.last().is_some_and(|&last| offset <= last) => {}
            Landmark::Base(offset) => bases.push(offset),
            Landmark::Segment(place, sequence, digest) => {
                match places.is_empty() {
                    true => places.begin(Sequence(sequence), place),
                    false if Sequence(sequence) == places.next() => places.push(place),
                    false => return None,
                }
                found = Some((claim?, bases.len(), digest, lines.end));
            }
        }
    }
    let (claim, bases_before, digest, end) = found?;
    bases.truncate(bases_before);
    Some(Found { claim, bases, places, digest, end })
}

enum Landmark {
    Claim(i64),
    Base(i64),
    Segment(Place, u64, String),
}

fn parse(line: &str) -> Option<Landmark> {
    let (text, crc) = line.rsplit_once(" ~")?;
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
            (is_in_order && sequence > 0).then_some(Landmark::Segment(place, sequence, digest))
        }
        _ => None,
    }
}

fn header(topic: &str) -> String {
    format!("{MAGIC} {topic}")
}

impl Landmarks {
    /// Continues the file at `end`, which is where the line of the last segment that [`read`] found
    /// ends, or begins a new file. Later lines are cut off: what they say is found in the topic
    /// again, and would be noted twice.
    pub(super) fn open(path: &Path, topic: &str, end: Option<u64>) -> io::Result<Self> {
        if end.is_none() {
            std::fs::write(path, header(topic) + "\n")?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        if let Some(end) = end {
            file.set_len(end)?;
        }
        Ok(Self { file })
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

    /// Removes everything, so that nothing is believed.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }

    fn append(&mut self, mut line: String) -> io::Result<()> {
        let crc = crc32c::crc32c(line.as_bytes());
        let _ = writeln!(line, " ~{crc:08x}");
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SegmentMaker;

    fn place(first: i64) -> Place {
        Place { first, seal: first + 2, last: first + 2 }
    }

    fn places(all: &[Place]) -> Places {
        let mut places = Places::default();
        all.iter().for_each(|&place| places.push(place));
        places
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
        let (digest, end) = (one.digest().to_string(), first.end);
        assert_eq!(
            first,
            Found { claim: 0, bases: vec![], places: places(&[place(1)]), digest, end }
        );
        file.segment(two.info(), place(6)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let places = places(&[place(1), place(6)]);
        let (digest, end) = (two.digest().to_string(), whole.len() as u64);
        let both = Found { claim: 5, bases: vec![4], places, digest, end };
        assert_eq!(read(&path, "t"), Some(both.clone()));
        assert_eq!(read(&path, "other"), None);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let found = read(&path, "t");
            assert!(found.is_none() || found.as_ref() == Some(&first), "cut at {cut}: {found:?}");
            if let Some(found) = found {
                let mut file = Landmarks::open(&path, "t", Some(found.end)).unwrap();
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

    #[test]
    fn segments_are_noted_from_wherever_the_log_begins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("landmarks");
        let mut maker = SegmentMaker { sequence: Sequence(5), ..SegmentMaker::default() };
        let mut file = Landmarks::open(&path, "t", None).unwrap();
        file.claim(40).unwrap();
        file.segment(maker.make(3).info(), place(41)).unwrap();
        file.segment(maker.make(3).info(), place(44)).unwrap();
        let found = read(&path, "t").unwrap().places;
        assert_eq!((found.first(), found.next()), (Sequence(5), Sequence(7)));
        assert_eq!(found.get(Sequence(6)), Some(place(44)));
        let mut skipping = SegmentMaker { sequence: Sequence(8), ..maker.clone() };
        file.segment(skipping.make(3).info(), place(47)).unwrap();
        assert_eq!(read(&path, "t"), None, "7 is not there");
        file.clear().unwrap();
        file.claim(50).unwrap();
        assert_eq!(read(&path, "t"), None, "cleared");
    }

    /// What follows the last segment is read from the topic at the next opening, and is noted
    /// again.
    #[test]
    fn what_is_noted_again_after_a_restart_is_there_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("landmarks");
        let mut maker = SegmentMaker::default();
        let mut file = Landmarks::open(&path, "t", None).unwrap();
        file.claim(0).unwrap();
        file.segment(maker.make(3).info(), place(1)).unwrap();
        file.base(4).unwrap();
        for _ in 0..3 {
            let found = read(&path, "t").unwrap();
            file = Landmarks::open(&path, "t", Some(found.end)).unwrap();
            file.base(4).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().matches("base 4").count(), 1);
        // This is how an older program left the file.
        file.base(4).unwrap();
        file.segment(maker.make(3).info(), place(5)).unwrap();
        assert_eq!(read(&path, "t").unwrap().bases, [4]);
    }

    #[test]
    fn a_file_without_lines_is_not_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("landmarks");
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(lines.next_line(), None);
        assert!(lines.line.len() as u64 <= MAX_LINE);
    }
}
