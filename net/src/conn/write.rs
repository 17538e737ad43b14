//! The sending half of a connection: answers in request order, a bounded piece at a time.

use std::time::Duration;

use engine::rt::{Chunk, Stream};

use super::pipeline::Next;
use super::serve::{Ending, Seat};
use super::service::Answer;

/// Bytes that one send carries at most (or one chunk, when that is longer), so that a peer that
/// stopped reading is noticed within the deadline of one piece.
const PIECE_BYTES: usize = 1 << 20;
/// A piece has this long, and on top a second for every [`PIECE_BYTES_PER_SECOND`].
const PIECE_GRACE: Duration = Duration::from_secs(30);
/// The slowest reader that is served.
const PIECE_BYTES_PER_SECOND: usize = 16 * 1024;

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
}

/// Adds an answer to `piece` and sends each piece that is full; the rest waits for company.
async fn send_full_pieces(
    seat: &Seat,
    stream: &Stream,
    mut piece: Piece,
    answer: Answer,
) -> Result<Piece, Ending> {
    for chunk in answer.chunks {
        piece.bytes += chunk.len();
        piece.chunks.push(chunk);
        if piece.bytes >= PIECE_BYTES {
            send(seat, stream, std::mem::take(&mut piece)).await?;
        }
    }
    Ok(piece)
}

async fn send(seat: &Seat, stream: &Stream, piece: Piece) -> Result<(), Ending> {
    if piece.chunks.is_empty() {
        return Ok(());
    }
    let bytes = piece.bytes;
    let allowed = PIECE_GRACE + Duration::from_secs((bytes / PIECE_BYTES_PER_SECOND) as u64);
    match seat.rt.timeout(allowed, stream.send(piece.chunks)).await {
        Err(_) => return Err(Ending::TooSlow),
        Ok(Err(errno)) => return Err(Ending::Socket(errno)),
        Ok(Ok(())) => {}
    }
    seat.counters.answer_bytes.add(bytes);
    seat.link.pipeline().sent(bytes);
    seat.link.touch(seat.rt.now());
    seat.link.reader.ring();
    Ok(())
}
