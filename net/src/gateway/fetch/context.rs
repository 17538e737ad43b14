//! Which session a fetch belongs to, from its request to its answer.

use replication::image::ClusterImage;

use super::sessions::{PartitionSet, SessionEpoch, SessionError, SessionId, Ticket, Told};
use super::wish::{self, Wish};
use crate::gateway::errors::{self, Naming};
use crate::gateway::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::FetchRequest;

/// From this version on there are sessions (KIP-227).
const SESSIONS_FROM: i16 = 7;
/// From this version on, topics are named by id (KIP-516).
const IDS_FROM: i16 = 13;

/// How a fetch relates to sessions.
pub(super) enum Context {
    /// Not at all.
    Sessionless,
    /// It would like one of these partitions.
    Full(Naming, PartitionSet),
    /// It goes on in one.
    Incremental(Ticket),
}

/// A fetch that gets no partitions in its answer, only this.
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) session: SessionId,
}

impl From<SessionError> for Refused {
    fn from(error: SessionError) -> Self {
        Self { code: errors::fetch_session(error), session: SessionId::NONE }
    }
}

/// Begins a fetch: finds its session and what it wants.
pub(super) fn open(
    gateway: &Gateway,
    image: &ClusterImage,
    request: &FetchRequest<'_>,
    version: i16,
) -> Result<(Context, Wish), Refused> {
    let naming = if version >= IDS_FROM { Naming::Id } else { Naming::Name };
    let (id, epoch) = (SessionId(request.session_id), SessionEpoch(request.session_epoch));
    let mut asked = wish::asked(request, naming);
    let mut wish = Wish::new(gateway, request);
    let mut sessions = gateway.fetch_sessions().borrow_mut();
    let mut context = Context::Sessionless;
    if version >= SESSIONS_FROM && !epoch.is_full() {
        let forgotten = wish::forgotten(request, naming);
        let now = gateway.rt().now();
        let begun = sessions.begin(now, id, epoch, naming, &asked, &forgotten)?;
        if let Some(ticket) = begun {
            let set = sessions.set_mut(&ticket).expect("the session that has just begun");
            wish.want(image, set, true);
            context = Context::Incremental(ticket);
        }
    } else if version >= SESSIONS_FROM {
        sessions.close(id);
    }
    if let Context::Sessionless = context {
        wish.want(image, &mut asked, false);
        if version >= SESSIONS_FROM && epoch == SessionEpoch::INITIAL && !is_replica(request) {
            context = Context::Full(naming, asked);
        }
    }
    // A consumer is no replica: whoever says it is one is not believed (CVE-2018-1288).
    if is_replica(request) {
        wish.refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    Ok((context, wish))
}

/// Replica ids of consumers are below zero; from version 15 on the id stands in a tagged field.
fn is_replica(request: &FetchRequest<'_>) -> bool {
    request.replica_id >= 0 || request.replica_state.replica_id >= 0
}

impl Context {
    /// Ends a fetch: the session that its answer names. `told` is what was found, in the order of
    /// the answer, also what is no news.
    pub(super) fn conclude(self, gateway: &Gateway, told: &[Told]) -> Result<SessionId, Refused> {
        let mut sessions = gateway.fetch_sessions().borrow_mut();
        match self {
            Self::Sessionless => Ok(SessionId::NONE),
            Self::Full(naming, mut set) => {
                for told in told {
                    set.note(told.key, told.seen);
                    set.move_to_end(told.key);
                }
                let rt = gateway.rt();
                let created = sessions.create(rt.now(), naming, set, rt.random_u64());
                Ok(created.unwrap_or(SessionId::NONE))
            }
            Self::Incremental(ticket) => match sessions.settle(&ticket, told) {
                Ok(()) => Ok(ticket.id),
                Err(error) => Err(Refused { session: ticket.id, ..error.into() }),
            },
        }
    }
}
