//! The source's replica set: its identity, its members, and connections to single members.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, rawdoc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hindsight_mongo::{Client, Deployment, Failure, Hello, SetConfig, SetMember, UriError};
use hindsight_oplog::{OpTime, Timestamp};
use hindsight_segment::SourceIdentity;

use crate::choose::{Member, MemberState};
use crate::error::CaptureError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a command may take. A server that hangs keeps its connections open, and the driver
/// would wait for it forever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach the source.
#[derive(Clone, Debug)]
pub struct Source {
    deployment: Deployment,
}

/// Which replica set the source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetIdentity {
    /// The id that the set received when it was initiated.
    pub replica_set_id: [u8; 12],
    /// The name of the set.
    pub set_name: String,
}

impl SetIdentity {
    /// Returns the identity in the form that segments use to name their source.
    pub fn segment_source(&self) -> SourceIdentity {
        SourceIdentity { replica_set_id: self.replica_set_id, set_name: self.set_name.clone() }
    }
}

/// What one look at the set shows.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Which replica set it is.
    pub identity: SetIdentity,
    /// The members of the configuration, with their states.
    pub members: Vec<Member>,
    /// The server version of the member that answered, or `unknown`.
    pub server_version: String,
}

impl Survey {
    /// Whether this look saw a primary. A member that is cut off sees no primary, and takes the
    /// others for dead.
    fn sees_primary(&self) -> bool {
        self.members.iter().any(|member| member.state == MemberState::Primary)
    }
}

impl Source {
    /// Parses a connection string. Connects to nothing yet.
    ///
    /// # Errors
    /// Returns [`CaptureError::BadUri`] when the string is not a MongoDB connection string, and
    /// [`CaptureError::Refused`] when the hosts that it stands for cannot be looked up. The
    /// messages never repeat the string, because it may hold a password.
    pub async fn parse(uri: &str) -> Result<Self, CaptureError> {
        let text = |problem: &str| {
            format!(
                "the connection string of the source is not usable: {problem}. It looks like \
                 mongodb://user:password@host:27017/?replicaSet=rs0"
            )
        };
        let parsed = Deployment::parse(uri).await.map_err(|error| match error {
            UriError::Unusable(problem) => CaptureError::BadUri(text(problem)),
            UriError::Unresolved(reason) => CaptureError::Refused(text(&reason)),
        })?;
        Ok(Self { deployment: parsed.app_name("hindsight").at_most(CONNECT_TIMEOUT) })
    }

    /// Returns the source that these members are: real members behind another transport, or a
    /// simulation.
    pub fn of(deployment: Deployment) -> Self {
        Self { deployment }
    }

    /// Returns the hosts that the connection string names, as `host:port`.
    pub fn hosts(&self) -> Vec<String> {
        self.deployment.hosts()
    }

    /// Returns the set name that the connection string asks for. None when the string asks for no
    /// name, or for the name of `found`.
    pub fn other_set_name(&self, found: &SetIdentity) -> Option<&str> {
        self.deployment.set_name().filter(|asked| *asked != found.set_name)
    }

    /// Makes a client of the whole set, whose commands go to the primary.
    ///
    /// # Errors
    /// Returns [`CaptureError::Refused`] when the connection options are not usable.
    pub fn set_client(&self) -> Result<Client, CaptureError> {
        self.deployment.client().map_err(|failure| unusable(&failure))
    }

    /// Makes a client that talks to this member only, whatever the member's state.
    ///
    /// # Errors
    /// Returns [`CaptureError::Refused`] when the connection options are not usable.
    pub fn member_client(&self, host: &str) -> Result<Client, CaptureError> {
        self.deployment.member(host).map_err(|failure| unusable(&failure))
    }

    /// Looks at the set through `hosts` (seeds, or members known from before). The look goes
    /// through all of them at once, so that a dead or hanging host costs no time. The first look
    /// that sees a primary counts. When no look sees a primary, another look counts.
    ///
    /// # Errors
    /// Returns [`CaptureError::Unavailable`] when no host answers, [`CaptureError::Refused`] for a
    /// mongos, for missing rights and for a configuration without `replicaSetId`, and
    /// [`CaptureError::Standalone`] for a server that is not a replica-set member.
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
                Err(error) if error.is_retryable() => failures.push(error.to_string()),
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
        require_replica_set(host, &hello(&client, host).await?)?;
        let doing = format!("run replSetGetConfig on {host}");
        let config = answered(&doing, client.set_config()).await?;
        let status = admin_command(&client, host, rawdoc! { "replSetGetStatus": 1 }).await?;
        let build = admin_command(&client, host, rawdoc! { "buildInfo": 1 }).await?;
        Ok(Survey {
            identity: identity_of(host, &config)?,
            members: members_of(config, &status),
            server_version: build.get_str("version").unwrap_or("unknown").to_owned(),
        })
    }
}

fn unusable(failure: &Failure) -> CaptureError {
    CaptureError::Refused(format!("connect: {failure}"))
}

/// Runs `hello` on the member.
async fn hello(client: &Client, host: &str) -> Result<Hello, CaptureError> {
    let doing = format!("run hello on {host}");
    answered(&doing, client.hello()).await
}

/// Runs a command on `admin`, on the member that the client is connected to.
async fn admin_command(
    client: &Client,
    host: &str,
    command: RawDocumentBuf,
) -> Result<Document, CaptureError> {
    let first = command.iter().next().and_then(Result::ok);
    let name = first.map(|(name, _)| name.as_str().to_owned()).unwrap_or_default();
    let doing = format!("run {name} on {host}");
    answered(&doing, client.run("admin", command)).await
}

/// Waits for an answer, but no longer than for a member that hangs.
async fn answered<T>(
    doing: &str,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, CaptureError> {
    within(doing, ANSWER_TIMEOUT, async {
        answer.await.map_err(|failure| CaptureError::from_failure(doing, &failure))
    })
    .await
}

/// Does the work, and gives up after `patience` with a retryable failure.
pub(crate) async fn within<T>(
    doing: &str,
    patience: Duration,
    work: impl Future<Output = Result<T, CaptureError>>,
) -> Result<T, CaptureError> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        Err(CaptureError::NoAnswer(format!("{doing}: no answer within {patience:?}")))
    })
}

fn require_replica_set(host: &str, hello: &Hello) -> Result<(), CaptureError> {
    if hello.set_name.is_some() {
        return Ok(());
    }
    if hello.is_mongos {
        return Err(CaptureError::Refused(format!(
            "{host} is a mongos. Give the members of one shard: each shard has an oplog of its own"
        )));
    }
    if hello.is_unconfigured {
        return Err(CaptureError::Unavailable(format!(
            "{host} has no replica-set configuration: it is starting, or rs.initiate() was never run"
        )));
    }
    Err(CaptureError::Standalone(format!(
        "{host} is a standalone mongod, which has no oplog. Start it with --replSet and run \
         rs.initiate() once; a replica set of one member is enough"
    )))
}

fn identity_of(host: &str, config: &SetConfig) -> Result<SetIdentity, CaptureError> {
    let replica_set_id = config.replica_set_id.ok_or_else(|| {
        CaptureError::Refused(format!("{host} reports no replicaSetId in its configuration"))
    })?;
    Ok(SetIdentity { replica_set_id, set_name: config.set_name.clone() })
}

fn members_of(config: SetConfig, status: &Document) -> Vec<Member> {
    let states = documents(status, "members");
    let describe = |member: SetMember| {
        let state = states.iter().find(|state| state.get_str("name").ok() == Some(&member.host));
        Member {
            state: state.map_or(MemberState::Other, state_of),
            hidden: member.is_hidden,
            delayed: member.delay_seconds != 0,
            arbiter: member.is_arbiter,
            builds_indexes: member.builds_indexes,
            applied: state.and_then(|state| optime(state, "optime")).unwrap_or_default().ts,
            host: member.host,
            tags: member.tags,
        }
    };
    config.members.into_iter().map(describe).collect()
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

fn integer(document: &Document, name: &str) -> Option<i64> {
    match document.get(name)? {
        bson::Bson::Int32(value) => Some(i64::from(*value)),
        bson::Bson::Int64(value) => Some(*value),
        bson::Bson::Double(value) => Some(*value as i64),
        _ => None,
    }
}

/// Reads an optime `{ts, t}` under `name`.
fn optime(document: &Document, name: &str) -> Option<OpTime> {
    let optime = document.get_document(name).ok()?;
    let ts = optime.get_timestamp("ts").ok()?;
    let term = integer(optime, "t").unwrap_or(-1);
    Some(OpTime { ts: Timestamp::new(ts.time, ts.increment), term })
}

/// Returns the member's operation time, which is never behind its majority point. Every write
/// acknowledged before this call has a timestamp at or before it.
///
/// # Errors
/// Returns [`CaptureError::Unavailable`] when the member does not answer or reports no operation
/// time, and [`CaptureError::Refused`] for missing rights.
pub async fn newest_write(client: &Client, host: &str) -> Result<Timestamp, CaptureError> {
    hello(client, host).await?.operation_time.ok_or_else(|| {
        CaptureError::Unavailable(format!("{host} reports no operation time: it is starting"))
    })
}

/// Returns the member's majority point: `hello.lastWrite.majorityOpTime`.
pub(crate) async fn majority_point(client: &Client, host: &str) -> Result<OpTime, CaptureError> {
    match hello(client, host).await?.majority {
        OpTime::NONE => {
            Err(CaptureError::Unavailable(format!("{host} reports no majority point yet")))
        }
        majority => Ok(majority),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use hindsight_oplog::raw::Doc;
    use hindsight_remedy::Remedy;

    use super::*;

    #[tokio::test]
    async fn a_bad_connection_string_is_refused_without_repeating_it() {
        for (uri, word) in [
            ("mongodb//me:s3cret@host", "mongodb+srv://"),
            ("mongodb://me:s3cret?t@host/", "percent-encoded"),
        ] {
            let refused = Source::parse(uri).await.expect_err(uri);
            assert!(matches!(refused, CaptureError::BadUri(_)), "{uri}: {refused:?}");
            assert_eq!(refused.remedies(), [Remedy::Uri]);
            let text = refused.to_string();
            assert!(text.contains(word), "{uri}: {text}");
            assert!(!text.contains("s3cret"), "{uri}: {text}");
        }
    }

    #[test]
    fn standalone_and_mongos_are_told_apart() {
        let judged = |answer: Document| {
            let bytes = bson::serialize_to_vec(&answer).expect("serializes");
            let hello = Doc::new(&bytes).and_then(Hello::read).expect("well formed");
            require_replica_set("h:1", &hello).expect_err("no member")
        };
        let standalone = judged(doc! {"ok": 1});
        assert!(matches!(standalone, CaptureError::Standalone(_)), "{standalone}");
        assert!(judged(doc! {"isreplicaset": true}).is_retryable());
        let mongos = judged(doc! {"msg": "isdbgrid"});
        assert!(mongos.to_string().contains("mongos"), "{mongos}");
    }

    #[test]
    fn members_join_configuration_and_status() {
        let config = doc! {"config": {"members": [
            {"host": "a:1", "hidden": true, "tags": {"dc": "east"}},
            {"host": "b:1", "secondaryDelaySecs": 5_i64},
        ]}};
        let config = bson::serialize_to_vec(&config).expect("serializes");
        let config = Doc::new(&config).and_then(SetConfig::read).expect("well formed");
        let optime = doc! {"ts": bson::Timestamp { time: 5, increment: 1 }, "t": 1_i64};
        let status = doc! {"members": [{"name": "a:1", "state": 2, "optime": optime}]};
        let members = members_of(config, &status);
        assert_eq!(members[0].state, MemberState::Secondary);
        assert_eq!(members[0].applied, Timestamp::new(5, 1));
        assert_eq!(members[0].tags, [("dc".to_owned(), "east".to_owned())]);
        assert!(members[0].hidden && members[1].delayed);
        assert_eq!(members[1].state, MemberState::Other);
    }
}
