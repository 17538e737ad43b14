//! The simulator behind the door: seeded, with virtual time.
