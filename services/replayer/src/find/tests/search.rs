//! How much a search reads, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use bson::{doc, rawdoc};
use hindsight_log::ReadFault;
use hindsight_oplog::raw::Doc;
use hindsight_oplog::update::FieldPath;
use hindsight_runtime::Budget;
use tokio::sync::watch;

use super::super::{EntryFilter, NamespacePattern, Search, SearchOptions, Searched};
use super::story::{Story, entry, insert, of_session, plenty, ts, update};
use crate::error::QueryError;

const SEGMENTS: u32 = 300;
const PER_SEGMENT: u32 = 20;

/// Inserts of documents 1 to 6,000, in frames of two or three; a drop in segment 100, an update in
/// segment 200, and a transaction that deletes document 77,777 in segment 250.
async fn long_story() -> Story {
    let mut story = Story::new();
    for segment in 0..SEGMENTS {
        let numbers = segment * PER_SEGMENT + 1..=(segment + 1) * PER_SEGMENT;
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for number in numbers {
            let content = match (segment, number % PER_SEGMENT) {
                (100, 5) => doc! {"op": "c", "ns": "shop.$cmd", "o": {"drop": "carts"}},
                (200, 5) => update("shop.orders", number as i32, "status"),
                (250, 5) => of_session(
                    doc! {"op": "c", "ns": "admin.$cmd", "o": {"applyOps": [
                        {"op": "d", "ns": "shop.orders", "o": {"_id": 77_777}}
                    ]}},
                    1,
                ),
                _ => insert("shop.orders", number as i32, 1500),
            };
            entries.push(entry(number, content));
        }
        story.append(&entries, false).await;
    }
    story
}

fn of_id(id: i32) -> EntryFilter {
    let mut filter = EntryFilter::all();
    filter.set_id(Doc::new(rawdoc! {"_id": id}.as_bytes()).unwrap()).unwrap();
    filter
}

fn of_op(op: &str) -> EntryFilter {
    EntryFilter { ops: vec![op.into()], ..EntryFilter::all() }
}

#[tokio::test]
async fn a_search_reads_only_what_may_hold_a_match() {
    let story = long_story().await;
    let mut changed = EntryFilter::all();
    changed.changed_field = Some(FieldPath::parse("status").unwrap());
    let mut in_time = EntryFilter::all();
    (in_time.from, in_time.to) = (ts(41), ts(60));
    let mut dropped = of_op("DROP");
    dropped.namespace = Some(NamespacePattern::parse("shop.carts"));
    let mut elsewhere = EntryFilter::all();
    elsewhere.namespace = Some(NamespacePattern::parse("other.*"));
    // Filters, matches, and the segments that must be read. A key filter errs once in a hundred.
    let cases = [
        (of_id(77_777), 1, 1..=12),
        (of_id(3_000), 1, 1..=12),
        (of_id(99_999), 0, 0..=12),
        (of_op("drop"), 1, 1..=1),
        (dropped, 1, 1..=1),
        (of_op("create"), 0, 0..=0),
        (of_op("u"), 1, 1..=1),
        (of_op("d"), 1, 1..=1),
        (changed, 1, 1..=1),
        (in_time, 20, 1..=1),
        (elsewhere, 0, 0..=0),
    ];
    for (filter, matches, segments) in cases {
        for limit in [0, 100] {
            let options = SearchOptions { limit, before_context: 0 };
            let (found, searched) = story.found(&filter, options).await.unwrap();
            assert_eq!(found.len(), matches, "{filter:?}");
            assert!(segments.contains(&searched.segments), "{searched:?}: {filter:?}");
        }
    }
    let (_, searched) = story.found(&of_id(3_000), SearchOptions::default()).await.unwrap();
    assert!(searched.frames <= 3 && searched.entries <= 9, "{searched:?}");
}

#[tokio::test]
async fn a_limit_and_context_read_no_more_than_they_need() {
    let story = long_story().await;
    let options = SearchOptions { limit: 3, before_context: 0 };
    let (found, searched) = story.found(&EntryFilter::all(), options).await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(searched.segments <= 31 && searched.frames <= 16, "{searched:?}");
    let options = SearchOptions { limit: 0, before_context: 30 };
    let (found, searched) = story.found(&of_op("drop"), options).await.unwrap();
    assert_eq!(found.len(), 31);
    assert!(searched.segments <= 3 && searched.frames <= 35, "{searched:?}");
}

#[tokio::test]
async fn an_index_without_key_filters_is_searched_all_the_same() {
    let story = long_story().await;
    let directory = tempfile::tempdir().unwrap();
    let index = hindsight_index::Index::open(directory.path()).unwrap();
    for segment in story.index.view().segments_from(0) {
        index.absorb(&segment.unwrap()).unwrap();
    }
    let options = SearchOptions::default();
    let mut search =
        Search::new(story.log(), Arc::new(index), of_id(3_000), options, plenty()).unwrap();
    assert_eq!(search.next().await.unwrap().unwrap().len(), 1);
    assert!(search.next().await.unwrap().is_none());
    let Searched { segments, frames, .. } = search.searched();
    assert!(segments == u64::from(SEGMENTS) && frames < 100, "{:?}", search.searched());
}

#[tokio::test]
async fn what_is_damaged_ends_the_search() {
    let story = long_story().await;
    story.memory.script_read(ReadFault::Fail);
    let error = story.found(&of_op("drop"), SearchOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueryError::Unavailable(_)), "{error:?}");
    let middle = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    story.memory.alter(hindsight_segment::Sequence(101), middle);
    let error = story.found(&of_op("drop"), SearchOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueryError::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn a_search_that_nobody_awaits_reads_nothing_more() {
    let story = long_story().await;
    let mut search = story.search(&of_op("n"), SearchOptions::default());
    assert!(search.next().await.unwrap().is_none(), "no segment counts a no-op");
    let mut grep = EntryFilter::all();
    grep.grep = Some(super::super::Pattern::parse("nothing has this").unwrap());
    let options = SearchOptions { limit: 1, before_context: 0 };
    let mut search = story.search(&grep, options);
    for _ in 0..5 {
        story.memory.script_read(ReadFault::Slow(Duration::from_secs(60)));
    }
    let given_up = tokio::time::timeout(Duration::from_millis(200), search.next()).await;
    assert!(given_up.is_err());
    let frames = search.searched().frames;
    assert!(frames < 20, "{frames}");
    drop(search);
}

#[tokio::test]
async fn large_entries_are_no_trouble_one_after_the_other() {
    let mut story = Story::new();
    for number in 1..=9 {
        story.append(&[entry(number, insert("a.b", 1, 8 << 20))], false).await;
    }
    let all = EntryFilter::all();
    for limit in [0, 100] {
        let (found, _) =
            story.found(&all, SearchOptions { limit, before_context: 0 }).await.unwrap();
        assert_eq!(found.len(), 9);
    }
    let last = EntryFilter { from: ts(9), ..all.clone() };
    let options = SearchOptions { limit: 0, before_context: 9 };
    assert_eq!(story.found(&last, options).await.unwrap().0.len(), 1, "within the time");
    let drop = doc! {"op": "c", "ns": "a.$cmd", "o": {"drop": "b"}};
    story.append(&[entry(10, drop)], false).await;
    let error = story.found(&of_op("drop"), options).await.unwrap_err();
    assert!(matches!(&error, QueryError::TooLarge(_)), "{error:?}");
    let options = SearchOptions { limit: 0, before_context: 5 };
    assert_eq!(story.found(&of_op("drop"), options).await.unwrap().0.len(), 6);
}

#[tokio::test]
async fn without_memory_to_share_the_answer_is_the_same() {
    let story = long_story().await;
    let options = SearchOptions { limit: 500, before_context: 3 };
    for filter in [of_op("i"), of_id(3_000)] {
        let mut answers = Vec::new();
        for memory in [Budget::new(0), plenty()] {
            let (index, filter) = (Arc::clone(&story.index), filter.clone());
            let mut search = Search::new(story.log(), index, filter, options, memory).unwrap();
            let mut all = Vec::new();
            while let Some(found) = search.next().await.unwrap() {
                all.extend(found);
            }
            answers.push(all);
        }
        assert!(!answers[0].is_empty() && answers[0] == answers[1]);
    }
}

#[tokio::test]
async fn what_is_asked_for_is_bounded() {
    let story = Story::new();
    for (limit, before_context) in [(100_001, 0), (0, 1_001)] {
        let options = SearchOptions { limit, before_context };
        let search =
            Search::new(story.log(), Arc::clone(&story.index), of_op("i"), options, plenty());
        assert!(matches!(search.err(), Some(QueryError::Invalid(_))));
    }
}

#[tokio::test]
async fn following_ends_when_nobody_can_send_news() {
    let story = long_story().await;
    let mut search = story.search(&of_op("drop"), SearchOptions::default());
    let (sender, mut news) = watch::channel(());
    assert_eq!(search.follow(&mut news).await.unwrap().len(), 1);
    drop(sender);
    let error = search.follow(&mut news).await.unwrap_err();
    assert!(matches!(error, QueryError::Unavailable(_)), "{error:?}");
}
