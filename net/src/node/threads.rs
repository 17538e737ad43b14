//! What runs on each shard, and the threads that run it in production.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use engine::rt::mesh::{Mesh, Port, mesh};
use engine::rt::uring::{RingOptions, ShardOptions, run_shard};
use engine::rt::{Rt, ShardMain};
use engine::types::ShardId;

use super::control::{Control, Phase};
use super::lead;
use super::message::{Post, ShardReply, ShardRequest};
use super::shard::{Shard, arena_bytes};
use super::{NodeConfig, NodeError};
use crate::gateway::LocalFuture;

/// What runs on the shards of one node, in order: the constructor for both drivers. `control` is
/// the half through which the node is told to stop; each start takes a new one.
#[must_use]
pub fn mains(config: &Arc<NodeConfig>, control: &Control) -> Vec<ShardMain> {
    assert!(config.shards > 0, "a node has at least one shard");
    let credits = config.settings.limits.mesh_credits_per_peer as usize;
    let ports = mesh(usize::from(config.shards), credits);
    let mains = ports.into_iter().map(|port| {
        let (config, control) = (Arc::clone(config), control.clone());
        let main: ShardMain = Box::new(move |rt| Box::pin(shard_main(rt, config, control, port)));
        main
    });
    mains.collect()
}

async fn shard_main(
    rt: Rt,
    config: Arc<NodeConfig>,
    control: Control,
    port: Port<ShardRequest, ShardReply>,
) {
    let mesh = port.attach(&rt);
    let post = Rc::new(MeshPost { mesh: mesh.clone() });
    let shard = Shard::new(rt.clone(), config, post);
    let serving = Rc::clone(&shard);
    mesh.serve(move |_from, request, replier| {
        serving.serve(request, Box::new(|reply| replier.reply(reply)));
    });
    if rt.shard() == ShardId(0) {
        lead::run(Rc::clone(&shard), control).await;
    }
    shard.exit.told().await;
    // The answer to the order to end is on its way; give it the turn it needs.
    rt.yield_now().await;
}

/// The mesh as handlers see it.
struct MeshPost {
    mesh: Mesh<ShardRequest, ShardReply>,
}

impl Post for MeshPost {
    fn call(&self, to: ShardId, request: ShardRequest) -> LocalFuture<ShardReply> {
        let answer = self.mesh.call(to, request);
        Box::pin(async move {
            match answer.await {
                Ok(reply) => reply,
                // The other shard has ended, and so will this one: nobody goes on from here.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// A node on threads of its own, one per shard.
#[derive(Debug)]
pub struct Node {
    control: Control,
    threads: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node: returns at once, [`Control::wait_serving`] says how it went. `cores` names the
    /// core of each shard, in order; `None` leaves a shard unpinned. `lock` is a file whose lock
    /// keeps other processes out of the data directory: every ring holds it, so that the lock of a
    /// killed process lasts as long as its writes.
    ///
    /// A panic on a shard, outside of what one connection is to blame for, aborts the process at once:
    /// the state of that shard is not to be trusted any more, and the next start recovers (design D14).
    ///
    /// # Panics
    /// If there is not one entry in `cores` per shard.
    #[must_use]
    pub fn start(config: NodeConfig, cores: &[Option<usize>], lock: Option<OwnedFd>) -> Self {
        assert_eq!(cores.len(), usize::from(config.shards), "one core, or none, for each shard");
        let control = Control::default();
        let (config, lock) = (Arc::new(config), lock.map(Arc::new));
        let mut threads = Vec::new();
        for ((main, core), shard) in mains(&config, &control).into_iter().zip(cores).zip(0..) {
            let shard = ShardId(shard);
            let hold = lock.clone();
            let options = ShardOptions { core: *core, hold, ..options(&config, shard) };
            let control_of = control.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || run(options, main, &control_of));
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => failed(&control, shard, &error.to_string()),
            }
        }
        Self { control, threads }
    }

    /// The half through which the node is watched and stopped.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Waits for the threads; the node must have been told to stop, or have ended by itself.
    pub fn join(self) {
        for thread in self.threads {
            // A shard's thread never panics: it aborts.
            let _ = thread.join();
        }
    }
}

fn options(config: &NodeConfig, shard: ShardId) -> ShardOptions {
    let limits = &config.settings.limits;
    let idle_buffers = limits.idle_receive_buffers.next_power_of_two().min(1 << 15) as u16;
    let ring = RingOptions { idle_buffers, ..RingOptions::default() };
    let on_panic = Some(abort as fn(ShardId) -> !);
    ShardOptions { ring, on_panic, ..ShardOptions::new(shard, arena_bytes(config)) }
}

fn run(options: ShardOptions, main: ShardMain, control: &Control) {
    let shard = options.shard;
    // What panics outside of the tasks, at the start or the end of a shard, ends the process too.
    let abort = AbortOnPanic(shard);
    if let Err(error) = run_shard(options, main) {
        failed(control, shard, &error.to_string());
    }
    std::mem::forget(abort);
}

/// A shard that could not start ends the node: the others are told to stop.
fn failed(control: &Control, shard: ShardId, reason: &str) {
    let reason = reason.to_owned();
    control.set_phase(Phase::Ended(Err(Arc::new(NodeError::Shard { shard, reason }))));
    control.stop();
}

/// Ends the process when it is dropped by a panic on its way up.
struct AbortOnPanic(ShardId);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        abort(self.0);
    }
}

/// The panic has told standard error what and where; this tells the log what follows from it.
fn abort(shard: ShardId) -> ! {
    tracing::error!(shard = shard.0, "a shard panicked: ending the process");
    std::process::abort();
}

#[cfg(test)]
mod tests;
