//! SIGTERM and SIGINT stop the node in good order, SIGUSR1 writes its counters.

use anyhow::Context;
use net::node::Control;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// Watches for signals on a thread of its own, from now to the end of the process. A second SIGINT
/// or SIGTERM ends the process at once: the next start recovers, as after a crash.
pub(super) fn watch(control: Control) -> anyhow::Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1]).context("cannot watch for signals")?;
    let watching = move || {
        let mut stopping = false;
        for signal in &mut signals {
            match signal {
                SIGUSR1 => say_counters(&control),
                _ if stopping => std::process::exit(130),
                _ => {
                    stopping = true;
                    tracing::info!(
                        "stopping: finishing what was started (once more to stop at once)"
                    );
                    control.stop();
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watching)
        .context("cannot start a thread")?;
    Ok(())
}

/// One log line per shard: `ringmain.counters shard=0 requests=12 …`.
pub(super) fn say_counters(control: &Control) {
    for (shard, counters) in control.counters().iter().enumerate() {
        let values: Vec<String> =
            counters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        tracing::info!("ringmain.counters shard={shard} {}", values.join(" "));
    }
}
