//! The replica set we read from: who it is, its members, connections to single members.

use std::time::Duration;

use bson::{Document, doc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hindsight_oplog::{OpTime, Timestamp, connection_string};
use hindsight_segment::SourceIdentity;
use mongodb::Client;
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, ServerAddress};

use crate::choose::{Member, MemberState};
use crate::error::CaptureError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a command may take. A server that hangs keeps its connections open, and the driver would wait for it
/// without end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach the source. The options hold credentials, so this prints none of them.
#[derive(Clone)]
pub struct Source {
    options: ClientOptions,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("hosts", &self.options.hosts).finish_non_exhaustive()
    }
}

/// Which replica set the source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetIdentity {
    pub replica_set_id: [u8; 12],
    pub set_name: String,
}

impl SetIdentity {
    /// As segments name their source.
    pub fn segment_source(&self) -> SourceIdentity {
        SourceIdentity { replica_set_id: self.replica_set_id, set_name: self.set_name.clone() }
    }
}

/// What one look at the set shows.
#[derive(Debug, Clone)]
pub struct Survey {
    pub identity: SetIdentity,
    pub members: Vec<Member>,
    pub server_version: String,
}

impl Survey {
    /// A member that is cut off sees no primary, and takes the others for dead.
    fn sees_primary(&self) -> bool {
        self.members.iter().any(|member| member.state == MemberState::Primary)
    }
}

impl Source {
    /// Parses a connection string; nothing is connected yet.
    ///
    /// # Errors
    /// [`CaptureError::BadUri`] for a string that is not a MongoDB connection string, [`CaptureError::Refused`] when the
    /// hosts it stands for cannot be looked up. The messages never repeat it, because it may hold a password.
    pub async fn parse(uri: &str) -> Result<Self, CaptureError> {
        let text = |problem: &str| {
            format!(
                "the connection string given with --uri is not usable: {problem}. It looks like \
                 mongodb://user:password@host:27017/?replicaSet=rs0"
            )
        };
        let bad = |problem: &str| CaptureError::BadUri(text(problem));
        connection_string::check(uri).map_err(bad)?;
        let parsed = ClientOptions::parse(uri).await;
        let mut options = parsed.map_err(|error| match error.kind.as_ref() {
            ErrorKind::DnsResolve { .. } | ErrorKind::Io(_) => {
                CaptureError::Refused(text(&error.kind.to_string()))
            }
            // The driver's own words quote parts of the string, which may be parts of a password.
            _ => bad(connection_string::problem(uri)),
        })?;
        options.app_name = Some("hindsight".into());
        options.connect_timeout = Some(CONNECT_TIMEOUT);
        options.server_selection_timeout = Some(CONNECT_TIMEOUT);
        Ok(Self { options })
    }

    pub fn hosts(&self) -> Vec<String> {
        self.options.hosts.iter().map(ToString::to_string).collect()
    }

    /// The name of the set that the connection string asks for, if it is not that one's.
    pub fn other_set_name(&self, found: &SetIdentity) -> Option<&str> {
        self.options.repl_set_name.as_deref().filter(|asked| *asked != found.set_name)
    }

    /// A client of the whole set, for reads and writes that may go to any member.
    pub fn set_client(&self) -> Result<Client, CaptureError> {
        client(self.options.clone())
    }

    /// A client that talks to this member only, whatever its state.
    pub fn member_client(&self, host: &str) -> Result<Client, CaptureError> {
        let address = ServerAddress::parse(host).map_err(|error| {
            CaptureError::Refused(format!("{host:?} is not a host and port: {error}"))
        })?;
        let mut options = self.options.clone();
        options.hosts = vec![address];
        options.repl_set_name = None;
        options.direct_connection = Some(true);
        client(options)
    }

    /// Looks at the set through `hosts` (seeds, or members known from before), through all of them at once, so
    /// that a dead or hanging one costs no time. The first look that sees a primary counts.
    ///
    /// # Errors
    /// [`CaptureError::Unavailable`] when none answers; [`CaptureError::Refused`] for a server that is no
    /// replica-set member, or for missing rights.
    pub async fn survey(&self, hosts: &[String]) -> Result<Survey, CaptureError> {
        let mut looks: FuturesUnordered<_> =
            hosts.iter().map(|host| self.survey_through(host)).collect();
        let mut failures = Vec::new();
        let mut without_primary = None;
        let mut refused = None;
        while let Some(look) = looks.next().await {
            match look {
                Ok(survey) if survey.sees_primary() => return Ok(survey),
                Ok(survey) => without_primary = Some(survey),
                Err(CaptureError::Unavailable(reason)) => failures.push(reason),
                Err(other) => refused = Some(other),
            }
        }
        if let Some(survey) = without_primary {
            return Ok(survey);
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        Err(CaptureError::Unavailable(format!(
            "no member of the source can be reached ({}). Check host, port, TLS and firewall",
            failures.join("; ")
        )))
    }

    async fn survey_through(&self, host: &str) -> Result<Survey, CaptureError> {
        let client = self.member_client(host)?;
        let hello = admin_command(&client, host, doc! {"hello": 1}).await?;
        require_replica_set(host, &hello)?;
        let config = admin_command(&client, host, doc! {"replSetGetConfig": 1}).await?;
        let status = admin_command(&client, host, doc! {"replSetGetStatus": 1}).await?;
        let build = admin_command(&client, host, doc! {"buildInfo": 1}).await?;
        let config = config.get_document("config").cloned().unwrap_or_default();
        Ok(Survey {
            identity: identity_of(host, &config)?,
            members: members_of(&config, &status),
            server_version: build.get_str("version").unwrap_or("unknown").to_owned(),
        })
    }
}

fn client(options: ClientOptions) -> Result<Client, CaptureError> {
    Client::with_options(options).map_err(|error| CaptureError::from_driver("connect", &error))
}

/// Runs a command on `admin`, on whatever member the client is connected to.
pub async fn admin_command(
    client: &Client,
    host: &str,
    command: Document,
) -> Result<Document, CaptureError> {
    let name = command.keys().next().cloned().unwrap_or_default();
    let doing = format!("run {name} on {host}");
    let database = client.database("admin");
    within(&doing, ANSWER_TIMEOUT, async {
        let answer = database.run_command(command).await;
        answer.map_err(|error| CaptureError::from_driver(&doing, &error))
    })
    .await
}

/// Gives up after `patience`, which is a retryable failure.
pub(crate) async fn within<T>(
    doing: &str,
    patience: Duration,
    work: impl Future<Output = Result<T, CaptureError>>,
) -> Result<T, CaptureError> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        Err(CaptureError::Unavailable(format!("{doing}: no answer within {patience:?}")))
    })
}

fn require_replica_set(host: &str, hello: &Document) -> Result<(), CaptureError> {
    if hello.get_str("setName").is_ok() {
        return Ok(());
    }
    if hello.get_str("msg").ok() == Some("isdbgrid") {
        return Err(CaptureError::Refused(format!(
            "{host} is a mongos. Give the members of one shard: each shard has an oplog of its own"
        )));
    }
    if hello.get_bool("isreplicaset").unwrap_or(false) {
        return Err(CaptureError::Unavailable(format!(
            "{host} has no replica-set configuration: it is starting, or rs.initiate() was never run"
        )));
    }
    Err(CaptureError::Standalone(format!(
        "{host} is a standalone mongod, which has no oplog. Start it with --replSet and run \
         rs.initiate() once; a replica set of one member is enough"
    )))
}

fn identity_of(host: &str, config: &Document) -> Result<SetIdentity, CaptureError> {
    let settings = config.get_document("settings").ok();
    let id = settings.and_then(|settings| settings.get_object_id("replicaSetId").ok());
    let id = id.ok_or_else(|| {
        CaptureError::Refused(format!("{host} reports no replicaSetId in its configuration"))
    })?;
    let set_name = config.get_str("_id").unwrap_or_default().to_owned();
    Ok(SetIdentity { replica_set_id: id.bytes(), set_name })
}

fn members_of(config: &Document, status: &Document) -> Vec<Member> {
    let states = documents(status, "members");
    let describe = |member: &Document| {
        let host = member.get_str("host").ok()?;
        let state = states.iter().find(|state| state.get_str("name").ok() == Some(host));
        Some(Member {
            host: host.to_owned(),
            state: state.map_or(MemberState::Other, state_of),
            hidden: member.get_bool("hidden").unwrap_or(false),
            delayed: delay_seconds(member) != 0,
            arbiter: member.get_bool("arbiterOnly").unwrap_or(false),
            builds_indexes: member.get_bool("buildIndexes").unwrap_or(true),
            tags: tags_of(member),
            applied: state.and_then(|state| optime(state, "optime")).unwrap_or_default().ts,
        })
    };
    documents(config, "members").iter().filter_map(describe).collect()
}

fn documents(parent: &Document, name: &str) -> Vec<Document> {
    let array = parent.get_array(name).map(Vec::as_slice).unwrap_or_default();
    array.iter().filter_map(|value| value.as_document().cloned()).collect()
}

fn state_of(state: &Document) -> MemberState {
    match integer(state, "state") {
        Some(1) => MemberState::Primary,
        Some(2) => MemberState::Secondary,
        _ => MemberState::Other,
    }
}

fn delay_seconds(member: &Document) -> i64 {
    let delay = integer(member, "secondaryDelaySecs").or_else(|| integer(member, "slaveDelay"));
    delay.unwrap_or(0)
}

fn tags_of(member: &Document) -> Vec<(String, String)> {
    let Ok(tags) = member.get_document("tags") else { return Vec::new() };
    let pair =
        |(name, value): (&String, &bson::Bson)| Some((name.clone(), value.as_str()?.to_owned()));
    tags.iter().filter_map(pair).collect()
}

fn integer(document: &Document, name: &str) -> Option<i64> {
    match document.get(name)? {
        bson::Bson::Int32(value) => Some(i64::from(*value)),
        bson::Bson::Int64(value) => Some(*value),
        bson::Bson::Double(value) => Some(*value as i64),
        _ => None,
    }
}

/// An optime `{ts, t}` under `name`.
pub(crate) fn optime(document: &Document, name: &str) -> Option<OpTime> {
    let optime = document.get_document(name).ok()?;
    let ts = optime.get_timestamp("ts").ok()?;
    let term = integer(optime, "t").unwrap_or(-1);
    Some(OpTime { ts: Timestamp::new(ts.time, ts.increment), term })
}

/// Everything acknowledged before this call has a timestamp up to here: the member's operation time, which is
/// never behind its majority point.
pub async fn newest_write(client: &Client, host: &str) -> Result<Timestamp, CaptureError> {
    let hello = admin_command(client, host, doc! {"hello": 1}).await?;
    let operation_time = hello.get_timestamp("operationTime").map_err(|_| {
        CaptureError::Unavailable(format!("{host} reports no operation time: it is starting"))
    })?;
    Ok(Timestamp::new(operation_time.time, operation_time.increment))
}

/// The member's majority point: `hello.lastWrite.majorityOpTime`.
pub async fn majority_point(client: &Client, host: &str) -> Result<OpTime, CaptureError> {
    let hello = admin_command(client, host, doc! {"hello": 1}).await?;
    let last_write = hello.get_document("lastWrite").ok();
    last_write
        .and_then(|last_write| optime(last_write, "majorityOpTime"))
        .ok_or_else(|| CaptureError::Unavailable(format!("{host} reports no majority point yet")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_connection_string_is_refused_without_repeating_it() {
        for (uri, word) in [
            ("mongodb//me:s3cret@host", "mongodb+srv://"),
            ("mongodb://me:s3cret", "HOST:PORT"),
            ("mongodb://me:s3cret?t@host/", "percent-encoded"),
            ("mongodb://me:s3cret/t@host/", "percent-encoded"),
            ("mongodb://me:s3cret%aé@host/", "percent-encoded"),
            ("mongodb://host/?readPreference=s3cret", "option"),
        ] {
            let refused = Source::parse(uri).await.expect_err(uri);
            assert!(matches!(refused, CaptureError::BadUri(_)), "{uri}: {refused:?}");
            let text = refused.to_string();
            assert!(text.contains("--uri") && text.contains(word), "{uri}: {text}");
            assert!(!text.contains("s3cret"), "{uri}: {text}");
        }
    }

    #[test]
    fn standalone_and_mongos_are_told_apart() {
        let standalone = require_replica_set("h:1", &doc! {"ok": 1}).expect_err("refused");
        assert!(standalone.to_string().contains("standalone"), "{standalone}");
        let starting = require_replica_set("h:1", &doc! {"isreplicaset": true});
        assert!(starting.expect_err("not yet").is_retryable());
        let mongos = require_replica_set("h:1", &doc! {"msg": "isdbgrid"}).expect_err("refused");
        assert!(mongos.to_string().contains("mongos"), "{mongos}");
    }

    #[test]
    fn members_join_configuration_and_status() {
        let config = doc! {"members": [
            {"host": "a:1", "hidden": true, "tags": {"dc": "east"}},
            {"host": "b:1", "secondaryDelaySecs": 5_i64},
        ]};
        let optime = doc! {"ts": bson::Timestamp { time: 5, increment: 1 }, "t": 1_i64};
        let status = doc! {"members": [{"name": "a:1", "state": 2, "optime": optime}]};
        let members = members_of(&config, &status);
        assert_eq!(members[0].state, MemberState::Secondary);
        assert_eq!(members[0].applied, Timestamp::new(5, 1));
        assert_eq!(members[0].tags, [("dc".to_owned(), "east".to_owned())]);
        assert!(members[0].hidden && members[1].delayed);
        assert_eq!(members[1].state, MemberState::Other);
    }
}
