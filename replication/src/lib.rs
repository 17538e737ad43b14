//! The copies: metadata quorum, cluster image, partition leaders.
#![forbid(unsafe_code)]
