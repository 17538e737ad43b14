//! Brokers that do nothing: the ceiling for every broker that does something.
//!
//! The null broker reads a Produce request, decodes it, and answers at once; it answers a Fetch with
//! copies of one batch that it made at start. It keeps nothing. With `--durable` it first writes the
//! request's records to a file past the page cache with a device flush, which makes it the floor of a
//! durable acknowledgement.
//!
//! Plain blocking sockets and a thread per connection: with the few connections of a benchmark nothing
//! is cheaper, and no runtime is measured along with it. The durable variant opens its file with
//! `O_DIRECT | O_DSYNC`, which is what `RWF_DSYNC` says for one write.

mod answers;
mod durable;

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use net::wire::header::read_request;

use crate::cli::{Acks, NullOptions, Shape};
use crate::load::batch;
use answers::{Answer, Answers};
use durable::Floor;

const FRAME_BYTES_MAX: usize = 256 << 20;

/// Serves until it is killed.
pub(crate) fn serve(options: &NullOptions) -> Result<()> {
    if let Some(core) = options.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
    {
        bail!("CPU {core} is not allowed to this process");
    }
    let listener = TcpListener::bind(&options.listen)
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let shape = Shape {
        record_bytes: options.record_bytes,
        batch_bytes: options.batch_bytes,
        keys: 0,
        codec: engine::batch::Codec::None,
        acks: Acks::All,
    };
    let (batch, records) = batch(&shape);
    let answers = Arc::new(Answers {
        address: listener.local_addr()?,
        partitions: options.partitions,
        batch,
        records: records as i64,
    });
    let floor = options.durable.as_ref().map(|path| Floor::open(path, options.durable_mib << 20));
    let floor = floor.transpose()?.map(Arc::new);
    writeln!(std::io::stdout().lock(), "null broker on {}", answers.address)?;
    for stream in listener.incoming() {
        let (stream, answers, floor) = (stream?, Arc::clone(&answers), floor.clone());
        // Threads inherit the CPU of the one that starts them.
        std::thread::spawn(move || {
            if let Err(error) = converse(stream, &answers, floor.as_deref()) {
                eprintln!("null broker: {error:#}");
            }
        });
    }
    Ok(())
}

fn converse(mut stream: TcpStream, answers: &Answers, floor: Option<&Floor>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut frame = Vec::new();
    let mut writer = floor.map(Floor::writer);
    while read_frame(&mut stream, &mut frame)? {
        let front = read_request(&frame)?;
        match answers.to(&front, writer.as_mut())? {
            Answer::None => {}
            Answer::Frame(encoded) => stream.write_all(&encoded.bytes)?,
            Answer::Fetch { encoded, base_offsets } => {
                send_fetch(&mut stream, &encoded, &base_offsets, &answers.batch)?;
            }
        }
    }
    Ok(())
}

/// Reads one frame; false when the peer has closed between frames.
fn read_frame(stream: &mut TcpStream, frame: &mut Vec<u8>) -> Result<bool> {
    let mut size = [0; 4];
    match stream.read_exact(&mut size) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let size = usize::try_from(i32::from_be_bytes(size)).ok();
    let size =
        size.filter(|size| *size <= FRAME_BYTES_MAX).context("a frame of impossible size")?;
    frame.resize(size, 0);
    stream.read_exact(frame)?;
    Ok(true)
}

/// The encoded answer, with the one batch put in under each of the base offsets.
fn send_fetch(
    stream: &mut TcpStream,
    encoded: &net::wire::Encoded,
    base_offsets: &[i64],
    batch: &[u8],
) -> Result<()> {
    let offsets: Vec<[u8; 8]> = base_offsets.iter().map(|offset| offset.to_be_bytes()).collect();
    let split = encoded.apart.first().map_or(encoded.bytes.len(), |apart| apart.at);
    let mut slices = vec![IoSlice::new(&encoded.bytes[..split])];
    for offset in &offsets {
        slices.push(IoSlice::new(offset));
        slices.push(IoSlice::new(&batch[8..]));
    }
    slices.push(IoSlice::new(&encoded.bytes[split..]));
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let written = stream.write_vectored(rest)?;
        if written == 0 {
            bail!("the client closed the connection");
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}
