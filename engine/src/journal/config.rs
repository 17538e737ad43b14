//! Sizes and times of a journal.

use std::time::Duration;

#[cfg(feature = "planted-bugs")]
use super::planted::Planted;

/// How large a journal's files are and when it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Bytes of the first file, pre-written before the start is complete.
    pub first_file_bytes: u64,
    /// Bytes of later files, pre-written in the background.
    pub file_bytes: u64,
    /// All files together. At the limit launches wait for a checkpoint: back-pressure.
    pub journal_bytes_max: u64,
    /// Pre-written files kept for use; others are removed.
    pub ready_files_max: usize,
    /// Buffer of a frame; a larger entry gets a frame of its own.
    pub frame_buffer_bytes: usize,
    /// Frames that may be out at once.
    pub flights_max: usize,
    /// A second flight starts while one is out when so much has collected.
    pub early_flight_bytes: u64,
    /// A SEAL is written when no frame follows within this time.
    pub seal_after: Duration,
    /// Bugs that tests plant to see that they are found.
    #[cfg(feature = "planted-bugs")]
    pub planted: Planted,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            first_file_bytes: 8 << 20,
            file_bytes: 32 << 20,
            journal_bytes_max: 264 << 20,
            ready_files_max: 2,
            frame_buffer_bytes: 128 << 10,
            flights_max: 4,
            early_flight_bytes: 64 << 10,
            seal_after: Duration::from_millis(10),
            #[cfg(feature = "planted-bugs")]
            planted: Planted::default(),
        }
    }
}

impl JournalConfig {
    /// Largest frame that a file can hold.
    #[must_use]
    pub fn frame_bytes_max(&self) -> u64 {
        self.file_bytes - super::format::BLOCK_BYTES as u64
    }
}
