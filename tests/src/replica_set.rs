//! Runs a real replica set on loopback.

use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Bson, Document, Timestamp, doc};
use mongodb::Client;

use crate::mongod::{Mongod, MongodOptions, client_of, server_version};

/// The administrator of a set that is started with authentication.
pub const ROOT_USER: &str = "root";
/// The administrator's password. It contains characters that a URI must escape, on purpose.
pub const ROOT_PASSWORD: &str = "p@ss:word/1";
/// The password as a connection string spells it.
pub const ROOT_PASSWORD_ESCAPED: &str = "p%40ss%3Aword%2F1";

const ELECTION_TIMEOUT: Duration = Duration::from_secs(60);
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// How a set is started.
#[derive(Clone, Debug)]
pub struct SetOptions {
    /// The name of the set.
    pub name: String,
    /// Fields added to each member's configuration (`hidden`, `priority`, `tags`, …). The length is
    /// the number of members.
    pub members: Vec<Document>,
    /// How every member is started.
    pub mongod: MongodOptions,
    /// Short, so that tests of elections are short, but long enough that two busy cores cause no
    /// election.
    pub election_timeout_ms: i32,
    /// The interval of heartbeats, in milliseconds.
    pub heartbeat_interval_ms: i32,
}

impl SetOptions {
    /// The options of a set of `members` members. The first member is the primary until it steps
    /// down.
    pub fn members(members: usize) -> Self {
        let member = |i: usize| doc! {"priority": if i == 0 { 2.0 } else { 1.0 }};
        Self {
            name: "rs".to_owned(),
            members: (0..members).map(member).collect(),
            mongod: MongodOptions::default().parameter("periodicNoopIntervalSecs", "1"),
            election_timeout_ms: 2_000,
            heartbeat_interval_ms: 300,
        }
    }

    /// Adds fields to one member's configuration.
    pub fn member(mut self, member: usize, fields: Document) -> Self {
        self.members[member].extend(fields);
        self
    }

    /// Changes how every member is started.
    pub fn mongod(mut self, change: impl FnOnce(MongodOptions) -> MongodOptions) -> Self {
        self.mongod = change(self.mongod);
        self
    }
}

/// A running set, stopped when dropped.
#[derive(Debug)]
pub struct ReplicaSet {
    members: Vec<Mongod>,
    options: SetOptions,
    _key_directory: Option<tempfile::TempDir>,
}

impl ReplicaSet {
    /// Starts the set, and waits until the first member is primary and the others hold everything
    /// that the primary holds.
    pub async fn start(options: SetOptions) -> Result<Self> {
        ensure!(!options.members.is_empty(), "a replica set has a member");
        let mut args = vec![
            format!("--replSet={}", options.name),
            format!("--oplogSize={}", options.mongod.oplog_mb),
        ];
        let key_directory = options.mongod.auth.then(write_key_file).transpose()?;
        if let Some(directory) = &key_directory {
            args.push(format!("--keyFile={}", directory.path().join("key").display()));
        }
        // All start together: each start takes a second, most of it waiting for the disk.
        let starts = options.members.iter().map(|_| Mongod::start(&options.mongod, &args));
        let members = futures_util::future::try_join_all(starts).await?;
        let mut set = Self { members, options, _key_directory: key_directory };
        set.initiate().await.context("cannot initiate the replica set")?;
        Ok(set)
    }

    async fn initiate(&mut self) -> Result<()> {
        let mut members = Vec::new();
        for (i, (server, fields)) in self.members.iter().zip(&self.options.members).enumerate() {
            let mut member = doc! {"_id": i32::try_from(i)?, "host": server.address()};
            member.extend(fields.clone());
            members.push(Bson::Document(member));
        }
        let config = doc! {
            "_id": &self.options.name,
            "members": members,
            "settings": {
                "electionTimeoutMillis": self.options.election_timeout_ms,
                "heartbeatIntervalMillis": self.options.heartbeat_interval_ms,
            },
        };
        // Connect without credentials: until there is a user, the server lets loopback in.
        let first = self.members[0].client().await?;
        first.database("admin").run_command(doc! {"replSetInitiate": config}).await?;
        if self.options.mongod.auth {
            wait_for_writable(&first).await?;
            let create = doc! {"createUser": ROOT_USER, "pwd": ROOT_PASSWORD, "roles": ["root"]};
            first.database("admin").run_command(create).await?;
        }
        let primary = self.wait_for_primary(ELECTION_TIMEOUT).await?;
        ensure!(primary == 0, "member {primary} became primary instead of the first");
        self.wait_replicated().await
    }

    /// Returns the name of the set.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns true for a set without members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the server of a member.
    pub fn server(&self, member: usize) -> &Mongod {
        &self.members[member]
    }

    /// Returns a URI that names every member and the set, with credentials if there are any.
    pub fn uri(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(Mongod::address).collect();
        let set = format!("replicaSet={}", self.options.name);
        format!("mongodb://{}{}/?{}{set}", self.user(), hosts.join(","), self.auth_source())
    }

    /// Returns the URI of a direct connection to one member.
    pub fn member_uri(&self, member: usize) -> String {
        let address = self.members[member].address();
        let (user, source) = (self.user(), self.auth_source());
        format!("mongodb://{user}{address}/?{source}directConnection=true")
    }

    fn user(&self) -> String {
        if self.options.mongod.auth {
            format!("{ROOT_USER}:{ROOT_PASSWORD_ESCAPED}@")
        } else {
            String::new()
        }
    }

    fn auth_source(&self) -> &'static str {
        if self.options.mongod.auth { "authSource=admin&" } else { "" }
    }

    /// Returns a client of the whole set.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.uri()).await
    }

    /// Returns a client of one member.
    pub async fn member_client(&self, member: usize) -> Result<Client> {
        client_of(&self.member_uri(member)).await
    }

    /// Returns the member that is a writable primary now. Every member is asked directly.
    pub async fn primary(&mut self) -> Result<Option<usize>> {
        for member in 0..self.members.len() {
            if self.members[member].is_running()? && self.is_primary(member).await {
                return Ok(Some(member));
            }
        }
        Ok(None)
    }

    /// Returns whether a member is a writable primary. A paused or starting member does not answer,
    /// and counts as no primary.
    async fn is_primary(&self, member: usize) -> bool {
        let question = async {
            let client = self.member_client(member).await.ok()?;
            let hello = client.database("admin").run_command(doc! {"hello": 1}).await.ok()?;
            hello.get_bool("isWritablePrimary").ok()
        };
        let answer = tokio::time::timeout(Duration::from_secs(2), question).await;
        answer.ok().flatten().unwrap_or(false)
    }

    /// Waits until a member is a writable primary, and returns it.
    pub async fn wait_for_primary(&mut self, timeout: Duration) -> Result<usize> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(primary) = self.primary().await? {
                return Ok(primary);
            }
            ensure!(Instant::now() < deadline, "no primary within {timeout:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes the primary step down, and returns the member that took over.
    pub async fn step_down(&mut self) -> Result<usize> {
        let old = self.wait_for_primary(ELECTION_TIMEOUT).await?;
        let client = self.member_client(old).await?;
        let command = doc! {"replSetStepDown": 20, "secondaryCatchUpPeriodSecs": 15};
        client.database("admin").run_command(command).await?;
        let deadline = Instant::now() + ELECTION_TIMEOUT;
        loop {
            let primary = self.wait_for_primary(ELECTION_TIMEOUT).await?;
            if primary != old {
                return Ok(primary);
            }
            ensure!(Instant::now() < deadline, "member {old} is still primary");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends SIGKILL to a member.
    pub fn kill_member(&mut self, member: usize) -> Result<()> {
        self.members[member].kill()
    }

    /// Shuts one member down cleanly.
    pub async fn stop_member(&mut self, member: usize) -> Result<()> {
        self.members[member].stop().await
    }

    /// Starts a member that was killed or stopped. It may take a while to become a secondary.
    pub async fn restart_member(&mut self, member: usize) -> Result<()> {
        self.members[member].restart().await
    }

    /// Stops a member cleanly, and starts it on the same files with another version. Waits until
    /// the set has a primary.
    pub async fn change_version(&mut self, member: usize, version: &str) -> Result<()> {
        self.members[member].stop().await?;
        self.members[member].change_version(version)?;
        self.members[member].restart().await?;
        self.wait_for_primary(ELECTION_TIMEOUT).await?;
        Ok(())
    }

    /// Stops a member, works on it alone outside the set, and takes it back into the set: one step
    /// of rolling maintenance.
    pub async fn maintain<T>(
        &mut self,
        member: usize,
        work: impl AsyncFnOnce(Client) -> Result<T>,
    ) -> Result<T> {
        self.members[member].stop().await?;
        self.members[member].restart_alone().await?;
        self.take_back_after(member, work).await
    }

    /// Like [`ReplicaSet::maintain`], but on the port that clients know.
    pub async fn maintain_in_place<T>(
        &mut self,
        member: usize,
        work: impl AsyncFnOnce(Client) -> Result<T>,
    ) -> Result<T> {
        self.members[member].stop().await?;
        self.members[member].restart_alone_in_place().await?;
        self.take_back_after(member, work).await
    }

    async fn take_back_after<T>(
        &mut self,
        member: usize,
        work: impl AsyncFnOnce(Client) -> Result<T>,
    ) -> Result<T> {
        let server = &mut self.members[member];
        let done = work(server.client().await?).await?;
        server.stop().await?;
        server.restart().await?;
        self.wait_replicated().await?;
        Ok(done)
    }

    /// Removes a member's files and starts it again. The member copies the data of another member,
    /// and its oplog begins at that time.
    pub async fn resync_member(&mut self, member: usize) -> Result<()> {
        self.members[member].kill()?;
        self.members[member].remove_files()?;
        self.members[member].restart().await?;
        self.wait_replicated().await
    }

    /// Sends SIGSTOP to a member: its connections stay open, and nothing answers.
    pub fn pause_member(&mut self, member: usize) -> Result<()> {
        self.members[member].pause()
    }

    /// Sends SIGCONT to a paused member.
    pub fn resume_member(&mut self, member: usize) -> Result<()> {
        self.members[member].resume()
    }

    /// Changes the size of one member's oplog, in MB. The server takes no less than 990 MB here.
    /// For an oplog that rolls over soon, start the set with a small [`MongodOptions::oplog_mb`].
    pub async fn resize_oplog(&self, member: usize, megabytes: f64) -> Result<()> {
        let client = self.member_client(member).await?;
        let command = doc! {"replSetResizeOplog": 1, "size": megabytes};
        client.database("admin").run_command(command).await?;
        Ok(())
    }

    /// Waits until every running member that holds data has the primary's last entry.
    pub async fn wait_replicated(&mut self) -> Result<()> {
        let primary = self.wait_for_primary(ELECTION_TIMEOUT).await?;
        let wanted = last_timestamp(&self.member_client(primary).await?).await?;
        for member in 0..self.members.len() {
            let arbiter = self.options.members[member].get_bool("arbiterOnly").unwrap_or(false);
            if !arbiter && self.members[member].is_running()? {
                let client = self.member_client(member).await?;
                wait_for_timestamp(&client, wanted)
                    .await
                    .with_context(|| format!("member {member} does not catch up"))?;
            }
        }
        Ok(())
    }
}

/// Raises or lowers the feature compatibility version to `version`, such as `6.0`.
pub async fn set_feature_version(client: &Client, version: &str) -> Result<()> {
    let mut command = doc! {"setFeatureCompatibilityVersion": version};
    // From 7.0 on the command must be confirmed, and older servers do not know the field.
    if server_version(client).await? >= (7, 0) {
        command.insert("confirm", true);
    }
    client.database("admin").run_command(command).await?;
    Ok(())
}

/// Returns the timestamp of the newest entry in a member's oplog.
pub async fn last_timestamp(client: &Client) -> Result<Timestamp> {
    oplog_end(client, -1).await?.context("the oplog is empty")
}

/// Returns the timestamp of the oldest entry in a member's oplog.
pub async fn first_timestamp(client: &Client) -> Result<Timestamp> {
    oplog_end(client, 1).await?.context("the oplog is empty")
}

async fn oplog_end(client: &Client, direction: i32) -> Result<Option<Timestamp>> {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let find =
        oplog.find_one(doc! {}).sort(doc! {"$natural": direction}).projection(doc! {"ts": 1});
    Ok(find.await?.map(|entry| entry.get_timestamp("ts")).transpose()?)
}

async fn wait_for_timestamp(client: &Client, wanted: Timestamp) -> Result<()> {
    let deadline = Instant::now() + REPLICATION_TIMEOUT;
    loop {
        // A member in initial sync has no oplog yet, and holds data only once it is a secondary or
        // primary.
        let hello = client.database("admin").run_command(doc! {"hello": 1}).await?;
        let ready = hello.get_bool("secondary")? || hello.get_bool("isWritablePrimary")?;
        if ready && oplog_end(client, -1).await?.is_some_and(|last| last >= wanted) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{wanted} is not there after {REPLICATION_TIMEOUT:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn wait_for_writable(client: &Client) -> Result<()> {
    let deadline = Instant::now() + ELECTION_TIMEOUT;
    loop {
        let hello = client.database("admin").run_command(doc! {"hello": 1}).await?;
        if hello.get_bool("isWritablePrimary")? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the member does not become primary within {ELECTION_TIMEOUT:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Writes the key that members of a set with authentication share, readable only by its owner.
fn write_key_file() -> Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("hindsight-key-").tempdir()?;
    let mut options = std::fs::OpenOptions::new();
    let file =
        options.write(true).create_new(true).mode(0o600).open(directory.path().join("key"))?;
    std::io::Write::write_all(&mut &file, b"aGluZHNpZ2h0LXRlc3Qta2V5")?;
    Ok(directory)
}
