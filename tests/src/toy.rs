//! A broker of a few lines, to try the harness on: it can be right, and wrong in chosen ways.
//!
//! Its logs live in memory that survives crashes (a perfect disk), unless a [`Flaw`] says otherwise.
//! One connection is served by one task, one request at a time.

mod answers;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::rt::{Chunk, Group, ListenOptions, Rt, ShardMain, Stream};
use net::wire::header::read_request;

use crate::cluster::{MakeBroker, Started};
use store::Store;

/// In which way the broker is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// In none.
    None,
    /// A crash takes away the last batch of every log.
    ForgetsAtCrash,
    /// A crash cuts the last batch of every log short: its last record is gone.
    TearsAtCrash,
    /// Sequence numbers are ignored.
    NoDeduplication,
    /// Acknowledges one offset too high, now and then.
    WrongOffset,
    /// The high watermark is one batch short, now and then.
    WatermarkGoesBack,
    /// Fetches leave out a batch, now and then.
    SkipsOnFetch,
    /// A deleted topic keeps its data for the next one of its name.
    DeletedDataComesBack,
    /// A crash forgets the last created topic.
    ForgetsTopics,
    /// Answers nothing after the third crash.
    Hangs,
    /// One bit of a value is flipped, now and then, with a valid checksum.
    WrongBytes,
}

/// Makes toy brokers with one memory.
pub(crate) fn toy(flaw: Flaw) -> MakeBroker {
    let store = Arc::new(Mutex::new(Store::new(flaw)));
    Rc::new(move |address, shards| {
        store.lock().expect("one thread").start();
        let mains = (0..shards).map(|shard| shard_main(address, shard, store.clone())).collect();
        Started { mains, stop: Rc::new(|| {}), ended: Rc::new(|| None) }
    })
}

fn shard_main(address: SocketAddr, shard: u16, store: Arc<Mutex<Store>>) -> ShardMain {
    Box::new(move |rt: Rt| -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            if shard > 0 {
                return std::future::pending().await;
            }
            let listener = rt.listen(address, ListenOptions::default()).await.expect("a free port");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                drop(rt.spawn(Group::Produce, serve(rt.clone(), stream, store.clone())));
            }
        })
    })
}

async fn serve(rt: Rt, stream: Stream, store: Arc<Mutex<Store>>) {
    let mut bytes = Vec::new();
    loop {
        while let Some(frame) = take_frame(&mut bytes) {
            let front = read_request(&frame).expect("our client writes well");
            let (answer, wait) = answers::answer(&mut store.lock().expect("one thread"), &front);
            rt.sleep(wait).await;
            // A step of disk I/O per request: runs are measured out in them.
            let _ = rt.stat(Path::new("/")).await;
            if store.lock().expect("one thread").hangs() {
                return std::future::pending().await;
            }
            if let Some(answer) = answer
                && stream.send(vec![Chunk::Bytes(answer)]).await.is_err()
            {
                return;
            }
        }
        match stream.recv_some(4096).await {
            Ok(more) if !more.is_empty() => bytes.extend_from_slice(&more),
            _ => return,
        }
    }
}

fn take_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let len = i32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    let frame = bytes.get(4..4 + len)?.to_vec();
    bytes.drain(..4 + len);
    Some(frame)
}

/// What reading from memory and writing to it takes.
const WORK: Duration = Duration::from_micros(300);
