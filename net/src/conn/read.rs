//! The receiving half of a connection: one frame at a time, memory first.

use std::pin::pin;
use std::time::Duration;

use engine::memory::IoBuf;
use engine::rt::sync::{Either, first_of};
use engine::rt::{Errno, Stream};

use super::framing::{self, PREFIX_BYTES, Refusal};
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
    let held = seat.lanes.reserve(length).await.map_err(|_| {
        Ending::Refused(Refusal::TooLarge { announced: length, limit })
    })?;
    let buffer = seat.rt.arena().alloc_when_free(length as usize).await;
    let buffer = buffer.map_err(|_| Ending::Refused(Refusal::TooLarge { announced: length, limit }))?;
    let buffer = fill(seat, stream, buffer, length).await?;
    seat.link.touch(seat.rt.now());
    Ok(Frame { bytes: buffer.freeze().slice(0..length as usize), held })
}

/// Waits for the length prefix; an idle connection waits here, without a buffer of its own.
async fn prefix(seat: &Seat, stream: &Stream) -> Result<[u8; PREFIX_BYTES], Ending> {
    let mut waited = pin!(stream.recv_prefix());
    loop {
        let idle_due = seat.link.touched() + seat.limits.idle;
        match first_of(waited.as_mut(), seat.rt.sleep_until(idle_due)).await {
            Either::Left(Ok(Some(prefix))) => return Ok(prefix),
            Either::Left(Ok(None)) => return Err(Ending::PeerClosed),
            Either::Left(Err(errno)) => return Err(ending(errno)),
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
        match result.map_err(ending)? {
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

/// How a failed receive or send ends the connection: the peer's doing, whatever the number.
pub(super) fn ending(errno: Errno) -> Ending {
    Ending::Socket(errno)
}
