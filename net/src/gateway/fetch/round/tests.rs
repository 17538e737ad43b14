//! How a round shares what it may give, and that it gives one batch also while memory is short.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::batch::{BatchBuilder, Codec, NewRecord};
use engine::memory::Lent;
use engine::rt::sim::{NodeOptions, World};
use engine::rt::{Group, Rt};
use engine::types::{NodeId, PartitionId, PartitionIndex, ShardId, TopicId};
use replication::partition::Watched;
use replication::quorum::QuorumError;
use tuning::config::{BrokerConfig, ConfigMap};
use tuning::limits::Limits;

use super::super::sessions::{Ask, PartitionSet, TopicKey};
use super::*;
use crate::conn::counters::Counters;
use crate::conn::serve::Stop;
use crate::coordinator::{GroupReply, GroupRequest};
use crate::gateway::shards::{AdminReply, AdminRequest, LocalFuture, Shards};
use crate::gateway::state::Settings;

const OWNER: ShardId = ShardId(0);
const EMPTY: PartitionIndex = PartitionIndex(0);
const ASK_TAKES: Duration = Duration::from_secs(1);

fn wishes(sizes: &[u32]) -> Vec<Wanted> {
    let mut set = PartitionSet::default();
    for (index, bytes_max) in sizes.iter().enumerate() {
        let ask = Ask {
            from: Offset(0),
            current_leader_epoch: None,
            last_fetched_epoch: None,
            bytes_max: *bytes_max,
        };
        set.put(&TopicKey::Name("t".into()), index as i32, ask);
    }
    let all = set.iter().map(|(_, entry)| Wanted {
        key: entry.key,
        ask: entry.ask,
        id: Ok(PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(entry.key.index) }),
        seen: None,
    });
    all.collect()
}

#[test]
fn shares_never_exceed_what_is_left_and_always_go_on() {
    let rest = wishes(&[10, 10, 10]);
    assert_eq!(shares(&rest, 100), [10, 10, 10]);
    assert_eq!(shares(&rest, 25), [10, 10], "the third waits for what is left over");
    assert_eq!(shares(&rest, 5), [5], "one is asked even if it cannot be served in full");
    assert_eq!(shares(&rest, 0), [0, 0, 0], "the others still tell their watermarks");
    let many = wishes(&[1; 100]);
    assert_eq!(shares(&many, 1000).len(), RUN_MAX);
}

/// An owner of partitions, each with one batch but for one that is empty. It takes its time.
struct Owner(Rt);

impl Owner {
    fn batch(&self) -> Lent {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(&NewRecord { value: Some(b"hello"), ..NewRecord::default() });
        let batch = builder.build();
        let mut memory = self.0.arena().alloc(batch.len()).expect("room for a batch");
        memory[..batch.len()].copy_from_slice(&batch);
        memory.freeze().slice(0..batch.len()).lend()
    }

    fn read(&self, call: &FetchCall) -> FetchOk {
        let is_empty = call.id.index == EMPTY;
        let batch = (!is_empty).then(|| self.batch());
        let is_given = |batch: &Lent| call.at_least_one || batch.len() <= call.bytes_max as usize;
        let end = Offset(if is_empty { 0 } else { 1 });
        FetchOk {
            views: batch.filter(is_given).into_iter().collect(),
            high_watermark: end,
            last_stable_offset: end,
            log_start: Offset(0),
            aborted: Vec::new(),
            diverging: None,
        }
    }
}

impl Shards for Owner {
    fn count(&self) -> u16 {
        1
    }

    fn owner(&self, _id: PartitionId) -> ShardId {
        OWNER
    }

    fn partition(
        &self,
        _id: PartitionId,
        request: PartitionRequest,
    ) -> LocalFuture<PartitionReply> {
        let PartitionRequest::Fetch(call) = request else { unreachable!("a round only fetches") };
        let (read, taking) = (self.read(&call), self.0.sleep(ASK_TAKES));
        Box::pin(async move {
            taking.await;
            PartitionReply::Fetch(Ok(read))
        })
    }

    fn wait(&self, _partitions: Vec<Watched>, _timeout: Duration) -> LocalFuture<()> {
        unreachable!("a round does not wait")
    }

    fn coordinator(&self, _id: PartitionId, _request: GroupRequest) -> LocalFuture<GroupReply> {
        unreachable!("a round asks no coordinator")
    }

    fn admin(&self, _request: AdminRequest) -> LocalFuture<Result<AdminReply, QuorumError>> {
        unreachable!("a round asks no controller")
    }
}

fn gateway(rt: &Rt) -> Gateway {
    let settings = Settings {
        node: NodeId(1),
        broker: BrokerConfig::default(),
        file: ConfigMap::new(),
        listeners: Vec::new(),
        limits: Limits::DEFAULT,
    };
    let (shards, counters) = (Rc::new(Owner(rt.clone())), Rc::new(Counters::default()));
    Gateway::new(rt.clone(), Arc::new(settings), shards, 1, Stop::default(), counters)
}

/// Other fetches wait for all the memory there is, get it with the first that goes back, and hold it for a while.
async fn press(gateway: Gateway, hold: Duration) {
    let (rt, all) = (gateway.rt(), Limits::DEFAULT.fetch_bytes_budget as u32);
    rt.sleep(ASK_TAKES / 2).await;
    let due = rt.now() + Duration::from_secs(60);
    let held = gateway.fetch_memory().reserve(rt, OWNER, all, due).await.expect("its turn comes");
    rt.sleep(hold).await;
    drop(held);
}

/// The bytes that each of two partitions gives, the first of which is empty and the other's first batch larger than
/// its share, and how long that takes.
async fn round_under_pressure(rt: &Rt, hold: Duration, within: Duration) -> (Vec<usize>, Duration) {
    let gateway = gateway(rt);
    let pressing = rt.spawn(Group::Fetch, press(gateway.clone(), hold));
    let wish = Wish {
        topics: BTreeMap::new(),
        partitions: wishes(&[10, 10]),
        isolation: Isolation::ReadUncommitted,
        bytes_max: 100,
        bytes_min: 1,
        wait: within,
    };
    let begun = rt.now();
    let found = round(&gateway, &wish, begun + within).await;
    let took = rt.now().since(begun);
    pressing.await.expect("it runs to its end");
    (found.iter().map(Found::bytes).collect(), took)
}

/// The one batch that a fetch gives in any case was asked for with what memory was free just then. With none it came
/// back empty, and so did the next fetch, as long as others were pressing.
#[test]
fn a_fetch_with_nothing_yet_waits_in_line_for_its_one_batch() {
    let mut world = World::new(1);
    let node = world.add_once(NodeOptions::default(), |rt| async move {
        let (hold, patience) = (2 * ASK_TAKES, 10 * ASK_TAKES);
        let batch_bytes = Owner(rt.clone()).batch().len();
        let given = round_under_pressure(&rt, hold, patience).await;
        assert_eq!(given.0, [0, batch_bytes]);
        assert!(given.1 >= ASK_TAKES + hold, "it waited for its turn: {:?}", given.1);
        let given = round_under_pressure(&rt, patience, hold).await;
        assert_eq!(given.0, [0, 0], "nobody waits for longer than the fetch may");
        assert!(given.1 < patience, "{:?}", given.1);
    });
    assert!(world.run_to_end(node, Duration::from_secs(600)), "it hangs");
}
