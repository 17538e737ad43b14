//! The receiving half of a connection: one frame at a time, memory first.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use engine::memory::IoBuf;
use engine::rt::Stream;
use engine::rt::sync::{Either, first_of};

use super::framing::{self, PREFIX_BYTES, Refusal};
use super::lanes::FLOOR_RELAXED;
use super::pace::Pace;
use super::serve::{Ending, Seat};
use super::service::Frame;

/// How often a receive in progress looks whether others started to wait for memory.
const PRESSURE_LOOK: Duration = Duration::from_millis(500);

/// Receives the next frame: prefix, reservation, bytes.
pub(super) async fn frame(seat: &Seat, stream: &Stream) -> Result<Frame, Ending> {
    let prefix = prefix(seat, stream).await?;
    let limit = seat.limits.lanes.frame_bytes_max;
    let length = framing::frame_length(prefix, limit).map_err(Ending::Refused)?;
    let held = seat
        .lanes
        .reserve(length)
        .await
        .map_err(|_| Ending::Refused(Refusal::TooLarge { announced: length, limit }))?;
    let buffer = seat.rt.arena().alloc_when_free(length as usize).await;
    let buffer =
        buffer.map_err(|_| Ending::Refused(Refusal::TooLarge { announced: length, limit }))?;
    let buffer = fill(seat, stream, buffer, length).await?;
    seat.link.touch(seat.rt.now());
    Ok(Frame { bytes: buffer.freeze().slice(0..length as usize), held })
}

/// Waits for the length prefix; an idle connection waits here, without a buffer of its own.
async fn prefix(seat: &Seat, stream: &Stream) -> Result<[u8; PREFIX_BYTES], Ending> {
    let first = first_bytes(seat, stream).await?;
    let mut prefix = [0; PREFIX_BYTES];
    prefix[..first.len()].copy_from_slice(&first);
    let mut have = first.len();
    let due = seat.rt.now() + FLOOR_RELAXED.grace;
    while have < PREFIX_BYTES {
        let more = stream.recv_some(PREFIX_BYTES - have);
        match first_of(more, seat.rt.sleep_until(due)).await {
            Either::Left(Ok(more)) if more.is_empty() => return Err(Ending::PeerClosed),
            Either::Left(Ok(more)) => {
                prefix[have..have + more.len()].copy_from_slice(&more);
                have += more.len();
            }
            Either::Left(Err(errno)) => return Err(Ending::Socket(errno)),
            Either::Right(()) => return Err(Ending::TooSlow),
        }
    }
    Ok(prefix)
}

/// At least one byte, at most a prefix; or the end of an idle connection.
async fn first_bytes(seat: &Seat, stream: &Stream) -> Result<Bytes, Ending> {
    let mut waited = pin!(stream.recv_some(PREFIX_BYTES));
    loop {
        let idle_due = seat.link.touched() + seat.limits.idle;
        match first_of(waited.as_mut(), seat.rt.sleep_until(idle_due)).await {
            Either::Left(Ok(bytes)) if bytes.is_empty() => return Err(Ending::PeerClosed),
            Either::Left(Ok(bytes)) => return Ok(bytes),
            Either::Left(Err(errno)) => return Err(Ending::Socket(errno)),
            Either::Right(()) if seat.is_idle(idle_due) => return Err(Ending::Idle),
            // Something was answered meanwhile, or is still being answered: look again later.
            Either::Right(()) => seat.link.touch_if_busy(seat.rt.now()),
        }
    }
}

/// Receives exactly `length` bytes, at the pace that the lane's line allows.
async fn fill(
    seat: &Seat,
    stream: &Stream,
    mut buffer: IoBuf,
    length: u32,
) -> Result<IoBuf, Ending> {
    let length_bytes = length as usize;
    let pace = Pace::start(seat.rt.now().0);
    let mut filled = 0;
    while filled < length_bytes {
        let mut receiving = pin!(stream.recv(buffer, filled, length_bytes - filled));
        let (result, back) = loop {
            let look = seat.rt.now() + PRESSURE_LOOK;
            match first_of(receiving.as_mut(), seat.rt.sleep_until(look)).await {
                Either::Left(received) => break received,
                Either::Right(()) => {
                    let floor = seat.lanes.floor(length);
                    if pace.is_too_slow(seat.rt.now().0, filled as u64, floor) {
                        return Err(Ending::TooSlow);
                    }
                }
            }
        };
        buffer = back;
        match result.map_err(Ending::Socket)? {
            0 => return Err(Ending::PeerClosed),
            received => filled += received,
        }
        let floor = seat.lanes.floor(length);
        if filled < length_bytes && pace.is_too_slow(seat.rt.now().0, filled as u64, floor) {
            return Err(Ending::TooSlow);
        }
    }
    Ok(buffer)
}
