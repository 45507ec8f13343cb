//! The data directory: its layout, the process that runs on it, and where that process listens.
//!
//! ```text
//! DATA/log/        segments: the truth
//! DATA/base/       bases
//! DATA/index/      derived, may be deleted
//! DATA/history/    derived, may be deleted
//! DATA/landmarks   derived, may be deleted: where segments lie in a topic
//! DATA/restores/   records of restores
//! DATA/instance    identifies this installation to others that use the same log
//! DATA/LOCK        held by the process that runs on the directory
//! DATA/api         the address that this process listens on
//! DATA/api.token   the token that it requires from commands on the directory, if any
//! DATA/audit.jsonl who read and restored what
//! ```

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};

use hindsight_log::Instance;
use hindsight_runtime::files::write_durably;

use crate::error::HoldingsError;

const LOCK: &str = "LOCK";

/// A data directory, whether it exists or not.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// The lock that a process holds while it runs on the directory. The system releases the lock when
/// the process dies.
#[derive(Debug)]
pub struct Owner {
    _lock: File,
    api: PathBuf,
    token: PathBuf,
}

/// The process that runs on a data directory, if any.
#[derive(Debug)]
pub enum Running {
    /// No process runs there. The files belong to this process while it holds this value.
    Nobody(Owner),
    /// A process that listens at `api`; `None` while the process starts.
    Somebody { api: Option<String> },
}

impl DataDir {
    /// Names the data directory. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub fn bases(&self) -> PathBuf {
        self.root.join("base")
    }

    pub fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    pub fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    pub fn restores(&self) -> PathBuf {
        self.root.join("restores")
    }

    /// Returns the path of the audit file, unless it is configured to be elsewhere.
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit.jsonl")
    }

    /// Returns the file that notes where claims and segments lie in a topic. It is derived, and may
    /// be deleted.
    pub fn landmarks(&self) -> PathBuf {
        self.root.join("landmarks")
    }

    /// Returns the path of the token that commands show to the process that runs on the directory.
    pub fn api_token(&self) -> PathBuf {
        self.root.join("api.token")
    }

    /// Checks that the data directory exists or can be created.
    ///
    /// # Errors
    /// Returns a usage error when the path is something other than a directory.
    pub fn check(&self) -> Result<(), HoldingsError> {
        match fs::metadata(&self.root) {
            Ok(found) if !found.is_dir() => {
                let root = self.root.display();
                Err(HoldingsError::usage(format!("--data {root} is not a directory: name one")))
            }
            _ => Ok(()),
        }
    }

    /// Creates the directory if it is missing.
    ///
    /// # Errors
    /// Returns an error when the system refuses.
    pub fn create(&self) -> Result<(), HoldingsError> {
        for path in [self.root.clone(), self.bases()] {
            let refused = HoldingsError::io("create the data directory", &path);
            fs::create_dir_all(&path).map_err(refused)?;
        }
        Ok(())
    }

    /// Returns what identifies this installation across restarts. Creates it when it does not exist
    /// yet.
    ///
    /// # Errors
    /// Returns an error when the file is damaged, or cannot be read or written.
    pub fn instance(&self) -> Result<Instance, HoldingsError> {
        let path = self.root.join("instance");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                let text = format!("{} is damaged: delete it, and it is made anew", path.display());
                HoldingsError::unusable(text)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let instance = Instance(RandomState::new().hash_one(std::process::id()).max(1));
                write_durably(&path, format!("{instance}\n").as_bytes())
                    .map_err(|error| HoldingsError::unusable(error.to_string()))?;
                Ok(instance)
            }
            Err(error) => Err(HoldingsError::io("read", &path)(error)),
        }
    }

    /// Requires that the directory is a data directory. When the log is elsewhere, there is still
    /// an index.
    ///
    /// # Errors
    /// Returns an error when it holds neither a log nor an index.
    pub fn require(&self) -> Result<(), HoldingsError> {
        if self.log().is_dir() || self.index().is_dir() {
            return Ok(());
        }
        let root = self.root.display();
        Err(HoldingsError::unusable(format!(
            "{root} holds no Hindsight data. Name the directory with --data (or HINDSIGHT_DATA), or start capturing \
             into it with `hindsight up --uri … --data {root}`"
        )))
    }

    /// Returns whether a process has ever taken the directory. This is true from the first moment
    /// of that process on, before it creates anything else there.
    pub fn was_taken(&self) -> bool {
        self.root.join(LOCK).exists()
    }

    /// Takes the directory, or finds the process that has it.
    ///
    /// # Errors
    /// Returns an error when the lock cannot be opened or taken.
    pub fn take(&self) -> Result<Running, HoldingsError> {
        let path = self.root.join(LOCK);
        let lock = File::options().create(true).write(true).truncate(false).open(&path);
        let lock = lock.map_err(HoldingsError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {
                let (api, token) = (self.root.join("api"), self.api_token());
                // The address may be that of a process that was killed. Whoever looks now must see
                // that this process does not listen yet.
                let _ = fs::remove_file(&api);
                Ok(Running::Nobody(Owner { _lock: lock, api, token }))
            }
            Err(TryLockError::WouldBlock) => Ok(Running::Somebody { api: self.api()? }),
            Err(TryLockError::Error(error)) => Err(HoldingsError::io("lock", &path)(error)),
        }
    }

    fn api(&self) -> Result<Option<String>, HoldingsError> {
        let path = self.root.join("api");
        match fs::read_to_string(&path) {
            Ok(address) => Ok(Some(address.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HoldingsError::io("read", &path)(error)),
        }
    }
}

impl Owner {
    /// Tells other commands where this process listens.
    ///
    /// # Errors
    /// Returns an error when the address cannot be written.
    pub fn announce(&self, address: &str) -> Result<(), HoldingsError> {
        let temporary = self.api.with_extension("new");
        let written = fs::write(&temporary, address);
        let written = written.and_then(|()| fs::rename(&temporary, &self.api));
        written.map_err(HoldingsError::io("announce the address of this process in", &self.api))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.api);
        let _ = fs::remove_file(&self.token);
    }
}
