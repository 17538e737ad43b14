//! Random histories of one client and its session, against the plain truth.
//!
//! The client keeps what it is told and sends only what changes, as Kafka's clients do. After every
//! answer it must know of each of its partitions exactly what a full fetch would say, having been
//! told nothing twice, and no partition may wait while others are served again and again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const PARTITIONS: i32 = 6;

/// What a client knows of a partition: its numbers, or that it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Fine(Seen),
    Failing,
}

#[derive(Clone, Debug)]
enum Step {
    AppendToAll,
    Append {
        partition: i32,
        records: i64,
    },
    Trim {
        partition: i32,
    },
    Fail {
        partition: i32,
        failing: bool,
    },
    Want {
        partition: i32,
    },
    Drop {
        partition: i32,
    },
    Seek {
        partition: i32,
        to: i64,
    },
    /// `served_max` partitions may give records; the answer may be lost on its way, or another
    /// client's closing of the session may come before it is known.
    Fetch {
        served_max: usize,
        is_lost: bool,
        closed_meanwhile: bool,
    },
    Pass {
        seconds: u64,
    },
    /// Another client makes a session of this size.
    Crowd {
        size: i32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let partition = || 0..PARTITIONS;
    let step = prop_oneof![
        4 => (partition(), 1..5i64).prop_map(|(partition, records)| Step::Append { partition, records }),
        3 => Just(Step::AppendToAll),
        1 => partition().prop_map(|partition| Step::Trim { partition }),
        2 => (partition(), any::<bool>()).prop_map(|(partition, failing)| Step::Fail { partition, failing }),
        3 => partition().prop_map(|partition| Step::Want { partition }),
        1 => partition().prop_map(|partition| Step::Drop { partition }),
        1 => (partition(), 0..20i64).prop_map(|(partition, to)| Step::Seek { partition, to }),
        8 => (0..4usize, prop::bool::weighted(0.1), prop::bool::weighted(0.05)).prop_map(
            |(served_max, is_lost, closed_meanwhile)| Step::Fetch { served_max, is_lost, closed_meanwhile }
        ),
        1 => (0..200u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..9i32).prop_map(|size| Step::Crowd { size }),
    ];
    prop::collection::vec(step, 1..80)
}

struct World {
    truth: BTreeMap<i32, (Seen, bool)>,
    sessions: Sessions,
    now: Monotonic,
    /// Random numbers, one after the other.
    random: u64,
}

/// What a client sends.
struct Request {
    id: SessionId,
    epoch: SessionEpoch,
    asked: PartitionSet,
    forgotten: Vec<(TopicKey, i32)>,
}

/// Partition, what it is, whether it has records.
type Answer = (SessionId, Vec<(i32, View, bool)>);

impl World {
    fn truth(&self, partition: i32) -> View {
        match self.truth[&partition] {
            (_, true) => View::Failing,
            (seen, false) => View::Fine(seen),
        }
    }

    fn create(&mut self, set: PartitionSet) -> SessionId {
        self.random += 1;
        let created = self.sessions.create(self.now, Naming::Name, set, self.random);
        created.unwrap_or(SessionId::NONE)
    }

    /// What a gateway does with a fetch.
    fn serve(
        &mut self,
        mut request: Request,
        served_max: usize,
        closed_meanwhile: bool,
    ) -> Result<Answer, SessionError> {
        let Request { id, epoch, asked, forgotten } = &mut request;
        if epoch.is_full() {
            self.sessions.close(*id);
            let told = self.find(asked, served_max);
            told.iter().for_each(|told| asked.note(told.key, told.seen));
            let parts = self.parts(asked, &told);
            return Ok((self.create(request.asked), parts));
        }
        let begun = self.sessions.begin(self.now, *id, *epoch, Naming::Name, asked, forgotten)?;
        let Some(ticket) = begun else {
            let told = self.find(asked, served_max);
            return Ok((SessionId::NONE, self.parts(asked, &told)));
        };
        let set = self.sessions.set_mut(&ticket).expect("it has just begun").clone();
        if closed_meanwhile {
            self.sessions.close(*id);
        }
        let told = self.find(&set, served_max);
        self.sessions.settle(&ticket, &told)?;
        let before: BTreeMap<Key, Seen> =
            set.iter().map(|(_, entry)| (entry.key, entry.seen)).collect();
        let news: Vec<Told> =
            told.into_iter().filter(|told| told.is_news(before[&told.key])).collect();
        Ok((*id, self.parts(&set, &news)))
    }

    fn find(&self, set: &PartitionSet, served_max: usize) -> Vec<Told> {
        let mut left = served_max;
        let find = |entry: &super::Entry| {
            let (seen, is_urgent) = self.truth[&entry.key.index];
            let has_records = !is_urgent && left > 0 && entry.ask.from < seen.high_watermark;
            left -= usize::from(has_records);
            let seen = if is_urgent { Seen::NOTHING } else { seen };
            Told { key: entry.key, seen, has_records, is_urgent }
        };
        set.iter().map(|(_, entry)| entry).map(find).collect()
    }

    fn parts(&self, set: &PartitionSet, told: &[Told]) -> Vec<(i32, View, bool)> {
        assert!(set.topics().count() <= 1);
        let part = |told: &Told| (told.key.index, self.truth(told.key.index), told.has_records);
        told.iter().map(part).collect()
    }
}

#[derive(Default)]
struct Client {
    positions: BTreeMap<i32, i64>,
    view: BTreeMap<i32, View>,
    session: Option<(SessionId, SessionEpoch)>,
    /// What the session does not know yet.
    changed: BTreeSet<i32>,
    dropped: BTreeSet<i32>,
    /// Answers without records, one after the other, although there were some.
    hungry: BTreeMap<i32, usize>,
}

impl Client {
    fn request(&self) -> Request {
        let (id, epoch) = self.session.unwrap_or((SessionId::NONE, SessionEpoch::INITIAL));
        let mut asked = PartitionSet::default();
        for (partition, from) in &self.positions {
            if epoch.is_full() || self.changed.contains(partition) {
                asked.put(&named("t"), *partition, ask(*from));
            }
        }
        let forgotten = self.dropped.iter().map(|partition| (named("t"), *partition));
        Request { id, epoch, asked, forgotten: forgotten.collect() }
    }

    fn start_anew(&mut self) {
        // The old session is named, so that it is closed if it still exists.
        let id = self.session.map_or(SessionId::NONE, |(id, _)| id);
        self.session = Some((id, SessionEpoch::INITIAL));
    }

    fn fetch(&mut self, world: &mut World, served_max: usize, is_lost: bool, closed: bool) {
        let request = self.request();
        let was_full = request.epoch.is_full();
        let answer = world.serve(request, served_max, closed);
        if is_lost {
            return self.start_anew();
        }
        let (id, parts) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                assert!(!was_full, "a full fetch is refused by {error:?}");
                return self.start_anew();
            }
        };
        self.check_news(world, was_full, &parts);
        if was_full {
            self.hungry.clear();
        }
        for (partition, view, has_records) in &parts {
            self.view.insert(*partition, *view);
            if *has_records {
                self.hungry.remove(partition);
            }
        }
        (self.changed, self.dropped) = (BTreeSet::new(), BTreeSet::new());
        self.session = match (id, self.session) {
            (SessionId::NONE, _) => None,
            (id, Some((_, epoch))) if !was_full => Some((id, epoch.next())),
            (id, _) => Some((id, SessionEpoch::INITIAL.next())),
        };
        self.check_view(world, &parts, served_max);
    }

    /// What the answer says is all that is new to this client, and nothing else.
    fn check_news(&self, world: &World, was_full: bool, parts: &[(i32, View, bool)]) {
        let told: BTreeMap<i32, bool> = parts.iter().map(|part| (part.0, part.2)).collect();
        assert_eq!(told.len(), parts.len(), "a partition twice");
        for partition in told.keys() {
            assert!(self.positions.contains_key(partition), "{partition} is not wanted");
        }
        for partition in self.positions.keys() {
            let truth = world.truth(*partition);
            let is_new = truth == View::Failing || self.view.get(partition) != Some(&truth);
            let has_records = told.get(partition) == Some(&true);
            let is_told = told.contains_key(partition);
            assert_eq!(is_told, was_full || is_new || has_records, "partition {partition}");
        }
    }

    /// This client knows everything, and nobody starves.
    fn check_view(&mut self, world: &World, parts: &[(i32, View, bool)], served_max: usize) {
        for (partition, position) in &mut self.positions {
            let truth = world.truth(*partition);
            assert_eq!(self.view.get(partition), Some(&truth), "partition {partition}");
            let View::Fine(seen) = truth else { continue };
            if parts.contains(&(*partition, truth, true)) {
                *position = seen.high_watermark.0;
                self.changed.insert(*partition);
            } else if *position < seen.high_watermark.0 && served_max > 0 {
                let hungry = self.hungry.entry(*partition).or_default();
                *hungry += 1;
                assert!(*hungry < PARTITIONS as usize, "partition {partition} starves");
            }
        }
    }

    fn want(&mut self, partition: i32) {
        if let Entry::Vacant(entry) = self.positions.entry(partition) {
            entry.insert(0);
            self.changed.insert(partition);
            // Kafka's clients do not let go and take again within one request: neither does this.
            if self.dropped.remove(&partition) {
                self.start_anew();
            }
        }
    }

    fn drop(&mut self, partition: i32) {
        if self.positions.remove(&partition).is_some() {
            self.view.remove(&partition);
            self.hungry.remove(&partition);
            self.changed.remove(&partition);
            self.dropped.insert(partition);
        }
    }
}

fn live(steps: &[Step]) {
    let truth = (0..PARTITIONS).map(|partition| (partition, (seen(0, 0), false))).collect();
    let mut world = World { truth, sessions: sessions(2, 12), now: at(0), random: 0 };
    let mut client = Client::default();
    for step in steps {
        match *step {
            Step::Append { partition, records } => {
                let (seen, _) = world.truth.get_mut(&partition).expect("every one is there");
                seen.high_watermark = seen.high_watermark.plus(records);
            }
            Step::AppendToAll => {
                for (seen, _) in world.truth.values_mut() {
                    seen.high_watermark = seen.high_watermark.plus(1);
                }
            }
            Step::Trim { partition } => {
                let (seen, _) = world.truth.get_mut(&partition).expect("every one is there");
                seen.log_start = Offset((seen.log_start.0 + seen.high_watermark.0) / 2);
            }
            Step::Fail { partition, failing } => {
                world.truth.get_mut(&partition).expect("every one is there").1 = failing;
            }
            Step::Want { partition } => client.want(partition),
            Step::Drop { partition } => client.drop(partition),
            Step::Seek { partition, to } => {
                if let Some(position) = client.positions.get_mut(&partition) {
                    *position = to;
                    client.changed.insert(partition);
                }
            }
            Step::Fetch { served_max, is_lost, closed_meanwhile } => {
                client.fetch(&mut world, served_max, is_lost, closed_meanwhile);
            }
            Step::Pass { seconds } => world.now = world.now + Duration::from_secs(seconds),
            Step::Crowd { size } => {
                world.create(set(0..size));
            }
        }
        check_counts(&world.sessions);
    }
}

fn check_counts(all: &Sessions) {
    let counted: usize = all.open.values().map(|session| session.set.len()).sum();
    assert_eq!(all.partitions, counted);
    assert!(all.open.len() <= 2 && counted <= 12);
    assert_eq!(all.by_use.len(), all.open.len());
    let known = |size: &usize, id: &SessionId| all.open.get(id).is_some_and(|s| s.size == *size);
    assert!(all.by_size.iter().all(|(size, id)| known(size, id)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn what_incremental_answers_add_up_to_is_what_a_full_one_says(steps in steps()) {
        live(&steps);
    }
}
