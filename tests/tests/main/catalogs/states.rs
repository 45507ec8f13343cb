//! The states of the catalog test, by name.

use bson::{Bson, Document, doc};

/// A collection as a user may have left it.
pub(super) struct State {
    pub name: &'static str,
    pub options: Document,
    pub indexes: Vec<Document>,
    /// `collMod` commands.
    pub changes: Vec<Document>,
    /// True if documents are inserted before indexes and changes are made.
    pub filled: bool,
    /// The first and the last version (major, minor) whose servers take the state.
    versions: ((i32, i32), (i32, i32)),
}

impl State {
    fn new(name: &'static str, options: Document) -> Self {
        State {
            name,
            options,
            indexes: Vec::new(),
            changes: Vec::new(),
            filled: false,
            versions: ((0, 0), (99, 0)),
        }
    }

    /// A collection with one index.
    fn index(name: &'static str, spec: Document) -> Self {
        Self::new(name, doc! {}).and(spec)
    }

    fn and(mut self, mut spec: Document) -> Self {
        spec.insert("name", format!("i{}", self.indexes.len()));
        self.indexes.push(spec);
        self
    }

    fn then(mut self, change: Document) -> Self {
        self.changes.push(change);
        self
    }

    fn filled(mut self) -> Self {
        self.filled = true;
        self
    }

    fn since(mut self, first: (i32, i32)) -> Self {
        self.versions.0 = first;
        self
    }

    fn until(mut self, last: (i32, i32)) -> Self {
        self.versions.1 = last;
        self
    }

    pub(super) fn fits(&self, version: (i32, i32)) -> bool {
        (self.versions.0..=self.versions.1).contains(&version)
    }
}

fn k(rest: Document) -> Document {
    let mut spec = doc! {"key": {"a": 1}};
    spec.extend(rest);
    spec
}

fn english() -> Document {
    doc! {"collation": {"locale": "en", "strength": 2}}
}

fn simple(key: Document) -> Document {
    doc! {"key": key, "collation": {"locale": "simple"}}
}

pub(super) fn states() -> Vec<State> {
    let mut all = flags();
    all.extend(foreign_options());
    all.extend(simple_collations());
    all.extend(text_and_geo());
    all.extend(capped());
    all.extend(other_options());
    all.extend(pre_images());
    all
}

fn flags() -> Vec<State> {
    vec![
        State::index("sparse_1", k(doc! {"sparse": 1})),
        State::index("sparse_1_filled", k(doc! {"sparse": 1})).filled(),
        State::index("sparse_0", k(doc! {"sparse": 0})),
        State::index("sparse_false", k(doc! {"sparse": false})),
        State::index("sparse_nan", k(doc! {"sparse": f64::NAN})),
        State::index("background_1", k(doc! {"background": 1})),
        State::index("background_true", k(doc! {"background": true})).filled(),
        State::index("background_2", k(doc! {"background": 2.0, "sparse": 2.5})),
        State::index("unique_1", k(doc! {"unique": 1})),
        State::index("unique_0", k(doc! {"unique": 0})),
        State::index("drop_dups", k(doc! {"unique": true, "dropDups": true})),
        State::index("hidden", k(doc! {"hidden": true})),
        State::index("hidden_false", k(doc! {"hidden": false})),
        State::index("odd_key", doc! {"key": {"a": 1.5, "b": -1_i64}}),
        State::index("ttl_fraction", k(doc! {"expireAfterSeconds": 10.7})),
        State::index("ttl_fraction_filled", k(doc! {"expireAfterSeconds": 10.7})).filled(),
        State::index("ttl_int64", k(doc! {"expireAfterSeconds": 10_i64})),
        State::index("ttl_negative_zero", k(doc! {"expireAfterSeconds": -0.5})),
        State::index("ttl_changed", k(doc! {"expireAfterSeconds": 10}))
            .then(doc! {"index": {"name": "i0", "expireAfterSeconds": 20}}),
        // 7.0 refuses this state.
        State::index("ttl_nan", k(doc! {"expireAfterSeconds": f64::NAN})).until((6, 3)),
        State::index("version_1", k(doc! {"v": 1})),
        State::index("prepare_unique", k(doc! {"prepareUnique": 1})).since((6, 0)),
        State::index(
            "storage_engine",
            k(doc! {"storageEngine": {"wiredTiger": {"configString": ""}}}),
        ),
        State::index("partial", k(doc! {"partialFilterExpression": {"a": {"$gt": 1.0}}})),
    ]
}

fn foreign_options() -> Vec<State> {
    vec![
        State::index("bits", k(doc! {"bits": 20, "min": -5, "max": 5})),
        State::index("text_version", k(doc! {"textIndexVersion": 3})),
        State::index("sphere_version", k(doc! {"2dsphereIndexVersion": 3})).filled(),
        State::index("levels", k(doc! {"coarsestIndexedLevel": 5, "finestIndexedLevel": 6})),
        State::index("languages", k(doc! {"default_language": "french", "language_override": "l"})),
        State::index("hashed_bits", doc! {"key": {"a": "hashed"}, "bits": 20}),
        State::index("weights", k(doc! {"weights": {"a": 1}})).until((4, 4)),
        State::index("bucket_size", k(doc! {"bucketSize": 2})).until((4, 4)),
        State::index("sparse_text", k(doc! {"sparse": "x", "background": Bson::Null}))
            .until((4, 4)),
    ]
}

fn simple_collations() -> Vec<State> {
    vec![
        State::new("english", english())
            .and(k(doc! {}))
            .and(simple(doc! {"b": 1}))
            .and(doc! {"key": {"c": 1}, "collation": {"locale": "fr"}})
            .and(doc! {"key": {"d": 1}, "v": 1}),
        // The same key twice: the indexes collide when both take the collation of the collection.
        State::new("english_twice", english()).and(k(doc! {})).and(simple(doc! {"a": 1})),
        State::new("english_kinds", english())
            .and(simple(doc! {"t": "text"}))
            .and(simple(doc! {"p": "2d"}))
            .and(simple(doc! {"s": "2dsphere"}))
            .and(simple(doc! {"h": "hashed"}))
            .and(simple(doc! {"w.$**": 1})),
        State::new("english_filled", english()).and(simple(doc! {"b": 1})).filled(),
        State::new("english_haystack", english())
            .and(doc! {
                "key": {"p": "geoHaystack", "q": 1}, "bucketSize": 2,
                "collation": {"locale": "simple"},
            })
            .until((4, 4)),
        State::new("plain", doc! {}).and(simple(doc! {"a": 1})),
    ]
}

fn text_and_geo() -> Vec<State> {
    vec![
        State::index("text_ttl", doc! {"key": {"a": "text"}, "expireAfterSeconds": 10}),
        State::index("text_ttl_filled", doc! {"key": {"a": "text"}, "expireAfterSeconds": 10.5})
            .filled(),
        State::index(
            "text_ttl_weights",
            doc! {
                "key": {"a": "text"}, "weights": {"b": 5}, "expireAfterSeconds": 10,
                "textIndexVersion": 2,
            },
        ),
        State::index("text_ttl_all", doc! {"key": {"$**": "text"}, "expireAfterSeconds": 10}),
        State::new("text_ttl_english", english()).and(doc! {
            "key": {"a": "text"}, "expireAfterSeconds": 10, "collation": {"locale": "simple"},
        }),
        State::index("text", doc! {"key": {"p": 1, "a": "text", "s": -1}, "weights": {"b": 3}}),
        State::index("plane", doc! {"key": {"p": "2d"}, "bits": 20.0, "min": -5, "max": 5_i64}),
        State::index("sphere", doc! {"key": {"g": "2dsphere"}, "2dsphereIndexVersion": 2.0}),
        State::index(
            "wildcard",
            doc! {"key": {"$**": 1}, "wildcardProjection": {"a": 1, "n": {"x": 1.0}}},
        ),
    ]
}

fn capped() -> Vec<State> {
    let capped = |rest: Document| {
        let mut options = doc! {"capped": true, "size": 4096};
        options.extend(rest);
        options
    };
    vec![
        State::new("capped", capped(doc! {"max": 7})),
        State::new("capped_odd", capped(doc! {"size": 5000.5})),
        State::new("capped_tiny", capped(doc! {"size": 1})),
        State::new("capped_max_0", capped(doc! {"max": 0})),
        State::new("capped_max_none", capped(doc! {"max": -1})),
        State::new("capped_huge", capped(doc! {"size": 1_i64 << 50})),
        State::new("capped_nearly_huge", capped(doc! {"size": (1_i64 << 50) - 5000})),
        State::new("capped_ttl", capped(doc! {}))
            .and(k(doc! {"expireAfterSeconds": 10}))
            .until((5, 0)),
        State::new("capped_0", capped(doc! {"size": 0})).until((4, 4)),
        State::new("capped_max_lifted", capped(doc! {"max": 7}))
            .then(doc! {"cappedMax": 0})
            .since((6, 0)),
        State::new("capped_max_lifted_again", capped(doc! {}))
            .then(doc! {"cappedMax": -1})
            .since((6, 0)),
        State::new("capped_resized", capped(doc! {})).then(doc! {"cappedSize": 5000}).since((6, 0)),
        State::new("capped_max_set", capped(doc! {})).then(doc! {"cappedMax": 2.5}).since((6, 0)),
    ]
}

fn other_options() -> Vec<State> {
    let clustered = doc! {"clusteredIndex": {"key": {"_id": 1}, "unique": true}};
    let mut expiring = clustered.clone();
    expiring.insert("expireAfterSeconds", 100.7);
    vec![
        State::new("auto_index", doc! {"autoIndexId": true}),
        State::new("auto_index_english", {
            let mut options = english();
            options.insert("autoIndexId", 1);
            options
        }),
        State::new("id_index_1", doc! {"idIndex": {"v": 1, "key": {"_id": 1}, "name": "_id_"}}),
        State::new("flags", doc! {"flags": 1}),
        State::new(
            "engine",
            doc! {
                "storageEngine": {"wiredTiger": {"configString": "block_compressor=zlib"}},
            },
        ),
        State::new("index_defaults", doc! {"indexOptionDefaults": {"storageEngine": {}}}),
        State::new("validator", doc! {"validationLevel": "moderate"}),
        State::new("validator_emptied", doc! {"validator": {"b": 1}, "validationAction": "warn"})
            .then(doc! {"validator": {}}),
        State::new("simple", doc! {"collation": {"locale": "simple"}}),
        State::new("clustered", clustered).since((5, 3)),
        State::new("clustered_ttl", expiring).since((5, 3)),
    ]
}

fn pre_images() -> Vec<State> {
    let recorded = || doc! {"recordPreImages": true};
    let images = |on: bool| doc! {"changeStreamPreAndPostImages": {"enabled": on}};
    let old = |state: State| state.until((6, 1));
    let both = |state: State| state.since((6, 0)).until((6, 1));
    vec![
        old(State::new("recorded", recorded())),
        old(State::new("recorded_later", doc! {}).then(doc! {"recordPreImages": 1})),
        old(State::new("recorded_off", recorded()).then(doc! {"recordPreImages": false})),
        // Some servers forget the option here, and none of them says so.
        old(State::new("recorded_validated", recorded()).then(doc! {"validator": {"a": "x"}})),
        old(State::new("recorded_twice", recorded())
            .then(doc! {"validator": {"a": "x"}})
            .then(doc! {"validator": {}})),
        old(State::new("recorded_ttl", recorded())
            .and(k(doc! {"expireAfterSeconds": 10}))
            .then(doc! {"index": {"name": "i0", "expireAfterSeconds": 20}})),
        old(State::new(
            "recorded_capped",
            doc! {"capped": true, "size": 4096, "recordPreImages": true},
        )),
        both(State::new("recorded_images", recorded()).then(images(true))),
        both(State::new("images_recorded", images(true)).then(recorded())),
        both(State::new("recorded_images_off", recorded()).then(images(false))),
        both(State::new("images_recorded_off", images(true)).then(doc! {"recordPreImages": false})),
        State::new("images", images(true)).then(doc! {"validator": {"a": "x"}}).since((6, 0)),
        State::new("images_off", images(true)).then(images(false)).since((6, 0)),
    ]
}
