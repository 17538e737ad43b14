//! A node in this process, and connections that send exactly what a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::types::NodeId;
use net::gateway::Settings;
use net::node::{Bind, Node, NodeConfig, ShardCounters};
use net::wire::errors::ErrorCode;
use net::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use net::wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, MetadataRequest, MetadataResponse,
};
use net::wire::{self, Message, Request};
use replication::image::{Endpoint, SecurityProtocol};
use tuning::config::{BrokerConfig, ConfigMap, Layers};
use tuning::limits::Limits;

/// How long a test waits for anything; only a hang gets there.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running node. Dropping it stops it and fails the test if it was not well.
pub(crate) struct Broker {
    node: Option<Node>,
    pub(crate) address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A node with these configuration keys.
    pub(crate) fn with(keys: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let file: ConfigMap =
            keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let broker = BrokerConfig::resolve(&Layers { file: &file, ..Layers::default() })
            .expect("listeners are well formed");
        let config = NodeConfig {
            data_dir: dir.path().join("data"),
            shards: 2,
            gateway_shards: None,
            binds: vec![Bind { listener: 0, address, optional: false }],
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: address.port(),
                protocol: SecurityProtocol::Plaintext,
            }],
            settings: Arc::new(Settings {
                node: NodeId(0),
                listeners: vec!["PLAINTEXT".to_owned()],
                file,
                broker,
                limits: Limits::DEFAULT,
            }),
            #[cfg(feature = "planted-bugs")]
            planted: engine::journal::Planted::default(),
        };
        let node = Node::start(config, &[None, None], None);
        node.control().wait_serving().expect("it serves");
        Self { node: Some(node), address, _dir: dir }
    }

    pub(crate) fn connect(&self) -> Conn {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Conn { stream }
    }

    /// Creates a topic of one partition.
    pub(crate) fn create_topic(&self, name: &str, configs: &[(&str, &str)]) {
        let configs =
            configs.iter().map(|(name, value)| CreatableTopicConfig { name, value: Some(value) });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name,
                num_partitions: 1,
                replication_factor: 1,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        let answer = self.connect().ask(7, &request);
        let answer: CreateTopicsResponse<'_> = answer.decode();
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    }

    pub(crate) fn counters(&self) -> Vec<ShardCounters> {
        self.node.as_ref().expect("running").control().counters()
    }

    /// The sum of a counter over all shards.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let shards = self.counters();
        shards.iter().flatten().filter(|(key, _)| *key == name).map(|(_, value)| value).sum()
    }

    /// Waits until a counter has a value: what a closed connection held comes back right after.
    pub(crate) fn wait_counter(&self, name: &str, value: u64) {
        let start = Instant::now();
        while self.counter(name) != value {
            assert!(start.elapsed() < PATIENCE, "{name} is {}, not {value}", self.counter(name));
            std::thread::yield_now();
        }
    }

    fn is_well(&self) {
        let answer = self.connect().ask(12, &MetadataRequest::default());
        let answer: MetadataResponse<'_> = answer.decode();
        assert_eq!(answer.brokers.len(), 1);
        assert_eq!(self.counter("panics"), 0);
        self.wait_counter("frame_bytes_held", 0);
        self.wait_counter("fetch_bytes_held", 0);
        self.wait_counter("loans_out", 0);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.is_well();
        }
        let node = self.node.take().expect("dropped once");
        node.control().stop();
        let ended = node.control().wait_ended();
        node.join();
        if !std::thread::panicking() {
            ended.expect("a stop in good order");
        }
    }
}

/// An address that is free now, on a port below the ephemeral range.
fn free_address() -> SocketAddr {
    let start = 20_000 + (std::process::id() % 100) as u16 * 100;
    for port in start..32_000 {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // Tests of one process run side by side: whoever binds the lock port next to it owns it.
        if let (Ok(lock), Ok(_)) =
            (TcpListener::bind(("127.0.0.2", port)), TcpListener::bind(address))
        {
            std::mem::forget(lock);
            return address;
        }
    }
    panic!("no free port");
}

/// One connection.
pub(crate) struct Conn {
    stream: TcpStream,
}

/// An answer frame, and the version it is in.
pub(crate) struct Answered {
    bytes: Vec<u8>,
    version: i16,
}

impl Answered {
    pub(crate) fn decode<'a, M: Message<'a>>(&'a self) -> M {
        let (_, message) = wire::decode_response(&self.bytes, self.version).expect("well formed");
        message
    }
}

impl Conn {
    /// Sends bytes as they are. The node may have closed already: then the rest is not wanted.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn send_request<'a, M: Message<'a> + Request>(&mut self, version: i16, request: &M) {
        self.send(&frame(version, request));
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask<'a, M: Message<'a> + Request>(
        &mut self,
        version: i16,
        request: &M,
    ) -> Answered {
        self.send_request(version, request);
        self.answer(version)
    }

    /// The next answer frame, which is in `version`.
    pub(crate) fn answer(&mut self, version: i16) -> Answered {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an answer, not a closed connection");
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut bytes).expect("a whole answer");
        Answered { bytes, version }
    }

    /// The node closes, without another byte.
    pub(crate) fn expect_close(&mut self, row: &str) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{row}: not closed: {error}"),
        }
        assert!(rest.is_empty(), "{row}: {} bytes before the close", rest.len());
    }
}

/// A request as a whole frame.
pub(crate) fn frame<'a, M: Message<'a> + Request>(version: i16, request: &M) -> Vec<u8> {
    let encoded = wire::encode_request(7, Some("bad-input"), version, request);
    encoded.expect("the request can be said in this version").bytes.to_vec()
}

/// A frame of these bytes: the prefix is put before them.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

/// A header (v1): key, version, correlation id 7, client id "x"; then `rest`.
pub(crate) fn header(key: i16, version: i16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = key.to_be_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(7i32.to_be_bytes());
    bytes.extend([0, 1, b'x']);
    bytes.extend_from_slice(rest);
    bytes
}

pub(crate) fn code(code: i16) -> ErrorCode {
    ErrorCode(code)
}

impl Answered {
    pub(crate) fn correlation_id(&self) -> i32 {
        i32::from_be_bytes(self.bytes[..4].try_into().expect("a header"))
    }
}
