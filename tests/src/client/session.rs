//! A consumer's fetch session (KIP-227): what it need not ask again, and what it was told before.
//!
//! Like Kafka's own clients: it begins with a full fetch, sends what changed since, and after
//! anything that went wrong it starts anew, naming the old session so that it is closed. What an
//! answer leaves out is as it was told last, and is handed on as such: a broker that forgets to tell
//! shows to the checkers as one that tells old news.

use std::collections::BTreeMap;

use net::wire::errors::ErrorCode;
use net::wire::messages::{FetchRequest, fetch_request};

use super::consumer::Fetched;
use super::request::{FETCH_BY_ID, Position, TopicName};

/// First Fetch version with sessions.
pub(super) const SESSIONS_FROM: i16 = 7;
/// The session epoch of a fetch that would like a session.
const INITIAL: i32 = 0;

/// What a consumer knows of its session.
#[derive(Default)]
pub(super) struct FetchSession {
    id: i32,
    epoch: i32,
    topic: Option<TopicName>,
    asked: BTreeMap<i32, Position>,
    /// High watermark and log start.
    told: BTreeMap<i32, (i64, i64)>,
}

impl FetchSession {
    /// The next fetch is a full one.
    pub(super) fn start_anew(&mut self) {
        self.epoch = INITIAL;
    }

    /// Which of `wanted` must be said.
    pub(super) fn changes(&mut self, topic: &TopicName, wanted: &[Position]) -> Vec<Position> {
        if self.topic.as_ref() != Some(topic) {
            self.topic = Some(topic.clone());
            self.start_anew();
        }
        if self.epoch == INITIAL {
            (self.asked, self.told) = (BTreeMap::new(), BTreeMap::new());
        }
        let is_new = |position: &&Position| self.asked.get(&position.partition) != Some(position);
        wanted.iter().filter(is_new).copied().collect()
    }

    /// Makes a request of `changes` one of this session, of which `wanted` stays.
    pub(super) fn join<'a>(
        &mut self,
        request: &mut FetchRequest<'a>,
        topic: &'a TopicName,
        wanted: &[Position],
        version: i16,
    ) {
        (request.session_id, request.session_epoch) = (self.id, self.epoch);
        let keeps = |index: &i32| wanted.iter().any(|position| position.partition == *index);
        let dropped: Vec<i32> = self.asked.keys().copied().filter(|index| !keeps(index)).collect();
        let by_id = version >= FETCH_BY_ID;
        if !dropped.is_empty() {
            request.forgotten_topics_data = vec![fetch_request::ForgottenTopic {
                topic: if by_id { "" } else { &topic.name },
                topic_id: if by_id { topic.id.0 } else { [0; 16] },
                partitions: dropped,
            }];
        }
        if request.topics.iter().all(|topic| topic.partitions.is_empty()) {
            request.topics.clear();
        }
        self.asked = wanted.iter().map(|position| (position.partition, *position)).collect();
        self.told.retain(|index, _| keeps(index));
    }

    /// Whether the broker may refuse a fetch with `code`; the next one is a full one then.
    pub(super) fn may_refuse(&mut self, code: ErrorCode) -> bool {
        // It may have closed the session, but it never confuses the epochs of a client that waits
        // for each answer.
        let known = self.epoch != INITIAL && code == ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        self.start_anew();
        known
    }

    /// Takes an answer, and adds to it what it left out.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(super) fn take(&mut self, id: i32, fetched: &mut Vec<Fetched>) -> Result<(), String> {
        let was_full = self.epoch == INITIAL;
        if !was_full && id != self.id {
            return Err(format!("session {id} answers for session {}", self.id));
        }
        for part in fetched.iter() {
            self.told.remove(&part.partition);
            if part.code == ErrorCode::NONE {
                self.told.insert(part.partition, (part.high_watermark, part.log_start));
            }
        }
        for partition in self.asked.keys().copied() {
            if fetched.iter().any(|part| part.partition == partition) {
                continue;
            }
            let told = self.told.get(&partition).filter(|_| !was_full);
            let Some(&(high_watermark, log_start)) = told else {
                return Err(format!("session {id} leaves out partition {partition}"));
            };
            let (code, records) = (ErrorCode::NONE, Ok(Vec::new()));
            fetched.push(Fetched {
                partition,
                code,
                records,
                next: None,
                high_watermark,
                log_start,
            });
        }
        self.id = id;
        self.epoch = if id == 0 { INITIAL } else { self.epoch + 1 };
        Ok(())
    }
}
