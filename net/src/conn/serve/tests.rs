//! Connections in a simulated world: a server that answers commands, and clients that misbehave.
//!
//! A command is a frame of at least ten bytes: what to do, after how many milliseconds, and how
//! many bytes to answer. The answer is the command's own first ten bytes, repeated to that length,
//! behind a length prefix.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use engine::rt::sim::{NodeIndex, NodeOptions, World, local_main};
use engine::rt::sync::join_all;
use engine::rt::{Chunk, ListenOptions, Rt, Stream};

use super::*;
use crate::conn::admission::{Admission, AdmissionLimits};
use crate::conn::listen::{Room, accept};

const PORT: u16 = 9092;
const LONG: Duration = Duration::from_secs(4000);

#[derive(Clone)]
struct Commands {
    rt: Rt,
    pressed: Rc<Cell<bool>>,
    complaints: Rc<RefCell<Vec<String>>>,
}

/// What a frame asks for: its letter says how it ends.
#[derive(Clone, Copy)]
struct Command {
    letter: u8,
    wait_ms: u16,
    bytes: u32,
}

fn command(letter: u8, wait_ms: u16, bytes: u32) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32(10);
    frame.put_u8(letter);
    frame.put_u16(wait_ms);
    frame.put_u32(bytes);
    frame.put_bytes(0, 3);
    frame.freeze()
}

impl Service for Commands {
    type Request = Command;

    fn admit(&self, _client: &Client, frame: &[u8]) -> Result<Admitted<Command>, Offence> {
        let request = Command {
            letter: frame[0],
            wait_ms: u16::from_be_bytes([frame[1], frame[2]]),
            bytes: u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]),
        };
        assert!(request.letter != b'!', "a header that makes us panic");
        let class = if request.letter == b'x' { Class::Exclusive } else { Class::Read };
        Ok(Admitted { class, answer_bytes_max: 4 + request.bytes as usize, request })
    }

    fn answer(
        &self,
        _client: Rc<Client>,
        request: Command,
        frame: Frame,
        _ordered: Ordered,
    ) -> impl Future<Output = Result<Outcome<Answer>, Offence>> + 'static {
        let rt = self.rt.clone();
        async move {
            rt.sleep(Duration::from_millis(u64::from(request.wait_ms))).await;
            match request.letter {
                b'p' => panic!("told to"),
                b's' => Ok(Outcome::Silent),
                b'c' => Ok(Outcome::Close),
                b'm' => Err(Offence::Malformed(Complaint::of_connection("test", "bad".into()))),
                _ => Ok(echo(&frame, request.bytes)),
            }
        }
    }

    fn is_pressed(&self) -> bool {
        self.pressed.get()
    }

    fn complain(&self, _client: &Client, complaint: &Complaint) {
        self.complaints.borrow_mut().push(complaint.text.clone());
    }
}

fn echo(frame: &Frame, bytes: u32) -> Outcome<Answer> {
    let mut head = BytesMut::new();
    head.put_u32(bytes);
    let body: Vec<u8> = frame.bytes.iter().copied().cycle().take(bytes as usize).collect();
    let chunks = vec![Chunk::Bytes(head.freeze()), Chunk::Bytes(body.into())];
    Outcome::Answer { answer: Answer { chunks, held: Vec::new() }, bytes: 4 + bytes as usize }
}

/// A server and what a test looks at.
struct Server {
    world: World,
    node: NodeIndex,
    address: SocketAddr,
    lanes: Rc<RefCell<Option<Lanes>>>,
    counters: Rc<Counters>,
    complaints: Rc<RefCell<Vec<String>>>,
    stop: Rc<RefCell<Option<Stop>>>,
    pressed: Rc<Cell<bool>>,
}

const LIMITS: ConnLimits = ConnLimits {
    pipeline: PipelineLimits { requests_max: 8, unsent_bytes_max: 1 << 20 },
    lanes: LaneLimits {
        small_frame_bytes_max: 16 << 10,
        usual_frame_bytes_max: 1 << 20,
        frame_bytes_max: 4 << 20,
        small_bytes: 256 << 10,
        usual_bytes: 4 << 20,
        large_bytes: 8 << 20,
    },
    idle: Duration::from_secs(600),
};

impl Server {
    fn start(seed: u64) -> Self {
        let mut world = World::new(seed);
        let (lanes, stop) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None)));
        let counters = Rc::new(Counters::default());
        let complaints = Rc::new(RefCell::new(Vec::new()));
        let pressed = Rc::new(Cell::new(false));
        let shared =
            (lanes.clone(), stop.clone(), counters.clone(), complaints.clone(), pressed.clone());
        let node = world.add_local(NodeOptions::default(), move || {
            let (lanes_out, stop_out, counters, complaints, pressed) = shared.clone();
            vec![local_main(async move |rt: Rt| {
                let lanes = Lanes::new(LIMITS.lanes);
                let stop = Stop::default();
                *lanes_out.borrow_mut() = Some(lanes.clone());
                *stop_out.borrow_mut() = Some(stop.clone());
                let service = Commands { rt: rt.clone(), pressed, complaints };
                let shared =
                    Shared { rt: rt.clone(), service, lanes, limits: LIMITS, counters, stop };
                let room = Room::new(Admission::new(
                    AdmissionLimits { connections_max: 1000, connections_per_ip_max: 1000 },
                    1,
                ));
                let address = SocketAddr::from(([0, 0, 0, 0], PORT));
                let options = ListenOptions { reuse_port: true, backlog: 1024 };
                let listener = rt.listen(address, options).await.expect("a free port");
                accept(shared, room.clone(), listener, 0).await;
                room.empty().await;
            })]
        });
        let address = SocketAddr::new(world.ip(node), PORT);
        Self { world, node, address, lanes, counters, complaints, stop, pressed }
    }

    /// Runs `client` on a node of its own; its result when it has ended.
    fn client<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        client: impl FnOnce(Rt, SocketAddr) -> F + 'static,
    ) -> Rc<RefCell<Option<T>>> {
        let result = Rc::new(RefCell::new(None));
        let (out, address) = (Rc::clone(&result), self.address);
        self.world.add_once(NodeOptions::default(), async move |rt: Rt| {
            // The server needs a moment to listen.
            rt.sleep(Duration::from_millis(10)).await;
            let value = client(rt, address).await;
            *out.borrow_mut() = Some(value);
        });
        result
    }

    fn run_until<T>(&mut self, result: &RefCell<Option<T>>) -> T {
        assert!(
            self.world.run_until(LONG, |_| result.borrow().is_some()),
            "the client never ended"
        );
        result.borrow_mut().take().expect("just seen")
    }

    fn held_bytes(&self) -> usize {
        self.lanes.borrow().as_ref().expect("started").held_bytes()
    }
}

async fn send(stream: &Stream, bytes: impl Into<Bytes>) {
    stream.send(vec![Chunk::Bytes(bytes.into())]).await.expect("the server reads");
}

/// Receives until `count` bytes or the end.
async fn receive(rt: &Rt, stream: &Stream, count: usize) -> Vec<u8> {
    let buffer = rt.arena().alloc(count.max(1)).expect("room");
    let (result, buffer) = stream.recv_full(buffer, 0, count).await;
    buffer[..result.unwrap_or(0)].to_vec()
}

/// The letters of the answers that come until the connection ends or `count` are there.
async fn letters(rt: &Rt, stream: &Stream, count: usize) -> String {
    let mut letters = String::new();
    for _ in 0..count {
        let head = receive(rt, stream, 4).await;
        let Ok(head) = <[u8; 4]>::try_from(head) else { break };
        let body = receive(rt, stream, u32::from_be_bytes(head) as usize).await;
        letters.push(char::from(body[0]));
    }
    letters
}

/// Seconds until the server closes.
async fn seconds_to_close(rt: &Rt, stream: &Stream) -> u64 {
    let start = rt.now();
    let mut buffer = rt.arena().alloc(4096).expect("room");
    loop {
        let (result, back) = stream.recv(buffer, 0, 4096).await;
        buffer = back;
        if !matches!(result, Ok(1..)) {
            return rt.now().since(start).as_secs();
        }
    }
}

#[test]
fn answers_come_in_request_order_whatever_takes_longer() {
    let mut server = Server::start(1);
    let got = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        let all = [command(b'A', 500, 10), command(b's', 100, 0), command(b'B', 1, 10)].concat();
        send(&stream, all).await;
        send(&stream, command(b'C', 0, 10)).await;
        letters(&rt, &stream, 3).await
    });
    assert_eq!(server.run_until(&got), "ABC");
}

#[test]
fn a_parked_request_stalls_no_other_connection() {
    let mut server = Server::start(2);
    let slow = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        send(&stream, command(b'A', 60_000, 10)).await;
        letters(&rt, &stream, 1).await;
        rt.now()
    });
    let quick = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        send(&stream, command(b'B', 0, 10)).await;
        letters(&rt, &stream, 1).await;
        rt.now()
    });
    let quick = server.run_until(&quick);
    let slow = server.run_until(&slow);
    assert!(quick.0 < 1_000_000_000, "{quick:?}");
    assert!(slow.0 > 60_000_000_000, "{slow:?}");
}

#[test]
fn a_panic_or_an_offence_ends_its_connection_after_the_answers_before_it() {
    for (letter, counter) in [(b'p', "panics"), (b'!', "panics"), (b'm', "malformed_requests")] {
        let mut server = Server::start(3);
        let other = server.client(async |rt: Rt, address| {
            let stream = rt.connect(address).await.expect("it listens");
            rt.sleep(Duration::from_secs(5)).await;
            send(&stream, command(b'C', 0, 10)).await;
            letters(&rt, &stream, 1).await
        });
        let bad = server.client(async move |rt: Rt, address| {
            let stream = rt.connect(address).await.expect("it listens");
            let all = [command(b'A', 300, 10), command(letter, 0, 10), command(b'B', 0, 10)];
            send(&stream, all.concat()).await;
            letters(&rt, &stream, 3).await
        });
        assert_eq!(server.run_until(&bad), "A", "{}", char::from(letter));
        assert_eq!(server.run_until(&other), "C");
        assert!(server.counters.snapshot().contains(&(counter, 1)), "{counter}");
        assert_eq!(server.complaints.borrow().len(), 1);
        assert_eq!(server.held_bytes(), 0);
    }
}

#[test]
fn bad_prefixes_close_at_once_and_are_named() {
    let rows: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (&[0x16, 3, 1, 2, 0, 1], "TLS"),
        (&[0xff; 8], "negative"),
        (&[0; 4], "shorter"),
        (&[0, 0x40, 0, 1], "above socket.request.max.bytes (4194304)"),
    ];
    for (bytes, word) in rows {
        let mut server = Server::start(4);
        let closed = server.client(async move |rt: Rt, address| {
            let stream = rt.connect(address).await.expect("it listens");
            send(&stream, bytes.to_vec()).await;
            seconds_to_close(&rt, &stream).await
        });
        assert_eq!(server.run_until(&closed), 0, "{word}");
        let complaints = server.complaints.borrow();
        assert!(complaints[0].contains(word), "{complaints:?}");
    }
}

#[test]
fn a_trickle_is_closed_and_a_slow_but_steady_peer_is_served() {
    let mut server = Server::start(5);
    let trickle = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        send(&stream, 100_000u32.to_be_bytes().to_vec()).await;
        let closed = seconds_to_close(&rt, &stream);
        let drip = async {
            loop {
                let _ = stream.send(vec![Chunk::Bytes(Bytes::from_static(&[0]))]).await;
                rt.sleep(Duration::from_secs(1)).await;
            }
        };
        match first_of(closed, drip).await {
            Either::Left(seconds) => seconds,
            Either::Right(()) => unreachable!("the drip never ends"),
        }
    });
    let steady = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        let mut frame = command(b'A', 0, 10).to_vec();
        frame[..4].copy_from_slice(&60_000u32.to_be_bytes());
        frame.resize(60_004, 0);
        for piece in frame.chunks(2048) {
            send(&stream, piece.to_vec()).await;
            rt.sleep(Duration::from_secs(1)).await;
        }
        letters(&rt, &stream, 1).await
    });
    let seconds = server.run_until(&trickle);
    assert!((10..13).contains(&seconds), "{seconds}");
    assert_eq!(server.run_until(&steady), "A");
    assert_eq!(server.held_bytes(), 0);
}

#[test]
fn half_a_prefix_is_not_waited_for_as_long_as_an_idle_connection() {
    let mut server = Server::start(6);
    let half = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        send(&stream, vec![0, 0]).await;
        seconds_to_close(&rt, &stream).await
    });
    let idle = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        seconds_to_close(&rt, &stream).await
    });
    assert_eq!(server.run_until(&half), 10);
    assert_eq!(server.run_until(&idle), 600);
    assert!(server.counters.snapshot().contains(&("idle", 1)));
}

#[test]
fn who_does_not_read_is_closed_and_gives_everything_back() {
    let mut server = Server::start(7);
    let deaf = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        for _ in 0..64 {
            let asked = stream.send(vec![Chunk::Bytes(command(b'A', 0, 900_000))]);
            if rt.timeout(Duration::from_secs(1), asked).await.is_err() {
                break;
            }
        }
        rt.sleep(Duration::from_secs(300)).await;
    });
    server.run_until(&deaf);
    assert!(server.counters.snapshot().contains(&("too_slow", 1)), "{:?}", server.counters);
    assert!(server.counters.requests.value() < 8, "no more was started than may be unsent");
    assert_eq!(server.held_bytes(), 0);
}

/// How long a peer that reads nothing is kept, in seconds.
fn deaf_for(pressed: bool) -> u64 {
    let mut server = Server::start(10);
    server.pressed.set(pressed);
    let deaf = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        for _ in 0..8 {
            send(&stream, command(b'A', 0, 900_000)).await;
        }
        rt.sleep(Duration::from_secs(300)).await;
        drop(stream);
    });
    let counters = Rc::clone(&server.counters);
    let closed = |_: &World| counters.too_slow.value() == 1;
    assert!(server.world.run_until(Duration::from_secs(300), closed));
    let seconds = server.world.now().0 / 1_000_000_000;
    drop(deaf);
    seconds
}

#[test]
fn who_does_not_read_is_closed_sooner_while_others_wait_for_memory() {
    let (relaxed, pressed) = (deaf_for(false), deaf_for(true));
    assert!((60..120).contains(&relaxed), "{relaxed}");
    assert!((2..20).contains(&pressed), "{pressed}");
}

/// Hundreds of connections announce a large frame and send one byte. Others are served meanwhile
/// and after, and the memory comes back.
#[test]
fn announcements_without_bytes_hold_nobody_else_back() {
    let mut server = Server::start(8);
    let flood = server.client(async |rt: Rt, address| {
        let attack = |_| async {
            let stream = rt.connect(address).await.expect("it listens");
            let announced = (4u32 << 20).to_be_bytes();
            send(&stream, [&announced[..], &[0]].concat()).await;
            seconds_to_close(&rt, &stream).await
        };
        join_all((0..300).map(attack)).await.into_iter().max()
    });
    let honest = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        let mut worst = Duration::ZERO;
        for _ in 0..100 {
            let start = rt.now();
            let mut frame = command(b'A', 0, 10).to_vec();
            frame[..4].copy_from_slice(&500_000u32.to_be_bytes());
            frame.resize(500_004, 0);
            send(&stream, frame).await;
            assert_eq!(letters(&rt, &stream, 1).await, "A");
            worst = worst.max(rt.now().since(start));
            rt.sleep(Duration::from_millis(200)).await;
        }
        worst
    });
    let worst = server.run_until(&honest);
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    let longest = server.run_until(&flood).expect("300 of them");
    assert!(longest < 600, "the lane empties itself: {longest} s");
    server.world.run_for(Duration::from_secs(1));
    assert_eq!(server.held_bytes(), 0);
}

#[test]
fn a_stop_answers_what_was_started_and_then_closes() {
    let mut server = Server::start(9);
    let got = server.client(async |rt: Rt, address| {
        let stream = rt.connect(address).await.expect("it listens");
        send(&stream, command(b'A', 2_000, 10)).await;
        let got = letters(&rt, &stream, 1).await;
        (got, seconds_to_close(&rt, &stream).await)
    });
    server.world.run_for(Duration::from_secs(1));
    server.stop.borrow().as_ref().expect("started").tell();
    assert_eq!(server.run_until(&got), ("A".to_owned(), 0));
    let node = server.node;
    assert!(server.world.run_to_end(node, Duration::from_secs(1)), "the server ends by itself");
}
