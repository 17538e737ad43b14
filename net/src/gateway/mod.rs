//! The gateway: answers Kafka's requests on the shard where the client's socket is.
//!
//! One handler file per API family. `request` reads the front of a frame and sets up the answer,
//! `table` says how requests relate to their neighbours, `errors` maps our errors to Kafka's codes,
//! `shards` is how a handler reaches partitions and the controller. Handlers read the cluster
//! image (shared, immutable) and this node's settings; partition state is never touched here.
//!
//! Not here yet: authorization (every client may do everything), quotas and transactions.

mod admin;
mod api_versions;
mod cluster;
mod config_resources;
mod configs;
mod delete_records;
pub mod errors;
mod fetch;
mod find_coordinator;
mod groups;
pub mod internal_topics;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod partitions;
mod produce;
mod producer_ids;
pub mod report;
pub mod request;
mod run;
pub mod shards;
mod state;
pub mod table;
mod topics;

use std::rc::Rc;

use crate::conn::service::{Admitted, Client, Complaint, Frame, Offence, Ordered, Service};
use crate::wire::api::ApiKey;

use request::{Handled, Head};
pub use shards::{AdminReply, AdminRequest, LocalFuture, Shards};
pub use state::{Gateway, Settings};

/// Everything that belongs to one request.
struct Call {
    gateway: Gateway,
    client: Rc<Client>,
    head: Head,
    frame: Frame,
    ordered: Ordered,
}

impl Service for Gateway {
    type Request = Head;

    fn admit(&self, _client: &Client, frame: &[u8]) -> Result<Admitted<Head>, Offence> {
        request::admit(frame, &self.claims())
    }

    fn answer(
        &self,
        client: Rc<Client>,
        head: Head,
        frame: Frame,
        ordered: Ordered,
    ) -> impl Future<Output = Handled> + 'static {
        let call = Call { gateway: self.clone(), client, head, frame, ordered };
        dispatch(call)
    }

    fn is_pressed(&self) -> bool {
        self.fetch_memory().is_pressed()
    }

    fn complain(&self, client: &Client, complaint: &Complaint) {
        self.report(client, complaint);
    }
}

/// The dispatch table in code. Every key of `wire::api::APIS` has its arm; a test sends one request
/// of each to make sure.
async fn dispatch(call: Call) -> Handled {
    match call.head.api.key {
        ApiKey::PRODUCE => produce::handle(call).await,
        ApiKey::FETCH => fetch::handle(call).await,
        ApiKey::LIST_OFFSETS => list_offsets::handle(call).await,
        ApiKey::METADATA => metadata::handle(call).await,
        ApiKey::FIND_COORDINATOR => find_coordinator::handle(call).await,
        ApiKey::OFFSET_COMMIT => groups::commit(call).await,
        ApiKey::OFFSET_FETCH => groups::fetch(call).await,
        ApiKey::JOIN_GROUP => groups::join(call).await,
        ApiKey::HEARTBEAT => groups::heartbeat(call).await,
        ApiKey::LEAVE_GROUP => groups::leave(call).await,
        ApiKey::SYNC_GROUP => groups::sync(call).await,
        ApiKey::DESCRIBE_GROUPS => groups::describe_groups(call).await,
        ApiKey::LIST_GROUPS => groups::list_groups(call).await,
        ApiKey::DELETE_GROUPS => groups::delete_groups(call).await,
        ApiKey::OFFSET_DELETE => groups::delete(call).await,
        ApiKey::API_VERSIONS => api_versions::handle(&call),
        ApiKey::CREATE_TOPICS => topics::create(call).await,
        ApiKey::DELETE_TOPICS => topics::delete(call).await,
        ApiKey::DELETE_RECORDS => delete_records::handle(call).await,
        ApiKey::INIT_PRODUCER_ID => producer_ids::handle(call).await,
        ApiKey::OFFSET_FOR_LEADER_EPOCH => offset_for_leader_epoch::handle(call).await,
        ApiKey::DESCRIBE_CONFIGS => configs::describe(&call),
        ApiKey::ALTER_CONFIGS => configs::alter_whole(call).await,
        ApiKey::CREATE_PARTITIONS => partitions::create(call).await,
        ApiKey::INCREMENTAL_ALTER_CONFIGS => configs::alter_incrementally(call).await,
        ApiKey::DESCRIBE_CLUSTER => cluster::handle(&call),
        ApiKey::CONSUMER_GROUP_HEARTBEAT => groups::consumer_beat(call).await,
        ApiKey::CONSUMER_GROUP_DESCRIBE => groups::describe_consumers(call).await,
        ApiKey::LIST_CONFIG_RESOURCES => config_resources::list(&call),
        key => Err(Offence::Ours(Complaint::of_connection(
            "api without handler",
            format!("{key:?} stands in the table of served APIs but has no handler"),
        ))),
    }
}
