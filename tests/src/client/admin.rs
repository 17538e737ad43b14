//! Metadata, topics and offsets: the questions that are asked one at a time.

use std::time::Duration;

use engine::types::TopicId;
use net::wire::Message;
use net::wire::Request;
use net::wire::errors::ErrorCode;
use net::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use net::wire::messages::delete_topics_request::DeleteTopicState;
use net::wire::messages::metadata_request::MetadataRequestTopic;
use net::wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListOffsetsResponse, MetadataRequest,
    MetadataResponse,
};

use super::connection::{Connection, Lost};
use super::dial::Dial;
use super::request::{self, TopicName, decode};

/// Milliseconds that a broker may take for a change of topics.
const CHANGE_TIMEOUT_MS: i32 = 5_000;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// The connection broke first; a change may or may not have happened.
    Lost,
    /// The broker said no.
    Code(ErrorCode),
}

impl From<Lost> for AdminError {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

type Result<T> = std::result::Result<T, AdminError>;

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
    /// Its configs.
    pub configs: Vec<(&'static str, String)>,
}

/// Asks one question after the other, connecting as needed.
pub struct Admin {
    dial: Dial,
    connection: Option<Connection>,
}

impl Admin {
    /// An admin client; connects at its first question.
    #[must_use]
    pub fn new(dial: Dial) -> Self {
        Self { dial, connection: None }
    }

    /// The client's surroundings.
    #[must_use]
    pub fn dial(&self) -> &Dial {
        &self.dial
    }

    async fn ask<'a, M: Message<'a> + Request>(
        &mut self,
        version: i16,
        request: &M,
    ) -> Result<Vec<u8>> {
        if self.connection.as_ref().is_none_or(Connection::is_broken) {
            self.connection = Some(self.dial.once().await?);
        }
        let connection = self.connection.clone().expect("connected above");
        Ok(connection.call(version, request, self.dial.patience).await?)
    }

    /// An answer that cannot be read is written down: the broker wrote nonsense.
    fn read<'a, M: Message<'a>>(&self, frame: &'a [u8], version: i16) -> Result<M> {
        decode(frame, version).map_err(|Lost| {
            let what = format!("{}: an answer that cannot be read: {frame:02x?}", self.dial.who);
            self.dial.history.misbehaved("answer-malformed", what);
            AdminError::Lost
        })
    }

    /// Creates a topic; its id, from version 7 on.
    ///
    /// # Errors
    /// [`AdminError`]; after `Lost` the topic may exist.
    pub async fn create(&mut self, topic: &NewTopic) -> Result<()> {
        let configs = topic.configs.iter();
        let row = CreatableTopic {
            name: &topic.name,
            num_partitions: topic.partitions,
            replication_factor: 1,
            configs: configs
                .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
                .collect(),
            ..CreatableTopic::default()
        };
        let version = self.dial.dialect.create_topics;
        let request = CreateTopicsRequest {
            topics: vec![row],
            timeout_ms: CHANGE_TIMEOUT_MS,
            validate_only: false,
        };
        let frame = self.ask(version, &request).await?;
        let answer: CreateTopicsResponse<'_> = self.read(&frame, version)?;
        let code =
            answer.topics.first().map_or(ErrorCode::UNKNOWN_SERVER_ERROR.0, |t| t.error_code);
        check(code)
    }

    /// Deletes a topic by name.
    ///
    /// # Errors
    /// [`AdminError`]; after `Lost` the topic may be gone.
    pub async fn delete(&mut self, name: &str) -> Result<()> {
        let version = self.dial.dialect.delete_topics;
        let mut request =
            DeleteTopicsRequest { timeout_ms: CHANGE_TIMEOUT_MS, ..DeleteTopicsRequest::default() };
        if version >= 6 {
            request
                .topics
                .push(DeleteTopicState { name: Some(name), ..DeleteTopicState::default() });
        } else {
            request.topic_names.push(name);
        }
        let frame = self.ask(version, &request).await?;
        let answer: DeleteTopicsResponse<'_> = self.read(&frame, version)?;
        let code =
            answer.responses.first().map_or(ErrorCode::UNKNOWN_SERVER_ERROR.0, |t| t.error_code);
        check(code)
    }

    /// The id of a topic, and how many partitions it has.
    ///
    /// # Errors
    /// [`AdminError`]: UNKNOWN_TOPIC_OR_PARTITION when there is none.
    pub async fn find(&mut self, name: &str) -> Result<(TopicName, usize)> {
        let version = self.dial.dialect.metadata;
        let asked = MetadataRequestTopic { topic_id: [0; 16], name: Some(name) };
        let request = MetadataRequest {
            topics: Some(vec![asked]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let frame = self.ask(version, &request).await?;
        let answer: MetadataResponse<'_> = self.read(&frame, version)?;
        let Some(topic) = answer.topics.first() else {
            return Err(AdminError::Code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        };
        check(topic.error_code)?;
        let name = TopicName { name: name.to_owned(), id: TopicId(topic.topic_id) };
        Ok((name, topic.partitions.len()))
    }

    /// All topics.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topics(&mut self) -> Result<Vec<TopicName>> {
        let version = self.dial.dialect.metadata;
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let frame = self.ask(version, &request).await?;
        let answer: MetadataResponse<'_> = self.read(&frame, version)?;
        let topics = answer.topics.iter().filter(|topic| !topic.is_internal).filter_map(|topic| {
            let name = topic.name.as_ref()?.to_string();
            Some(TopicName { name, id: TopicId(topic.topic_id) })
        });
        Ok(topics.collect())
    }

    /// A new producer id and its epoch.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn init_producer_id(&mut self) -> Result<(i64, i16)> {
        let version = self.dial.dialect.init_producer_id;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        let frame = self.ask(version, &request).await?;
        let answer: InitProducerIdResponse = self.read(&frame, version)?;
        check(answer.error_code)?;
        Ok((answer.producer_id, answer.producer_epoch))
    }

    /// Offset and timestamp for a ListOffsets timestamp (-1 latest, -2 earliest, or a time).
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> Result<(i64, i64)> {
        let version = self.dial.dialect.list_offsets;
        let request = request::list_offsets(topic, partition, timestamp);
        let frame = self.ask(version, &request).await?;
        let answer: ListOffsetsResponse<'_> = self.read(&frame, version)?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        let Some(found) = found else {
            return Err(AdminError::Code(ErrorCode::UNKNOWN_SERVER_ERROR));
        };
        check(found.error_code)?;
        Ok((found.offset, found.timestamp))
    }

    /// Asks until there is an answer other than "not now"; gives up after `patience`.
    ///
    /// # Errors
    /// The last error that trying again does not mend, or the last one in time.
    pub async fn insist<T>(
        &mut self,
        patience: Duration,
        mut ask: impl AsyncFnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let deadline = self.dial.rt.now() + patience;
        loop {
            let error = match ask(self).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let lasting = matches!(error, AdminError::Code(code) if !code.is_retriable());
            if lasting || self.dial.rt.now() >= deadline {
                return Err(error);
            }
            self.dial.back_off().await;
        }
    }
}

fn check(code: i16) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(AdminError::Code(ErrorCode(code))) }
}
