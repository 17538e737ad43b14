//! Listening, connecting, receiving, sending.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use engine::rt::{
    Chunk, Errno, Group, ListenOptions, Listener, OpenOptions, Rt, Stream, WriteFlags,
};

use crate::harness::{contract, filled};

const ALONE: ListenOptions = ListenOptions { reuse_port: false, backlog: 16 };

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn pair(rt: &Rt) -> (Stream, Stream) {
    let listener = rt.listen(any(), ALONE).await.unwrap();
    let addr = listener.local_addr();
    let own = rt.clone();
    let caller = rt.spawn(Group::Produce, async move { own.connect(addr).await.unwrap() });
    let (callee, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, callee.peer());
    let caller = caller.await.unwrap();
    assert_eq!(caller.peer(), addr);
    (caller, callee)
}

fn bytes(data: &'static [u8]) -> Vec<Chunk> {
    vec![Bytes::from_static(data).into()]
}

async fn read_all(rt: &Rt, stream: &Stream) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    let mut buf = rt.arena().alloc(65536).unwrap();
    loop {
        let (result, back) = stream.recv(buf, 0, 65536).await;
        buf = back;
        match result? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

contract!(bytes_arrive_in_order_and_then_the_end, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    caller.send(bytes(b"hello ")).await.unwrap();
    caller.send(bytes(b"world")).await.unwrap();
    caller.shutdown();
    assert_eq!(read_all(rt, &callee).await.unwrap(), b"hello world");
    assert_eq!(callee.recv_some(10).await.unwrap(), Bytes::new());
    // Half closed: the other direction still works.
    callee.send(bytes(b"answer")).await.unwrap();
    drop(callee);
    assert_eq!(read_all(rt, &caller).await.unwrap(), b"answer");
    assert_eq!(caller.send(bytes(b"more")).await, Err(Errno::EPIPE));
});

contract!(a_large_send_goes_out_whole, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    let view = filled(rt, 3 << 20, 2).freeze();
    let mut chunks: Vec<Chunk> = vec![Bytes::from_static(b"head").into()];
    chunks.push(view.slice(0..1_000_000).into());
    chunks.push(Bytes::new().into());
    for index in 0..1000 {
        chunks.push(Bytes::from(vec![index as u8; 3]).into());
    }
    chunks.push(view.slice(1_000_000..3 << 20).lend().into());
    let expected: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.to_vec()).collect();
    let sending = rt.spawn(Group::Fetch, async move {
        caller.send(chunks).await.unwrap();
    });
    assert!(read_all(rt, &callee).await.unwrap() == expected);
    sending.await.unwrap();
    drop(view);
    rt.arena().reclaim_loans();
});

contract!(recv_full_fills_and_recv_some_takes_what_is_there, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    let own = rt.clone();
    let sending = rt.spawn(Group::Fetch, async move {
        for part in [&b"\0\0\0\x08"[..], b"abc", b"defgh", b"tail"] {
            caller.send(bytes(part)).await.unwrap();
            own.sleep(Duration::from_millis(2)).await;
        }
    });
    let mut prefix = Vec::new();
    while prefix.len() < 4 {
        prefix.extend_from_slice(&callee.recv_some(4 - prefix.len()).await.unwrap());
    }
    assert_eq!(prefix, [0, 0, 0, 8]);
    let (result, buf) = callee.recv_full(filled(rt, 4096, 9), 10, 8).await;
    assert_eq!((result, &buf[9..19]), (Ok(8), &b"\x09abcdefgh\x09"[..]));
    sending.await.unwrap();
    let (result, buf) = callee.recv_full(buf, 0, 4096).await;
    assert_eq!((result, &buf[..4]), (Ok(4), &b"tail"[..]));
});

contract!(idle_connections_hold_no_memory, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    let waiting = rt.spawn(Group::Fetch, async move { callee.recv_some(100).await });
    rt.sleep(Duration::from_millis(5)).await;
    assert_eq!(rt.arena().used_bytes(), 0);
    caller.send(bytes(b"x")).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Bytes::from_static(b"x"));
});

contract!(nobody_listens, async |rt: &Rt, _dir: &Path| {
    let listener = rt.listen(any(), ALONE).await.unwrap();
    let addr = listener.local_addr();
    assert_eq!(rt.listen(addr, ALONE).await.unwrap_err(), Errno::EADDRINUSE);
    drop(listener);
    assert_eq!(rt.connect(addr).await.unwrap_err(), Errno::ECONNREFUSED);
    let foreign = "203.0.113.7:0".parse().unwrap();
    assert_eq!(rt.listen(foreign, ALONE).await.unwrap_err(), Errno::EADDRNOTAVAIL);
});

contract!(several_listeners_share_a_port, async |rt: &Rt, _dir: &Path| {
    let first = rt.listen(any(), ListenOptions::default()).await.unwrap();
    let second = rt.listen(first.local_addr(), ListenOptions::default()).await.unwrap();
    let accepting = |listener: Listener| {
        rt.spawn(Group::Produce, async move {
            let mut count = 0;
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count += 1;
                stream.send(vec![Bytes::from(vec![count]).into()]).await.unwrap();
            }
        })
    };
    let addr = first.local_addr();
    let tasks = [accepting(first), accepting(second)];
    let mut highest = 0;
    for _ in 0..60 {
        let stream = rt.connect(addr).await.unwrap();
        highest = highest.max(stream.recv_some(1).await.unwrap()[0]);
    }
    assert!(highest < 60, "both listeners had some of the connections");
    tasks.iter().for_each(|task| task.cancel());
    while rt.operations() > 0 {
        rt.sleep(Duration::from_millis(1)).await;
    }
});

contract!(closing_with_unread_bytes_resets, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    caller.send(bytes(b"never read")).await.unwrap();
    rt.sleep(Duration::from_millis(20)).await;
    drop(callee);
    let (result, _) = caller.recv(filled(rt, 4096, 0), 0, 10).await;
    assert_eq!(result, Err(Errno::ECONNRESET));
    let mut sent = Ok(());
    for _ in 0..10 {
        sent = caller.send(bytes(b"more")).await;
        rt.sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sent, Err(Errno::EPIPE));
});

contract!(a_cancelled_receive_ends_and_its_buffer_comes_home, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    let buf = filled(rt, 4096, 0);
    let short = Duration::from_millis(2);
    assert!(rt.timeout(short, callee.recv(buf, 0, 10)).await.is_err());
    assert!(rt.timeout(short, callee.recv_some(10)).await.is_err());
    while rt.operations() > 0 {
        rt.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rt.arena().used_bytes(), 0);
    drop(caller);
});

contract!(a_full_window_holds_the_sender, async |rt: &Rt, _dir: &Path| {
    let (caller, callee) = pair(rt).await;
    let view = filled(rt, 16 << 20, 4).freeze();
    let sending = rt.spawn(Group::Fetch, async move {
        caller.send(vec![view.into()]).await.unwrap();
    });
    rt.sleep(Duration::from_millis(50)).await;
    assert_eq!(rt.arena().used_bytes(), 16 << 20, "nobody reads: the send is not through");
    assert_eq!(read_all(rt, &callee).await.unwrap().len(), 16 << 20);
    sending.await.unwrap();
});

contract!(files_are_sent, async |rt: &Rt, dir: &Path| {
    let path = dir.join("segment");
    let file = rt.open(&path, OpenOptions::direct()).await.unwrap();
    let mut buf = rt.arena().alloc(5 << 20).unwrap();
    buf.iter_mut().enumerate().for_each(|(index, byte)| *byte = (index * 7 / 4096) as u8);
    let expected = buf.to_vec();
    assert_eq!(file.write_at(buf, 0, WriteFlags::NONE).await.0, Ok(5 << 20));
    file.sync_all().await.unwrap();
    let plain = rt.open(&path, OpenOptions::reading()).await.unwrap();
    let (caller, callee) = pair(rt).await;
    let sending = rt.spawn(Group::Fetch, async move {
        caller.send(bytes(b"head")).await.unwrap();
        // Cold first, then warm, then past the end.
        assert_eq!(caller.send_file(&plain, 100, 5_000_000).await, Ok(5_000_000));
        assert_eq!(caller.send_file(&plain, 0, 1000).await, Ok(1000));
        assert_eq!(caller.send_file(&plain, (5 << 20) - 10, 1000).await, Ok(10));
        assert_eq!(caller.send_file(&plain, 6 << 20, 1000).await, Ok(0));
        caller.send(bytes(b"foot")).await.unwrap();
    });
    let got = read_all(rt, &callee).await.unwrap();
    sending.await.unwrap();
    assert_eq!((&got[..4], &got[got.len() - 4..]), (&b"head"[..], &b"foot"[..]));
    let parts = [&expected[100..5_000_100], &expected[..1000], &expected[(5 << 20) - 10..]];
    assert!(got[4..got.len() - 4] == parts.concat());
});

contract!(sending_a_file_to_nobody_is_an_error, async |rt: &Rt, dir: &Path| {
    let options = OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
    let file = rt.open(&dir.join("f"), options).await.unwrap();
    assert_eq!(file.write_at(filled(rt, 1 << 20, 1), 0, WriteFlags::NONE).await.0, Ok(1 << 20));
    let (caller, callee) = pair(rt).await;
    drop(callee);
    rt.sleep(Duration::from_millis(5)).await;
    let mut last = Ok(0);
    for _ in 0..10 {
        last = caller.send_file(&file, 0, 1 << 20).await;
        rt.sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(last, Err(Errno::EPIPE));
});
