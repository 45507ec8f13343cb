//! Tests that damaged files are found and named, and that no answer is made up from them.
//!
//! `HINDSIGHT_TEST_FLIPS` sets how many bits are flipped, one at a time (default 60).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, RunOutput, SetOptions};
use mongodb::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::capture_checks::spelled;
use crate::settings::setting;

const SEED: u64 = 20_261_123;
const DEFAULT_FLIPS: usize = 60;
const DOCUMENTS: i32 = 500;
/// The directories that hold the truth; the others are derived.
const TRUTH: [&str; 2] = ["log", "base"];
const DERIVED: [&str; 2] = ["index", "history"];

/// A captured data directory on which no process runs, and its answers while it is undamaged.
struct Captured {
    directory: tempfile::TempDir,
    /// Commands that name their time, and their correct outputs.
    questions: Vec<(Vec<String>, String)>,
    /// A quiet point, and what the source held there.
    until: String,
    held: Snapshot,
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_found_and_never_served() -> Result<()> {
    let flips = setting("HINDSIGHT_TEST_FLIPS", DEFAULT_FLIPS)?;
    let captured = Captured::make().await?;
    let mut rng = StdRng::seed_from_u64(SEED);
    let (segments, bases) = (captured.segments()?, captured.base_files()?);
    println!("{} segment files, {} base files", segments.len(), bases.len());
    for flip in 0..flips {
        let files = if flip % 2 == 0 { &segments } else { &bases };
        let file = &files[rng.random_range(0..files.len())];
        let (at, bit) = (rng.random_range(0..fs::metadata(file)?.len()), rng.random_range(0..8));
        let name = relative(&captured.data(), file)?;
        let what = format!("bit {bit} of byte {at} of {}", name.display());
        let damage = |root: &Path| flip_bit(&root.join(&name), at, bit);
        captured.check(&what, &[&name], true, &damage).await?;
    }
    println!("{flips} flipped bits found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_cut_and_misplaced_files_are_found_and_never_served() -> Result<()> {
    let captured = Captured::make().await?;
    let data = captured.data();
    let segments = captured.segments()?;
    ensure!(segments.len() > 4, "only {} segments", segments.len());
    let names: Vec<PathBuf> =
        segments.iter().map(|file| relative(&data, file)).collect::<Result<_>>()?;
    let (second, third, middle) = (&names[1], &names[2], &names[names.len() / 2]);
    let after_middle = &names[names.len() / 2 + 1];
    let last = &names[names.len() - 1];

    for (what, name) in [("the middle segment", middle), ("the last segment", last)] {
        for kept_bytes in [0, 1, 100, fs::metadata(data.join(name))?.len() - 1] {
            let damage = |root: &Path| cut(&root.join(name), kept_bytes);
            captured.check(&format!("{what} cut to {kept_bytes}"), &[name], true, &damage).await?;
        }
    }
    let swap = |root: &Path| {
        let (left, right, aside) = (root.join(second), root.join(third), root.join("aside"));
        fs::rename(&left, &aside)?;
        fs::rename(&right, &left)?;
        Ok(fs::rename(&aside, &right)?)
    };
    captured.check("two names swapped", &[second, third], true, &swap).await?;
    let remove = |root: &Path| Ok(fs::remove_file(root.join(middle))?);
    captured.check("one in the middle gone", &[middle, after_middle], true, &remove).await?;
    // A log that ends earlier is complete in itself; only the index remembers that there was more.
    let remove = |root: &Path| Ok(fs::remove_file(root.join(last))?);
    captured.check("the last one gone", &[last], false, &remove).await?;
    let next = next_name(last)?;
    let double =
        |root: &Path| fs::copy(root.join(last), root.join(&next)).map(drop).map_err(Into::into);
    captured.check("the last one again under the next name", &[&next], true, &double).await?;
    let again = sibling(middle, after_middle)?;
    let double =
        |root: &Path| fs::copy(root.join(middle), root.join(&again)).map(drop).map_err(Into::into);
    captured
        .check("one again under the next one's number", &[&again, after_middle], true, &double)
        .await?;

    for file in captured.base_files()? {
        let name = relative(&data, &file)?;
        let remove = |root: &Path| Ok(fs::remove_file(root.join(&name))?);
        captured.check(&format!("{} gone", name.display()), &[&name], true, &remove).await?;
        let half = fs::metadata(&file)?.len() / 2;
        let damage = |root: &Path| cut(&root.join(&name), half);
        captured.check(&format!("{} cut in half", name.display()), &[&name], true, &damage).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_from_damaged_files_is_right_or_refused() -> Result<()> {
    let captured = Captured::make().await?;
    let segments = captured.segments()?;
    let bases = captured.base_files()?;
    let largest = bases.iter().max_by_key(|file| fs::metadata(file).map_or(0, |it| it.len()));
    let middle = &segments[segments.len() / 2];
    let mut refused = 0;
    for file in [largest.context("a base has files")?, middle] {
        for rebuild in [false, true] {
            let name = relative(&captured.data(), file)?;
            let root = captured.copy("restore", rebuild)?;
            let half = fs::metadata(file)?.len() / 2;
            flip_bit(&root.join(&name), half, 3)?;
            refused += usize::from(!captured.restores_rightly(&root).await?);
        }
    }
    println!("{refused} of 4 restores refused, the others right");
    let root = captured.copy("restore", true)?;
    ensure!(captured.restores_rightly(&root).await?, "whole files are refused");
    Ok(())
}

impl Captured {
    async fn make() -> Result<Self> {
        let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let client = set.client().await?;
        let things = client.database("shop").collection::<Document>("things");
        let made = |i| doc! {"_id": i, "n": 0, "text": format!("{i}").repeat(20)};
        things.insert_many((0..DOCUMENTS).map(made)).await?;
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("whole");
        let args = ["--segment-age-ms", "100", "--segment-bytes", "8192"];
        let mut up = HindsightProcess::up(&set.uri(), &data, &args).await?;
        run_json(&data, &["wait"]).await?.expect_success()?;

        let early = write_stage(&client, 1).await?;
        let until = write_stage(&client, 2).await?;
        let held = dbhash::snapshot(&client).await?;
        run_json(&data, &["wait"]).await?.expect_success()?;
        let status = up.stop().await?;
        ensure!(status.success(), "up ended with {status}");

        let mut questions = Vec::new();
        for question in [
            ["scan", "shop.things", "--at", &early].map(str::to_owned).to_vec(),
            ["scan", "shop.things", "--at", &until].map(str::to_owned).to_vec(),
            ["get", "shop.things", "7", "--at", &until].map(str::to_owned).to_vec(),
        ] {
            let answer = ask(&data, &question).await?.expect_success()?;
            questions.push((question, answer.stdout));
        }
        ensure!(questions[0].1 != questions[1].1, "the two times hold the same");
        verify(&data).await?.expect_success()?;
        Ok(Self { directory, questions, until, held })
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("whole")
    }

    fn segments(&self) -> Result<Vec<PathBuf>> {
        let files = files_under(&self.data().join("log"))?;
        Ok(files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|it| it == "seg"))
            .collect())
    }

    fn base_files(&self) -> Result<Vec<PathBuf>> {
        files_under(&self.data().join("base"))
    }

    /// Makes a copy to damage; with `rebuild`, a copy of the truth alone.
    fn copy(&self, name: &str, rebuild: bool) -> Result<PathBuf> {
        let root = self.directory.path().join(name);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir(&root)?;
        self.copy_parts(&root, &TRUTH)?;
        if !rebuild {
            self.copy_parts(&root, &DERIVED)?;
        }
        Ok(root)
    }

    fn copy_parts(&self, root: &Path, parts: &[&str]) -> Result<()> {
        for part in parts {
            if root.join(part).exists() {
                fs::remove_dir_all(root.join(part))?;
            }
            let from = self.data().join(part);
            let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(root).status()?;
            ensure!(copied.success(), "cp ended with {copied}");
        }
        Ok(())
    }

    /// Damages a copy with derived parts, and a copy that must build them from the damaged files.
    /// Both must find the damage (the latter unless `found_without_index` is false), answer
    /// correctly or not at all, and be whole again once the files are.
    async fn check(
        &self,
        what: &str,
        names: &[&PathBuf],
        found_without_index: bool,
        damage: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<()> {
        for rebuild in [false, true] {
            let how = if rebuild { "without derived parts" } else { "with derived parts" };
            let context = || format!("{what}, {how}");
            let root = self.copy("damaged", rebuild)?;
            damage(&root).with_context(context)?;
            if !rebuild || found_without_index {
                is_found(&root, names).await.with_context(context)?;
            }
            self.answers_are_right_or_refused(&root).await.with_context(context)?;
            self.copy_parts(&root, &TRUTH)?;
            let verified = verify(&root).await?.expect_success();
            verified.with_context(context).context("the files are back")?;
            let (question, right) = &self.questions[1];
            let answer = ask(&root, question).await?.expect_success();
            let answer = answer.with_context(context).context("the files are back")?;
            ensure!(
                answer.stdout == *right,
                "{what}, {how}: the files are back, the answer is wrong"
            );
        }
        Ok(())
    }

    async fn answers_are_right_or_refused(&self, root: &Path) -> Result<()> {
        for (question, right) in &self.questions {
            let answer = ask(root, question).await?;
            if answer.code == Some(0) {
                ensure!(answer.stdout == *right, "{question:?}: a wrong answer: {}", answer.stdout);
            } else {
                ensure!(answer.code.is_some(), "{question:?}: killed: {}", answer.stderr);
                ensure!(!answer.stderr.contains("panicked"), "{question:?}: {}", answer.stderr);
                ensure!(!answer.stderr.trim().is_empty(), "{question:?}: refused without a word");
            }
        }
        Ok(())
    }

    /// Returns true when the copy restored what the source held, and false when it refused;
    /// anything else is an error.
    async fn restores_rightly(&self, root: &Path) -> Result<bool> {
        let target = Mongod::standalone(&MongodOptions::default()).await?;
        let args = ["restore", "--until", &self.until, "--to", &target.uri()];
        let report = run_json(root, &args).await?;
        let restored = dbhash::snapshot(&target.client().await?).await?;
        if report.code == Some(0) {
            let difference = dbhash::diff(&self.held, &restored);
            ensure!(
                difference.is_none(),
                "restored something else: {}",
                difference.unwrap_or_default()
            );
            return Ok(true);
        }
        println!("refused with {:?}: {}", report.code, report.stderr.trim());
        ensure!(report.code.is_some_and(|code| code != 6), "{}: {}", report.command, report.stderr);
        Ok(false)
    }
}

/// Writes updates, deletes, inserts and a transaction, in several segments. Returns the last
/// timestamp.
async fn write_stage(client: &Client, stage: i32) -> Result<String> {
    let things = client.database("shop").collection::<Document>("things");
    let mut session = client.start_session().await?;
    for i in 0..DOCUMENTS {
        let change = doc! {"$inc": {"n": stage}, "$set": {format!("stage{stage}"): i}};
        things.update_one(doc! {"_id": i}, change).await?;
    }
    things.delete_many(doc! {"_id": {"$mod": [11, stage]}}).await?;
    session.start_transaction().await?;
    for i in 0..5 {
        let document = doc! {"_id": format!("{stage} {i}")};
        things.insert_one(document).session(&mut session).await?;
    }
    session.commit_transaction().await?;
    let last = last_timestamp(client).await?;
    Ok(spelled(last))
}

async fn ask(root: &Path, question: &[String]) -> Result<RunOutput> {
    let args: Vec<&str> = question.iter().map(String::as_str).collect();
    run_json(root, &args).await
}

async fn verify(root: &Path) -> Result<RunOutput> {
    run_json(root, &["verify", "--deep"]).await
}

/// Checks that `verify --deep` fails and names one of the files, by its name or as the segment or
/// base that it is.
async fn is_found(root: &Path, names: &[&PathBuf]) -> Result<()> {
    let output = verify(root).await?;
    let text = format!("{}{}", output.stdout, output.stderr);
    ensure!(output.code == Some(4) || output.code == Some(1), "exit {:?}: {text}", output.code);
    ensure!(!text.contains("panicked"), "{text}");
    for name in names {
        let name = name.file_name().and_then(|name| name.to_str()).context("a UTF-8 name")?;
        let number = name.split('-').next().unwrap_or_default().trim_start_matches('0');
        let segment = format!("segment {number}");
        if text.contains(name) || (name.ends_with(".seg") && text.contains(&segment)) {
            return Ok(());
        }
    }
    anyhow::bail!("none of {names:?} is named: {text}")
}

fn flip_bit(file: &Path, at: u64, bit: u8) -> Result<()> {
    let mut bytes = fs::read(file)?;
    bytes[usize::try_from(at)?] ^= 1 << bit;
    Ok(fs::write(file, bytes)?)
}

fn cut(file: &Path, bytes: u64) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(file)?.set_len(bytes)?)
}

/// Returns the name with the same times and the next sequence.
fn next_name(segment: &Path) -> Result<PathBuf> {
    let name = segment.file_name().and_then(|name| name.to_str()).context("a UTF-8 name")?;
    let (number, times) = name.split_once('-').context("a segment's name")?;
    let number = number.parse::<u64>()? + 1;
    Ok(segment.with_file_name(format!("{number:012}-{times}")))
}

/// Returns the name with the times of `segment` and the sequence of `numbered`.
fn sibling(segment: &Path, numbered: &Path) -> Result<PathBuf> {
    let next = next_name(segment)?;
    ensure!(next.file_name() != numbered.file_name(), "two segments of the same times");
    Ok(next)
}

fn relative(root: &Path, file: &Path) -> Result<PathBuf> {
    Ok(file.strip_prefix(root)?.to_owned())
}

/// Returns all regular files, sorted.
fn files_under(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
