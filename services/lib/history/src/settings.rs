//! Settings of the store, and what they mean for RocksDB.

use std::collections::BTreeSet;
use std::time::Duration;

use hindsight_oplog::NamespacePattern;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, LruCacheOptions, Options,
    SliceTransform, WriteOptions,
};

use crate::horizon::{ForgetSuperseded, Horizon};
use crate::key;

/// 16 shards: with RocksDB's own choice a shard is hardly larger than the top of a file's index.
const CACHE_SHARD_BITS: i32 = 4;
/// RocksDB's own number of levels.
const LEVELS: usize = 7;

/// Settings of the store. Sizes are in bytes. The process holds up to about `cache_bytes + 4 *
/// write_buffer_bytes + 2 * latest_bytes`, plus what is applied and not yet committed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cache for blocks, filters and indexes of the files, shared by readers and writer.
    pub cache_bytes: usize,
    /// Size of one memtable. Up to three of them are written out at the same time.
    pub write_buffer_bytes: usize,
    /// Memory for the newest versions, which the writer remembers so that it need not read them
    /// back. This is the size of one half; there are two halves.
    pub latest_bytes: usize,
    /// Number of threads for flushes and compactions.
    pub background_jobs: i32,
    /// Number of files that are kept open. Other files are opened when they are read.
    pub open_files: i32,
    /// A file of which everything was written this long ago or earlier is compacted again, so that
    /// what lies before the horizon goes. `None` leaves it to the compactions that writes cause.
    pub compact_after: Option<Duration>,
    /// Collections whose documents the history leaves out ([`crate::History::open`]); `None` for
    /// those that it left out before.
    pub excluded: Option<Vec<NamespacePattern>>,
    /// Names of unknown operations and commands that the writer skips.
    pub skipped: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            cache_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            latest_bytes: 40 << 20,
            background_jobs: 2,
            open_files: 512,
            compact_after: None,
            excluded: None,
            skipped: BTreeSet::new(),
        }
    }
}

impl Settings {
    pub(crate) fn options(&self, horizon: &Horizon) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_max_background_jobs(self.background_jobs.max(2));
        options.set_max_open_files(self.open_files);
        options.set_bytes_per_sync(1 << 20);
        options.set_keep_log_file_num(2);

        options.set_write_buffer_size(self.write_buffer_bytes);
        options.set_max_write_buffer_number(3);
        // A lookup of an id that does not exist must not walk every memtable, so there are filters
        // for (collection, id).
        options.set_prefix_extractor(SliceTransform::create(
            key::PREFIX_NAME,
            key::prefix_of_version,
            Some(key::is_version),
        ));
        options.set_memtable_prefix_bloom_ratio(0.05);
        // There is one writer only, so support for several would be wasted.
        options.set_allow_concurrent_memtable_write(false);
        options.set_block_based_table_factory(&self.table_options());

        options.set_compaction_filter_factory(ForgetSuperseded(horizon.clone()));
        // RocksDB's own default with a filter is 30 days; zero is never.
        options.set_periodic_compaction_seconds(self.compact_after.map_or(0, |it| it.as_secs()));
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_level_zero_file_num_compaction_trigger(8);
        options.set_level_zero_slowdown_writes_trigger(32);
        options.set_level_zero_stop_writes_trigger(48);
        options.set_target_file_size_base(64 << 20);
        options.set_max_bytes_for_level_base(768 << 20);
        // What the first level holds is written again soon: compressing that twice costs more than
        // writing it as it is (docs/decisions/0027).
        let mut levels = [DBCompressionType::Lz4; LEVELS];
        levels[0] = DBCompressionType::None;
        options.set_compression_per_level(&levels);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        // Window and strategy are those of the level. Level 1, because most of what is compacted
        // once is compacted again.
        options.set_bottommost_compression_options(-14, 1, 0, 0, true);
        options
    }

    fn table_options(&self) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        let mut cache = LruCacheOptions::default();
        cache.set_capacity(self.cache_bytes);
        cache.set_num_shard_bits(CACHE_SHARD_BITS);
        table.set_block_cache(&Cache::new_lru_cache_opts(&cache));
        table.set_block_size(4 << 10);
        table.set_format_version(5);
        table.set_bloom_filter(10.0, false);
        // No key is ever looked up whole, because the time in the key is never known.
        table.set_whole_key_filtering(false);
        // Indexes and filters share the cache, so that memory does not grow with the store. They
        // are split into small pieces: a whole index is as large as a shard of the cache, and every
        // lookup would read it again.
        table.set_cache_index_and_filter_blocks(true);
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(8 << 10);
        table.set_pin_top_level_index_and_filter(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table
    }
}

/// RocksDB's own log is off, because the log of Hindsight is the truth (I5).
pub(crate) fn write_options() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
