//! The other world: simulated clusters, workloads and checkers.
