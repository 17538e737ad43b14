//! A broker of a few lines: one partition of one topic `t`, and a topic `hollow` without any;
//! produce requests answered by script.
//! What it knows of consumer groups is in `groups.rs`, of changes to topics in `topics.rs`.

mod groups;
mod topics;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::header::{Front, read_request};
use net::wire::messages::api_versions_response::ApiVersion;
use net::wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use net::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use net::wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use net::wire::messages::{
    ApiVersionsResponse, EMITTED, FetchResponse, InitProducerIdResponse, MetadataResponse,
    ProduceRequest, ProduceResponse,
};
use net::wire::{Encoded, Message, Records, decode, encode_response};

/// What happens to one request that writes or changes something.
pub(super) enum Reaction {
    /// It is stored at this offset.
    Stored(i64),
    /// It is refused.
    Code(ErrorCode),
    /// The connection is closed without an answer.
    HangUp,
    /// The same, and the next connections are closed too before they can ask anything.
    Restart,
}

#[derive(Default)]
struct State {
    script: Vec<Reaction>,
    batches: Vec<Vec<u8>>,
    versions: Vec<(&'static str, i16)>,
    log: Vec<u8>,
    is_old: bool,
    port: i32,
    /// The port of a second broker, 1, that the metadata names too.
    peer_port: Option<i32>,
    /// Codes for the next questions after a coordinator; then it is this broker.
    coordinator_codes: Vec<ErrorCode>,
    /// What happens to the next requests about groups and to those that change topics; then all
    /// goes well.
    reactions: Vec<Reaction>,
    /// Whether answers about offsets, topics and groups come without their rows.
    omits_rows: bool,
    /// Connections that are still to be closed at once.
    away: u32,
    refused: u32,
}

/// A broker on a thread of its own, which ends with the test.
pub(super) struct Broker {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
}

impl Broker {
    /// A broker of today.
    pub(super) fn start(script: Vec<Reaction>) -> Self {
        Self::serve(State { script, ..State::default() })
    }

    /// A broker that knows ApiVersions 0, Metadata 0-4 and the first versions of the rest.
    pub(super) fn start_old(script: Vec<Reaction>) -> Self {
        Self::serve(State { script, is_old: true, ..State::default() })
    }

    /// A broker that answers questions after a coordinator, and then requests to it, with these
    /// codes before all goes well.
    pub(super) fn start_with_groups(coordinator: &[ErrorCode], group: &[ErrorCode]) -> Self {
        let coordinator_codes = coordinator.iter().rev().copied().collect();
        let reactions = group.iter().rev().copied().map(Reaction::Code).collect();
        Self::serve(State { coordinator_codes, reactions, ..State::default() })
    }

    /// A broker that reacts so to requests about groups and to those that change topics, before all
    /// goes well.
    pub(super) fn start_reacting(mut reactions: Vec<Reaction>) -> Self {
        reactions.reverse();
        Self::serve(State { reactions, ..State::default() })
    }

    /// A broker whose answers lack the rows that were asked for.
    pub(super) fn start_omitting_rows() -> Self {
        Self::serve(State { omits_rows: true, ..State::default() })
    }

    /// A broker that says that another one at `address` belongs to the cluster.
    pub(super) fn start_beside(address: &str) -> Self {
        let peer_port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        Self::serve(State { peer_port, ..State::default() })
    }

    /// A broker whose partition holds these batches.
    pub(super) fn start_with_log(log: Vec<u8>) -> Self {
        Self::serve(State { log, ..State::default() })
    }

    /// An address at which nobody listens.
    pub(super) fn closed_port() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    fn serve(mut state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        state.port = i32::from(address.port());
        state.script.reverse();
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                if shared.lock().unwrap().is_away() {
                    continue;
                }
                std::thread::spawn(move || converse(stream, &shared));
            }
        });
        Self { address: address.to_string(), state }
    }

    /// The batches of every produce request, in order of arrival.
    pub(super) fn batches(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().batches.clone()
    }

    /// Connections that were closed at once.
    pub(super) fn refused(&self) -> u32 {
        self.state.lock().unwrap().refused
    }

    /// API and version of every request.
    pub(super) fn versions(&self) -> Vec<(&'static str, i16)> {
        self.state.lock().unwrap().versions.clone()
    }
}

fn converse(mut stream: TcpStream, state: &Mutex<State>) {
    let mut size = [0; 4];
    while stream.read_exact(&mut size).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        stream.read_exact(&mut frame).unwrap();
        let front = read_request(&frame).unwrap();
        match state.lock().unwrap().answer(&front) {
            Some(answer) => stream.write_all(&answer.bytes).unwrap(),
            None => return,
        }
    }
}

fn encode<'a, M: Message<'a>>(front: &Front<'_>, message: &M) -> Option<Encoded> {
    Some(encode_response(front.correlation_id, front.version, message).unwrap())
}

impl State {
    fn is_away(&mut self) -> bool {
        let away = self.away > 0;
        self.away = self.away.saturating_sub(1);
        self.refused += u32::from(away);
        away
    }

    fn answer(&mut self, front: &Front<'_>) -> Option<Encoded> {
        self.versions.push((front.key.name().unwrap(), front.version));
        match front.key {
            ApiKey::API_VERSIONS => self.api_versions(front),
            ApiKey::METADATA => self.metadata(front),
            ApiKey::INIT_PRODUCER_ID => {
                let identity = InitProducerIdResponse { producer_id: 5, ..Default::default() };
                encode(front, &identity)
            }
            ApiKey::PRODUCE => self.produce(front),
            ApiKey::FETCH => self.fetch(front),
            ApiKey::LIST_OFFSETS => self.list_offsets(front),
            ApiKey::CREATE_TOPICS
            | ApiKey::CREATE_PARTITIONS
            | ApiKey::DELETE_TOPICS
            | ApiKey::DELETE_RECORDS
            | ApiKey::INCREMENTAL_ALTER_CONFIGS => self.change_topics(front),
            _ => self.answer_about_groups(front),
        }
    }

    /// The code of the next reaction; `None` if the connection is to be closed instead.
    fn next_code(&mut self) -> Option<ErrorCode> {
        match self.reactions.pop() {
            None | Some(Reaction::Stored(_)) => Some(ErrorCode::NONE),
            Some(Reaction::Code(code)) => Some(code),
            Some(Reaction::HangUp) => None,
            Some(Reaction::Restart) => {
                self.away = 3;
                None
            }
        }
    }

    /// `rows`, unless this broker leaves them out.
    fn told<T>(&self, rows: Vec<T>) -> Vec<T> {
        if self.omits_rows { Vec::new() } else { rows }
    }

    fn api_versions(&self, front: &Front<'_>) -> Option<Encoded> {
        let row = |(request, _): &(net::wire::Spec, net::wire::Spec)| {
            let key = request.key.unwrap();
            let max_version = match key {
                _ if !self.is_old => request.version_max,
                ApiKey::METADATA => 4,
                ApiKey::OFFSET_FETCH => 5,
                _ => request.version_min,
            };
            let (api_key, min_version) = (key.0, request.version_min);
            ApiVersion { api_key, min_version, max_version }
        };
        let unknown = self.is_old && front.version > 0;
        let error_code = if unknown { ErrorCode::UNSUPPORTED_VERSION.0 } else { 0 };
        let api_keys = EMITTED.iter().map(row);
        let modern = ApiKey::CONSUMER_GROUP_DESCRIBE.0;
        let api_keys = api_keys.filter(|api| !self.is_old || api.api_key != modern).collect();
        let answer = ApiVersionsResponse { error_code, api_keys, ..Default::default() };
        let layout = if unknown { 0 } else { front.version };
        encode(&Front { version: layout, ..*front }, &answer)
    }

    fn metadata(&self, front: &Front<'_>) -> Option<Encoded> {
        let ports = [Some(self.port), self.peer_port].into_iter().flatten();
        let brokers = ports.zip(0..).map(|(port, node_id)| MetadataResponseBroker {
            node_id,
            host: "127.0.0.1".into(),
            port,
            ..Default::default()
        });
        let topic = |name: &'static str, partitions| MetadataResponseTopic {
            name: Some(name.into()),
            topic_id: [1; 16],
            partitions,
            ..Default::default()
        };
        let partitions = vec![MetadataResponsePartition::default()];
        let answer = MetadataResponse {
            brokers: brokers.collect(),
            topics: vec![topic("t", partitions), topic("hollow", Vec::new())],
            ..Default::default()
        };
        encode(front, &answer)
    }

    fn produce(&mut self, front: &Front<'_>) -> Option<Encoded> {
        let request: ProduceRequest<'_> = decode(front.body, front.version).unwrap().message;
        let records = request.topic_data[0].partition_data[0].records.unwrap();
        self.batches.push(records.here().unwrap().to_vec());
        let mut answer = PartitionProduceResponse::default();
        match self.script.pop().expect("the script has a reaction for every request") {
            Reaction::HangUp => return None,
            Reaction::Restart => {
                self.away = 3;
                return None;
            }
            Reaction::Stored(offset) => answer.base_offset = offset,
            Reaction::Code(code) => (answer.error_code, answer.base_offset) = (code.0, -1),
        }
        let topic =
            TopicProduceResponse { partition_responses: vec![answer], ..Default::default() };
        encode(front, &ProduceResponse { responses: vec![topic], ..Default::default() })
    }

    fn fetch(&self, front: &Front<'_>) -> Option<Encoded> {
        let partition =
            PartitionData { records: Some(Records::Here(&self.log)), ..PartitionData::default() };
        let topic = FetchableTopicResponse {
            topic: "t".into(),
            topic_id: [1; 16],
            partitions: vec![partition],
        };
        encode(front, &FetchResponse { responses: vec![topic], ..Default::default() })
    }
}
