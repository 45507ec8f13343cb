//! A real Kafka: one broker or several, each also a controller, with small heaps.
//!
//! Clients reach each broker through a separate [`Proxy`], unless the options say that they reach
//! it directly. Brokers reach each other directly.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{OwnedProcess, Signal, tail};
use crate::proxy::Proxy;
use crate::{ports, tools};

pub mod stored;

const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// The message that a broker prints when it is ready.
const READY: &str = "Kafka Server started";
/// Any 16 bytes in base64 without padding.
const CLUSTER_ID: &str = "aGluZHNpZ2h0LXRlc3RzMA";
const HEAP_MB: u32 = 300;

/// How a cluster is started.
#[derive(Clone, Debug)]
pub struct KafkaClusterOptions {
    /// The number of brokers.
    pub brokers: usize,
    /// Lines of server.properties for every broker; they take precedence over ours.
    pub properties: Vec<(String, String)>,
    /// Clients connect through proxies, so they can be cut off from a broker. Every byte is copied
    /// once more.
    pub through_proxies: bool,
}

impl KafkaClusterOptions {
    /// The options of a cluster of `brokers` brokers behind proxies.
    pub fn brokers(brokers: usize) -> Self {
        Self { brokers, properties: Vec::new(), through_proxies: true }
    }

    /// Connects clients to brokers directly, for measurements.
    pub fn direct(self) -> Self {
        Self { through_proxies: false, ..self }
    }

    /// Requires clients to give a user and a password (SASL PLAIN).
    pub fn password(self, user: &str, password: &str) -> Self {
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
        self.property(
            "listener.security.protocol.map",
            "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .property("listener.name.client.sasl.enabled.mechanisms", "PLAIN")
        .property(
            "listener.name.client.plain.sasl.jaas.config",
            &format!("{module} required user_{user}=\"{password}\";"),
        )
    }

    /// Requires clients to speak TLS. The brokers show this certificate and hold its key, both in
    /// PEM (PKCS #8).
    pub fn tls(self, certificate: &str, key: &str) -> Self {
        let line = |pem: &str| pem.trim().replace("\r\n", "\n").replace('\n', "\\n");
        self.property(
            "listener.security.protocol.map",
            "CLIENT:SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .property("listener.name.client.ssl.keystore.type", "PEM")
        .property("listener.name.client.ssl.keystore.certificate.chain", &line(certificate))
        .property("listener.name.client.ssl.keystore.key", &line(key))
    }

    /// Adds a line to server.properties of every broker.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Brokers on loopback. Each keeps its files and ports across restarts.
#[derive(Debug)]
pub struct KafkaCluster {
    brokers: Vec<Broker>,
}

#[derive(Debug)]
struct Broker {
    // Dropped before the directory that it works in.
    process: Option<OwnedProcess>,
    proxy: Option<Proxy>,
    home: PathBuf,
    ports: BrokerPorts,
    directory: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug)]
struct BrokerPorts {
    /// The port for clients, behind the proxy.
    client: u16,
    /// The port for other brokers.
    internal: u16,
    controller: u16,
}

impl KafkaCluster {
    /// Starts the brokers, and waits until all are ready.
    pub async fn start(options: KafkaClusterOptions) -> Result<Self> {
        let home = tools::kafka()?;
        let mut brokers = Vec::new();
        for _ in 0..options.brokers {
            let ports = BrokerPorts {
                client: ports::free_port()?,
                internal: ports::free_port()?,
                controller: ports::free_port()?,
            };
            let directory = tempfile::Builder::new().prefix("hindsight-kafka-").tempdir()?;
            let proxy = match options.through_proxies {
                true => Some(Proxy::start(ports.client).await?),
                false => None,
            };
            brokers.push(Broker { process: None, proxy, home: home.clone(), ports, directory });
        }
        let mut cluster = Self { brokers };
        for index in 0..options.brokers {
            let properties = cluster.properties(index, &options);
            cluster.brokers[index].format(&properties)?;
        }
        for broker in &mut cluster.brokers {
            broker.launch()?;
        }
        for broker in &mut cluster.brokers {
            broker.wait_until_ready(0).await?;
        }
        Ok(cluster)
    }

    fn properties(&self, index: usize, options: &KafkaClusterOptions) -> String {
        let broker = &self.brokers[index];
        let Broker { ports, .. } = broker;
        let voters: Vec<_> = (1..)
            .zip(&self.brokers)
            .map(|(id, it)| format!("{id}@127.0.0.1:{}", it.ports.controller))
            .collect();
        let copies = options.brokers.min(3);
        let (client, internal) = (ports.client, ports.internal);
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            format!("node.id={}", index + 1),
            format!("controller.quorum.voters={}", voters.join(",")),
            format!(
                "listeners=CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal},\
                 CONTROLLER://127.0.0.1:{}",
                ports.controller
            ),
            format!(
                "advertised.listeners=CLIENT://127.0.0.1:{},INTERNAL://127.0.0.1:{internal}",
                broker.port_for_clients()
            ),
            "listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
                .to_owned(),
            "inter.broker.listener.name=INTERNAL".to_owned(),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("log.dirs={}", self.brokers[index].files().display()),
            // A topic that is created by accident would have the wrong settings.
            "auto.create.topics.enable=false".to_owned(),
            format!("offsets.topic.replication.factor={copies}"),
            "offsets.topic.num.partitions=1".to_owned(),
            // A dead broker is noticed within seconds, and a slow broker on a busy machine is not
            // taken for dead.
            "broker.session.timeout.ms=6000".to_owned(),
            "broker.heartbeat.interval.ms=500".to_owned(),
            "num.network.threads=2".to_owned(),
            "num.io.threads=2".to_owned(),
        ];
        lines.extend(options.properties.iter().map(|(name, value)| format!("{name}={value}")));
        lines.join("\n") + "\n"
    }

    /// Returns `host:port,…` of all brokers, as clients reach them.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<_> =
            self.brokers.iter().map(|it| format!("127.0.0.1:{}", it.port_for_clients())).collect();
        addresses.join(",")
    }

    /// Returns the proxy of a broker. Panics if the cluster was started without proxies.
    pub fn proxy(&self, broker: usize) -> &Proxy {
        self.brokers[broker].proxy.as_ref().expect("the cluster was started with proxies")
    }

    /// Returns the directory in which a broker keeps the only partition of a topic.
    pub fn partition_directory(&self, broker: usize, topic: &str) -> PathBuf {
        self.brokers[broker].files().join(format!("{topic}-0"))
    }

    /// Sets a setting of a topic.
    pub async fn alter_topic(&self, topic: &str, name: &str, value: &str) -> Result<()> {
        let setting = format!("{name}={value}");
        let entity = ["--alter", "--entity-type", "topics", "--entity-name", topic];
        let args = [&entity[..], &["--add-config", &setting]].concat();
        self.tool("kafka.admin.ConfigCommand", &args).await
    }

    /// Creates a topic with this number of partitions.
    pub async fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        let partitions = partitions.to_string();
        let args = ["--create", "--topic", topic, "--partitions", &partitions];
        self.tool("org.apache.kafka.tools.TopicCommand", &args).await
    }

    /// Deletes all records before an offset.
    pub async fn delete_records(&self, topic: &str, before: i64) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let request = serde_json::json!({
            "version": 1,
            "partitions": [{"topic": topic, "partition": 0, "offset": before}],
        });
        std::fs::write(file.path(), request.to_string())?;
        let path = file.path().display().to_string();
        let args = ["--offset-json-file", &path];
        self.tool("org.apache.kafka.tools.DeleteRecordsCommand", &args).await
    }

    /// Appends records without headers, one for each line.
    pub async fn produce(&self, topic: &str, lines: &str) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut file, format!("{lines}\n").as_bytes())?;
        let input = std::fs::File::open(file.path())?;
        let class = "org.apache.kafka.tools.ConsoleProducer";
        self.tool_with_input(class, &["--topic", topic], input.into()).await
    }

    /// Runs one of Kafka's own tools with the addresses of the brokers.
    async fn tool(&self, class: &str, args: &[&str]) -> Result<()> {
        self.tool_with_input(class, args, std::process::Stdio::null()).await
    }

    async fn tool_with_input(
        &self,
        class: &str,
        args: &[&str],
        input: std::process::Stdio,
    ) -> Result<()> {
        let broker = self.brokers.first().context("there is a broker")?;
        let mut command = tokio::process::Command::from(broker.java());
        command.arg(class).args(["--bootstrap-server", &self.bootstrap()]).args(args);
        command.stdin(input);
        let output = command.output().await.context("cannot run java")?;
        ensure!(
            output.status.success(),
            "{class} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Sends SIGKILL to a broker.
    pub fn kill(&mut self, broker: usize) -> Result<()> {
        self.brokers[broker].process.as_mut().map_or(Ok(()), OwnedProcess::kill)
    }

    /// Shuts a broker down cleanly.
    pub async fn stop(&mut self, broker: usize) -> Result<()> {
        if let Some(process) = &mut self.brokers[broker].process {
            process.stop(STOP_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Starts a broker again after [`KafkaCluster::kill`] or [`KafkaCluster::stop`], on the same
    /// files and ports.
    pub async fn restart(&mut self, broker: usize) -> Result<()> {
        let broker = &mut self.brokers[broker];
        let before = broker.ready_count();
        broker.launch()?;
        broker.wait_until_ready(before).await
    }

    /// Sends SIGSTOP to a broker: connections stay open, and nothing answers.
    pub fn pause(&mut self, broker: usize) -> Result<()> {
        self.brokers[broker].signal(Signal::Stop)
    }

    /// Sends SIGCONT to a paused broker.
    pub fn resume(&mut self, broker: usize) -> Result<()> {
        self.brokers[broker].signal(Signal::Continue)
    }
}

impl Broker {
    fn port_for_clients(&self) -> u16 {
        self.proxy.as_ref().map_or(self.ports.client, Proxy::port)
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn properties_path(&self) -> PathBuf {
        self.directory.path().join("server.properties")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("broker.log")
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command
            .arg(format!("-Xmx{HEAP_MB}m"))
            .args(["-XX:+UseSerialGC", "-Djava.awt.headless=true", "-cp"])
            .arg(self.home.join("libs/*"));
        command
    }

    fn format(&self, properties: &str) -> Result<()> {
        std::fs::write(self.properties_path(), properties)?;
        let mut command = self.java();
        command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        let output = command.arg(self.properties_path()).output().context("cannot run java")?;
        ensure!(
            output.status.success(),
            "the storage tool failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.java();
        command.arg("kafka.Kafka").arg(self.properties_path());
        let log = self.log_path();
        self.process = Some(OwnedProcess::spawn("kafka", &mut command, &log, &log)?);
        Ok(())
    }

    /// Waits until the broker has reported more than `before` times that it is ready.
    async fn wait_until_ready(&mut self, before: usize) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while self.ready_count() <= before {
            let process = self.process.as_mut().context("the broker was not started")?;
            if let Some(exit) = process.try_exit()? {
                bail!("the broker ended ({exit}):\n{}", tail(&self.log_path(), 20));
            }
            if Instant::now() >= deadline {
                bail!("the broker is not ready yet:\n{}", tail(&self.log_path(), 20));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn ready_count(&self) -> usize {
        count(&self.log_path(), READY)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.as_mut().context("the broker was not started")?.signal(signal)
    }
}

fn count(path: &Path, text: &str) -> usize {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).matches(text).count()
}
