//! The members of the large group, on a thread of their own: what keeps them busy must not delay those who
//! measure what the broker does meanwhile.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::super::connection::Connection;
use super::super::on_executor;
use super::board::Board;
use super::member::Member;
use crate::cli::GroupsOptions;

/// The large group's id.
pub(super) const LARGE: &str = "large";
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The crowd, as the measuring thread sees it.
pub(super) struct Crowd {
    orders: Arc<Orders>,
    thread: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct Orders {
    /// Members that there are to be.
    wanted: AtomicUsize,
    stop: AtomicBool,
    board: Arc<Board>,
    /// Why a member ended.
    failed: Mutex<Option<anyhow::Error>>,
}

impl Orders {
    fn fail(&self, error: anyhow::Error) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl Crowd {
    /// An empty crowd whose members will connect to `coordinator`.
    pub(super) fn start(options: &GroupsOptions, coordinator: String) -> Self {
        let orders = Arc::new(Orders::default());
        let (core, options, own) = (options.target.core, options.clone(), Arc::clone(&orders));
        let thread = std::thread::spawn(move || {
            on_executor(core, move || async move { gather(&options, &coordinator, own).await })
        });
        Self { orders, thread }
    }

    /// So many more members join.
    pub(super) fn grow(&self, more: usize) {
        self.orders.board.expect(more);
        self.orders.wanted.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn board(&self) -> &Board {
        &self.orders.board
    }

    /// # Errors
    /// Why a member ended.
    pub(super) fn check(&self) -> Result<()> {
        let failed = self.orders.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err)
    }

    /// Ends all members.
    pub(super) fn stop(self) -> Result<()> {
        self.orders.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the members' thread panicked"))?
    }
}

async fn gather(options: &GroupsOptions, coordinator: &str, orders: Arc<Orders>) -> Result<()> {
    let heartbeat_every = Duration::from_millis(options.heartbeat_ms);
    let step = heartbeat_every / options.members.max(1) as u32;
    let topic: Rc<str> = options.target.topic.as_str().into();
    let mut started = 0_u32;
    while !orders.stop.load(Ordering::Relaxed) {
        while (started as usize) < orders.wanted.load(Ordering::Relaxed) {
            let connection = match Connection::open(coordinator).await {
                Ok(connection) => connection,
                Err(error) => {
                    orders.fail(error);
                    return Ok(());
                }
            };
            let (own, topic) = (Arc::clone(&orders), Rc::clone(&topic));
            glommio::spawn_local(async move {
                let member = Member {
                    connection,
                    consumer_group: LARGE.into(),
                    topic,
                    board: Arc::clone(&own.board),
                    heartbeats: None,
                    heartbeat_every,
                    commits: None,
                    offset: step * started,
                };
                if let Err(error) = member.run().await {
                    own.fail(error);
                }
            })
            .detach();
            started += 1;
        }
        glommio::timer::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
