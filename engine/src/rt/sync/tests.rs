//! Tests of the meeting points.
