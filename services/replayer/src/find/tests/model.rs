//! Random logs and filters: a search finds what reading every entry finds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc, rawdoc};
use hindsight_oplog::Entry;
use hindsight_oplog::raw::Doc;
use hindsight_oplog::update::FieldPath;
use hindsight_query::{Filter, Series};
use proptest::prelude::*;
use tokio::sync::watch;

use super::super::{EntryFilter, NamespacePattern, Pattern, SearchOptions};
use super::story::{SESSION, Story, entry, insert, of_session, pair, ts, update};

const V6: Series = Series::new(6, 0);

const NAMESPACES: [&str; 5] =
    ["shop.a", "shop.b", "other.a", "other.b.c", "other.system.buckets.a"];

/// One operation on a document.
fn any_write() -> impl Strategy<Value = Document> {
    let ns = prop::sample::select(NAMESPACES.to_vec());
    let field = prop::sample::select(vec!["x", "y"]);
    (0..3, ns, 0..8_i32, 0..2500_usize, field).prop_map(|(kind, ns, id, padding, field)| match kind
    {
        0 => insert(ns, id, padding),
        1 => update(ns, id, field),
        _ => doc! {"op": "d", "ns": ns, "o": {"_id": id}},
    })
}

fn any_command() -> impl Strategy<Value = Document> {
    let command = |ns: &str, o: Document| doc! {"op": "c", "ns": ns, "o": o};
    let commands = vec![
        command("shop.$cmd", doc! {"drop": "a"}),
        command("other.$cmd", doc! {"drop": ""}),
        command("shop.$cmd", doc! {"dropDatabase": 1}),
        command("shop.$cmd", doc! {"create": "b"}),
        command("admin.$cmd", doc! {"renameCollection": "shop.a", "to": "other.a"}),
        command("shop.$cmd", doc! {"renameCollection": "other.b.c"}),
        command(
            "shop.$cmd",
            doc! {"renameCollection": "shop.t", "to": "shop.b", "dropTarget": bson::Uuid::new()},
        ),
        command("shop.$cmd", doc! {"renameCollection": "other.b.c", "dropTarget": true}),
        doc! {"op": "i", "ns": "shop.system.views", "o": {"_id": "shop.v", "viewOn": "a"}},
        doc! {"op": "d", "ns": "shop.system.views", "o": {"_id": "shop.b"}},
        command("admin.$cmd", doc! {"commitTransaction": 1}),
        command("admin.$cmd", doc! {"abortTransaction": 1}),
        command("other.$cmd", doc! {"commandOfTomorrow": "a"}),
        command("shop.$cmd", doc! {"importCollection": "shop.b"}),
        command("shop.$cmd", doc! {"u": "a"}),
        command("shop.$cmd", doc! {"n".repeat(130): "a"}),
        command("other.$cmd", doc! {}),
        doc! {"op": "n", "ns": "", "o": {"msg": "periodic noop"}},
        doc! {"op": "n", "ns": "shop.$cmd", "o": {"msg": "note"}},
        doc! {"op": "xi", "ns": "shop.$cmd", "o": {"_id": 1}},
        doc! {"op": "km", "ns": "other.a", "o": {"_id": 1}},
    ];
    prop::sample::select(commands)
}

fn any_content() -> impl Strategy<Value = Document> {
    let held = prop_oneof![4 => any_write().boxed(), 1 => any_command().boxed()];
    let apply_ops = (prop::collection::vec(held, 0..4), prop::bool::weighted(0.2)).prop_map(
        |(held, is_broken)| {
            let mut held: Vec<bson::Bson> = held.into_iter().map(bson::Bson::from).collect();
            if is_broken {
                held.insert(held.len() / 2, bson::Bson::Int32(1));
            }
            doc! {"op": "c", "ns": "admin.$cmd", "o": {"applyOps": held}}
        },
    );
    let content =
        prop_oneof![8 => any_write().boxed(), 1 => any_command().boxed(), 2 => apply_ops.boxed()];
    (content, prop::option::weighted(0.2, 0..3_i64)).prop_map(|(content, transaction)| {
        match transaction {
            Some(number) => of_session(content, number),
            None => content,
        }
    })
}

/// The next entry: its content, whether a segment begins with it, and whether entries are missing
/// before it.
type Step = (Document, bool, bool);

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    (prop::sample::select(vec![0.02, 0.2, 0.7]), 1..60_usize).prop_flat_map(|(cut, count)| {
        let step = (any_content(), prop::bool::weighted(cut), prop::bool::weighted(0.1));
        prop::collection::vec(step, count)
    })
}

async fn story_of(steps: &[Step]) -> Story {
    let mut story = Story::new();
    for segment in segments_of(steps) {
        story.append(&segment.0, segment.1).await;
    }
    story
}

fn segments_of(steps: &[Step]) -> Vec<(Vec<Vec<u8>>, bool)> {
    let mut segments: Vec<(Vec<Vec<u8>>, bool)> = Vec::new();
    for (number, (content, cut, gap)) in (1..).zip(steps) {
        if *cut || segments.is_empty() {
            segments.push((Vec::new(), *gap));
        }
        segments.last_mut().unwrap().0.push(entry(2 * number, content.clone()));
    }
    segments
}

fn any_filter() -> impl Strategy<Value = EntryFilter> {
    let namespaces = vec![
        "shop.a",
        "shop.b",
        "shop.*",
        "other.a",
        "other",
        "other.b.c",
        "no.a",
        "shop.v",
        "shop.t",
    ];
    let ops = vec![
        "i",
        "u",
        "d",
        "n",
        "c",
        "?",
        "drop",
        "DROP",
        "dropDatabase",
        "renameCollection",
        "applyOps",
        "commitTransaction",
        "abortTransaction",
        "commandOfTomorrow",
        "create",
        "",
    ];
    let long = "n".repeat(130);
    let ops = ops.into_iter().map(str::to_owned).chain([long]).collect::<Vec<_>>();
    let common = (
        prop::option::weighted(0.4, prop::sample::select(namespaces)),
        prop_oneof![2 => Just(Vec::new()).boxed(), 2 => prop::sample::subsequence(ops, 1..3).boxed()],
        prop::option::weighted(0.4, 0..9_i32),
        prop::option::weighted(0.3, 0..130_u32),
        prop::option::weighted(0.3, 0..130_u32),
    );
    let rare = (
        prop::option::weighted(0.1, 0..4_i64),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.15, prop::sample::select(vec!["x", "y", "z"])),
        prop::option::weighted(
            0.1,
            prop::sample::select(vec!["\"_id\":[1-3]", "drop", "periodic"]),
        ),
        prop::option::weighted(0.1, 0..8_i32),
    );
    (common, rare).prop_map(|((ns, ops, id, from, to), (number, session, field, grep, query))| {
        let mut filter = EntryFilter::all();
        filter.namespace = ns.map(NamespacePattern::parse);
        filter.ops = ops;
        if let Some(id) = id {
            filter.set_id(Doc::new(rawdoc! {"_id": id}.as_bytes()).unwrap()).unwrap();
        }
        filter.from = from.map_or(filter.from, ts);
        filter.to = to.map_or(filter.to, ts);
        filter.transaction = number.map(|number| format!("{SESSION}:{number}").parse().unwrap());
        filter.session = session.then(|| SESSION.parse().unwrap());
        filter.changed_field = field.map(|field| FieldPath::parse(field).unwrap());
        filter.grep = grep.map(|text| Pattern::parse(text).unwrap());
        let query = query.map(|id| Filter::parse(&rawdoc! {"o._id": id}, V6).unwrap());
        filter.query = query.map(Arc::new);
        filter
    })
}

fn any_options() -> impl Strategy<Value = SearchOptions> {
    let limit = prop_oneof![Just(0), 1..4_usize, 1..40_usize];
    let context = prop_oneof![Just(0), 1..4_usize, 1..40_usize];
    (limit, context).prop_map(|(limit, before_context)| SearchOptions { limit, before_context })
}

/// Returns what a search must find, by looking at every entry.
fn expected(story: &Story, filter: &EntryFilter, options: SearchOptions) -> Vec<(Vec<u8>, bool)> {
    let mut hits = hits(story, filter, 0);
    if options.limit > 0 {
        hits.drain(..hits.len().saturating_sub(options.limit));
    }
    with_context(story, filter, &hits, options.before_context, 0)
}

/// Returns the positions of entries that match, beginning with the given position.
fn hits(story: &Story, filter: &EntryFilter, from: usize) -> Vec<usize> {
    let matches = |at: &usize| filter.matches(&Entry::parse(&story.entries[*at]).unwrap());
    (from..story.entries.len()).filter(matches).collect()
}

/// Returns the matches with what comes before them. Entries before position `next` were returned
/// already.
fn with_context(
    story: &Story,
    filter: &EntryFilter,
    hits: &[usize],
    wanted: usize,
    mut next: usize,
) -> Vec<(Vec<u8>, bool)> {
    let mut found = Vec::new();
    for &hit in hits {
        let mut first = hit;
        while first > next
            && hit - first < wanted
            && !story.gaps.contains(&first)
            && Entry::parse(&story.entries[first - 1]).unwrap().ts() >= filter.from
        {
            first -= 1;
        }
        found.extend((first..hit).map(|at| (story.entries[at].clone(), true)));
        found.push((story.entries[hit].clone(), false));
        next = hit + 1;
    }
    found
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn shown(found: &[(Vec<u8>, bool)]) -> Vec<String> {
    let line = |(entry, is_context): &(Vec<u8>, bool)| {
        let ts = Entry::parse(entry).unwrap().ts();
        format!("{}{ts}", if *is_context { "-" } else { "" })
    };
    found.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_reading_everything_finds(
        steps in any_steps(),
        questions in prop::collection::vec((any_filter(), any_options()), 12),
    ) {
        runtime().block_on(async {
            let story = story_of(&steps).await;
            for (filter, options) in &questions {
                let (found, _) = story.found(filter, *options).await.unwrap();
                let expected = expected(&story, filter, *options);
                prop_assert_eq!(shown(&found), shown(&expected), "{:?} {:?}", filter, options);
                prop_assert!(found == expected);
            }
            Ok(())
        })?;
    }

    /// The call is given up and repeated at any moment, while the log grows: nothing is lost, and
    /// nothing comes twice.
    #[test]
    fn a_search_that_follows_finds_each_entry_once(
        steps in any_steps(), filter in any_filter(), options in any_options(),
        at_first in any::<prop::sample::Index>(), patience in 0..300_u64,
    ) {
        runtime().block_on(async {
            let mut story = Story::new();
            let segments = segments_of(&steps);
            let at_first = at_first.index(segments.len() + 1);
            for (entries, gap) in &segments[..at_first] {
                story.append(entries, *gap).await;
            }
            let filter = EntryFilter { to: hindsight_oplog::Timestamp::MAX, ..filter };
            let mut expected = expected(&story, &filter, options);
            let mut search = story.search(&filter, options);
            let (sender, mut news) = watch::channel(());
            let (mut found, mut rest) = (Vec::new(), segments[at_first..].iter());
            let (mut idle, begun) = (0, Instant::now());
            while idle < 3 {
                let patience = Duration::from_micros(patience);
                match tokio::time::timeout(patience, search.follow(&mut news)).await {
                    Ok(more) => found.extend(more.unwrap().into_iter().map(pair)),
                    Err(_) if found.len() < expected.len() => tokio::task::yield_now().await,
                    Err(_) => match rest.next() {
                        Some((entries, gap)) => {
                            let before = story.entries.len();
                            story.append(entries, *gap).await;
                            let given = expected.last().map(|(entry, _)| {
                                story.entries.iter().position(|it| it == entry).unwrap() + 1
                            });
                            let hits = hits(&story, &filter, before);
                            let (wanted, next) = (options.before_context, given.unwrap_or(0));
                            expected.extend(with_context(&story, &filter, &hits, wanted, next));
                            sender.send(()).unwrap();
                        }
                        None => {
                            idle += 1;
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    },
                }
                prop_assert!(found.len() <= expected.len());
                let waited = begun.elapsed();
                prop_assert!(waited < Duration::from_secs(30), "{} of {}", found.len(), expected.len());
            }
            prop_assert_eq!(shown(&found), shown(&expected), "{:?} {:?}", filter, options);
            Ok(())
        })?;
    }
}
