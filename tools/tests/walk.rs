//! The Walk of the README, run line by line as it stands there, against a broker that is started
//! the way the README says.
#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_ringmain");

/// The code blocks of the README's Walk.
fn blocks() -> Vec<String> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let walk = readme.split("## Walk").nth(1).unwrap().split("\n## ").next().unwrap();
    walk.split("```").skip(1).step_by(2).map(str::to_owned).collect()
}

struct Broker {
    process: Child,
    address: String,
}

impl Broker {
    /// `ringmain start`, with its data where the README says; returns when it serves.
    fn start(home: &Path) -> Self {
        let port = 20_000 + std::process::id() % 10_000;
        let address = format!("127.0.0.1:{port}");
        let mut process = Command::new(BINARY)
            .args(["start", "--kafka-addr", &address])
            .current_dir(home)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let serves = lines.any(|line| line.unwrap().contains("is serving"));
        assert!(serves, "the broker ended before it served");
        // Whatever it says later must not meet a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success(), "a clean stop is success");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the lines of a block in one shell that ends at the first failure; returns its output.
fn run(block: &str, home: &Path, brokers: &str) -> String {
    let bin = Path::new(BINARY).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", block])
        .current_dir(home)
        .env("PATH", path)
        .env("RINGMAIN_BROKERS", brokers)
        .output()
        .unwrap();
    let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{err}");
    String::from_utf8(out).unwrap()
}

#[test]
fn the_walk_of_the_readme_runs_as_written() {
    let home = TempDir::new().unwrap();
    let [client, offline] = blocks().try_into().unwrap();
    let broker = Broker::start(home.path());
    let output = run(&client, home.path(), &broker.address);
    for expected in [
        "orders  3           1         created",
        "wrote 1 record to orders-",
        "]@0 a=1\n",
        "]@0 b=2\n",
        "\"key\":\"a\",\"value\":\"1\"}",
        "altered orders",
        "orders has 6 partitions",
        "PARTITION  LOG-START-OFFSET  STATUS",
        "max.message.bytes  2000000  topic",
        "PARTITION  LEADER  EPOCH  REPLICAS  ISR  LOG-START-OFFSET  HIGH-WATERMARK",
    ] {
        assert!(output.contains(expected), "{expected:?} is missing in:\n{output}");
    }
    broker.stop();
    let output = run(&offline, home.path(), "");
    assert!(output.contains("clean stop") && !output.contains("DAMAGED"), "{output}");
}
