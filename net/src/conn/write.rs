//! The sending half of a connection: answers in request order, a bounded piece at a time.

use std::pin::pin;
use std::time::Duration;

use engine::memory::Reservation;
use engine::rt::sync::{Either, first_of};
use engine::rt::{Chunk, Stream};

use super::pace::{Floor, Pace};
use super::pipeline::Next;
use super::serve::{Ending, Seat};
use super::service::Answer;

/// Bytes that one send carries at most (or one chunk, when that is longer), so that a peer that
/// stopped reading is noticed within the time of one piece.
const PIECE_BYTES: usize = 512 << 10;
/// The slowest reader that is served: a piece has half a minute and a second per 16 KiB.
const FLOOR_RELAXED: Floor = Floor { grace: Duration::from_secs(30), bytes_per_second: 16 * 1024 };
/// The same while others wait for the memory that this answer holds.
const FLOOR_PRESSED: Floor = Floor { grace: Duration::from_secs(1), bytes_per_second: 64 * 1024 };
/// How often a send in progress looks whether others started to wait.
const PRESSURE_LOOK: Duration = Duration::from_millis(500);

/// Sends what the pipeline hands out until the connection ends.
pub(super) async fn answers(seat: &Seat, stream: &Stream) -> Ending {
    let mut piece = Piece::default();
    loop {
        let next = seat.link.pipeline().take();
        let flush = !matches!(&next, Some(Next::Send { .. }));
        let end = match next {
            Some(Next::Send { answer, .. }) => {
                piece = match send_full_pieces(seat, stream, piece, answer).await {
                    Ok(rest) => rest,
                    Err(ending) => return ending,
                };
                continue;
            }
            Some(Next::Close) => Some(Ending::ClosedInOrder),
            None => seat.link.drained(),
        };
        if flush && let Err(ending) = send(seat, stream, std::mem::take(&mut piece)).await {
            return ending;
        }
        if let Some(ending) = end {
            return ending;
        }
        if seat.link.pipeline().has_next() {
            continue;
        }
        seat.link.writer.wait().await;
    }
}

#[derive(Default)]
struct Piece {
    chunks: Vec<Chunk>,
    bytes: usize,
    /// Of the answers that end in this piece; goes back when it is sent.
    held: Vec<Reservation>,
}

/// Adds an answer to `piece` and sends each piece that is full; the rest waits for company.
async fn send_full_pieces(
    seat: &Seat,
    stream: &Stream,
    mut piece: Piece,
    answer: Answer,
) -> Result<Piece, Ending> {
    let last = answer.chunks.len().saturating_sub(1);
    let mut held = Some(answer.held);
    for (place, chunk) in answer.chunks.into_iter().enumerate() {
        if place == last {
            piece.held.extend(held.take().into_iter().flatten());
        }
        piece.bytes += chunk.len();
        piece.chunks.push(chunk);
        if piece.bytes >= PIECE_BYTES {
            send(seat, stream, std::mem::take(&mut piece)).await?;
        }
    }
    Ok(piece)
}

async fn send(seat: &Seat, stream: &Stream, piece: Piece) -> Result<(), Ending> {
    let Piece { chunks, bytes, held } = piece;
    if chunks.is_empty() {
        return Ok(());
    }
    let pace = Pace::start(seat.rt.now().0);
    let mut sending = pin!(stream.send(chunks));
    loop {
        let look = seat.rt.now() + PRESSURE_LOOK;
        match first_of(sending.as_mut(), seat.rt.sleep_until(look)).await {
            Either::Left(Ok(())) => break,
            Either::Left(Err(errno)) => return Err(Ending::Socket(errno)),
            Either::Right(()) => {
                let floor = if (seat.is_pressed)() { FLOOR_PRESSED } else { FLOOR_RELAXED };
                if pace.is_too_slow(seat.rt.now().0, bytes as u64, floor) {
                    return Err(Ending::TooSlow);
                }
            }
        }
    }
    drop(held);
    seat.counters.answer_bytes.add(bytes);
    seat.link.pipeline().sent(bytes);
    seat.link.touch(seat.rt.now());
    seat.link.reader.ring();
    Ok(())
}
