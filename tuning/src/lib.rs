//! How big: limits, the one config table, host probe, preflight.
