//! How long until a broker serves: asked from before it is there.
//!
//! Times are told in seconds since 1970, so that whoever started the broker can subtract when that was.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::connection::Connection;
use super::{on_executor, topic};
use crate::cli::ReadyOptions;

const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// When what was there.
#[derive(Debug, Serialize)]
struct Ready {
    /// The broker answered ApiVersions.
    answers_at_unix_s: f64,
    /// Every partition had a leader that answered for it.
    serves_at_unix_s: f64,
    partitions: usize,
}

/// Polls until every partition of the topics serves, and prints when that was.
pub(crate) fn ready(options: &ReadyOptions) -> Result<()> {
    let options = options.clone();
    on_executor(options.target.core, move || async move {
        let ready = poll(&options).await?;
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&ready)?)?;
        Ok(())
    })
}

async fn poll(options: &ReadyOptions) -> Result<Ready> {
    let give_up = Instant::now() + Duration::from_secs_f64(options.seconds);
    let mut answers_at_unix_s = None;
    while Instant::now() < give_up {
        if let Ok(mut connection) = Connection::open(&options.target.broker).await {
            answers_at_unix_s.get_or_insert_with(unix_s);
            while let Ok(serving) = topic::serving(&mut connection, &options.target).await {
                if let Some(partitions) = serving {
                    return Ok(Ready {
                        answers_at_unix_s: answers_at_unix_s.context("it answered")?,
                        serves_at_unix_s: unix_s(),
                        partitions: partitions.len(),
                    });
                }
                glommio::timer::sleep(POLL_INTERVAL).await;
            }
        }
        glommio::timer::sleep(POLL_INTERVAL).await;
    }
    bail!("{} does not serve after {} s", options.target.broker, options.seconds)
}

fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
