//! The metadata quorum: a Raft group whose log is the cluster's history.
