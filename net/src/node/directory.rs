//! Opening a data directory: whose is it, and was it formatted?
//!
//! Formatting takes several steps that a crash may interrupt, so its intent is written first:
//!
//! ```text
//! directory.new  written and synced    the identity is drawn, formatting has begun
//! metadata/      formatted             (`begin` to `finish`, by the caller)
//! directory      written and synced    formatted; from here on the directory is never formatted again
//! directory.new  removed
//! ```
//!
//! `directory` is written anew and not renamed, so that nothing rests on a rename being one step of the
//! file system. Whatever is found there is synced before it is trusted: it may come from a process that
//! was killed, and then a power cut would still take it back.
//!
//! A directory that holds journals or segments but no `directory` file was not made by these steps:
//! it is refused, for formatting it would hide what is in it.

use std::path::{Path, PathBuf};

use engine::rt::{Errno, OpenOptions, Rt, WriteBuf, WriteFlags};
use engine::types::NodeId;

use super::identity::{IDENTITY_BYTES, Identity, IdentityError};

const NAME: &str = "directory";
const NAME_BEGUN: &str = "directory.new";
/// What a formatted directory holds; in one without a `directory` file it must not lie.
const OTHERS: [&str; 4] = ["journal", "metadata", "topics", "orphans"];

/// How often a short read is tried again.
const READS_MAX: usize = 16;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The disk said no.
    #[error("{path}: {errno}", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        errno: Errno,
    },
    /// The `directory` file.
    #[error("{path}: {error}", path = path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: IdentityError,
    },
    /// Data without its `directory` file.
    #[error(
        "{path} holds {name}/ but no file named {NAME}: choose another --data-dir, or put that file back",
        path = path.display()
    )]
    NotFormatted {
        /// The data directory.
        path: PathBuf,
        /// What lies in it.
        name: String,
    },
    /// Formatted for another node id.
    #[error(
        "{path} belongs to node.id={found}, and this start says node.id={asked}: set node.id={found}, or choose another --data-dir",
        path = path.display()
    )]
    OtherNode {
        /// The data directory.
        path: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Whose it should be.
        asked: NodeId,
    },
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A formatted directory.
    Formatted(Identity),
    /// A fresh one, or one whose formatting was interrupted: format the metadata, then call
    /// [`finish`].
    Begun(Identity),
}

/// Opens `data_dir` for node `node`, creating it if it is missing.
///
/// # Errors
/// [`DirectoryError`]; nothing was changed then, but that an empty directory may have been made.
pub async fn begin(rt: &Rt, data_dir: &Path, node: NodeId) -> Result<Opened, DirectoryError> {
    rt.create_dir_all(data_dir).await.map_err(io(data_dir))?;
    let begun = read(rt, &data_dir.join(NAME_BEGUN)).await;
    match (read(rt, &data_dir.join(NAME)).await, &begun) {
        (Ok(Some(identity)), _) if identity.node_id == node => {
            trust(rt, data_dir, NAME).await?;
            remove_begun(rt, data_dir).await?;
            return Ok(Opened::Formatted(identity));
        }
        (Ok(Some(identity)), _) => {
            let (path, found) = (data_dir.to_owned(), identity.node_id);
            return Err(DirectoryError::OtherNode { path, found, asked: node });
        }
        // Torn while it was written: formatting never came to its end.
        (Err(DirectoryError::Identity { .. }), Ok(Some(_))) | (Ok(None), _) => {}
        (Err(error), _) => return Err(error),
    }
    match begun {
        Ok(Some(identity)) if identity.node_id == node => {
            trust(rt, data_dir, NAME_BEGUN).await?;
            return Ok(Opened::Begun(identity));
        }
        // Torn while it was written, or of a start with another node id: nothing was formatted yet
        // that could be lost. Begin again.
        Ok(Some(_)) | Err(DirectoryError::Identity { .. }) => {}
        Ok(None) => refuse_data(rt, data_dir).await?,
        Err(error) => return Err(error),
    }
    let identity = draw(rt, node);
    write(rt, data_dir, NAME_BEGUN, &identity).await?;
    Ok(Opened::Begun(identity))
}

/// Marks the directory as formatted by `identity`, which [`begin`] gave. Durable when it returns.
///
/// # Errors
/// What the disk said; the next start formats again.
pub async fn finish(rt: &Rt, data_dir: &Path, identity: &Identity) -> Result<(), DirectoryError> {
    write(rt, data_dir, NAME, identity).await?;
    remove_begun(rt, data_dir).await
}

async fn remove_begun(rt: &Rt, data_dir: &Path) -> Result<(), DirectoryError> {
    match rt.unlink(&data_dir.join(NAME_BEGUN)).await {
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(io(&data_dir.join(NAME_BEGUN))(errno)),
        Ok(()) => rt.sync_dir(data_dir).await.map_err(io(data_dir)),
    }
}

/// Makes durable what was found under a name.
async fn trust(rt: &Rt, data_dir: &Path, name: &str) -> Result<(), DirectoryError> {
    let path = data_dir.join(name);
    let file = rt.open(&path, OpenOptions::reading()).await.map_err(io(&path))?;
    file.sync_all().await.map_err(io(&path))?;
    rt.sync_dir(data_dir).await.map_err(io(data_dir))
}

fn io(path: &Path) -> impl Fn(Errno) -> DirectoryError {
    move |errno| DirectoryError::Io { path: path.to_owned(), errno }
}

async fn refuse_data(rt: &Rt, data_dir: &Path) -> Result<(), DirectoryError> {
    let entries = rt.list_dir(data_dir).await.map_err(io(data_dir))?;
    let data = entries.into_iter().find(|entry| OTHERS.contains(&entry.name.as_str()));
    match data {
        None => Ok(()),
        Some(entry) => {
            Err(DirectoryError::NotFormatted { path: data_dir.to_owned(), name: entry.name })
        }
    }
}

/// A new identity. Kafka's ids never start with `-`, so that tools do not take them for an option.
fn draw(rt: &Rt, node_id: NodeId) -> Identity {
    let bits = || -> [u8; 16] {
        let pair = (rt.random_u64(), rt.random_u64());
        uuid::Builder::from_u128(u128::from(pair.0) << 64 | u128::from(pair.1))
            .with_version(uuid::Version::Random)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
            .into_bytes()
    };
    let cluster_id = loop {
        let drawn = bits();
        if !super::identity::kafka_id(drawn).starts_with('-') {
            break drawn;
        }
    };
    Identity { cluster_id, directory_id: bits(), node_id }
}

/// The identity in a file; `None` if there is no such file.
async fn read(rt: &Rt, path: &Path) -> Result<Option<Identity>, DirectoryError> {
    let file = match rt.open(path, OpenOptions::reading()).await {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened.map_err(io(path))?,
    };
    let length = file.len().await.map_err(io(path))?;
    // One byte more than a good file has, so that a grown one is seen.
    let wanted = (length as usize).min(IDENTITY_BYTES + 1);
    let mut buffer = rt.arena().alloc(4096).map_err(|_| io(path)(Errno::ENOMEM))?;
    let mut have = 0;
    // A short read of so few bytes is read again whole; one that stays short is decoded as it is.
    for _ in 0..READS_MAX {
        let (result, back) = file.read_at(buffer, 0, wanted).await;
        buffer = back;
        have = result.map_err(io(path))?;
        if have == wanted {
            break;
        }
    }
    let identity = Identity::decode(&buffer[..have]);
    identity.map(Some).map_err(|error| DirectoryError::Identity { path: path.to_owned(), error })
}

/// Writes an identity. File and name are durable when it returns.
async fn write(
    rt: &Rt,
    data_dir: &Path,
    name: &str,
    identity: &Identity,
) -> Result<(), DirectoryError> {
    let path = &data_dir.join(name);
    let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
    let file = rt.open(path, options).await.map_err(io(path))?;
    let mut buffer = rt.arena().alloc(4096).map_err(|_| io(path)(Errno::ENOMEM))?;
    buffer[..IDENTITY_BYTES].copy_from_slice(&identity.encode());
    let data = WriteBuf::Buf { buf: buffer, range: 0..IDENTITY_BYTES };
    let (result, _) = file.write_at(data, 0, WriteFlags::DSYNC).await;
    match result.map_err(io(path))? {
        IDENTITY_BYTES => file.sync_all().await.map_err(io(path))?,
        _ => return Err(io(path)(Errno::EIO)),
    }
    rt.sync_dir(data_dir).await.map_err(io(data_dir))
}

#[cfg(test)]
mod tests;
