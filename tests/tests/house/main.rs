//! The house rules that a compiler does not see: which way dependencies point, what lies at the top level, what stays
//! behind the door, where `unsafe` may be, how long a file may get, what each crate's README tells.
//!
//! An exception is a line in one of the tables below, with its reason. The rules are checked on text (see `source`), so
//! they find what is written, not what is meant: a new way round the door needs a new row in `BEHIND_THE_DOOR`.

#![allow(
    clippy::unwrap_used,
    reason = "a test; helpers outside the test functions fail it the same way"
)]

mod source;

use serde_json::Value;
use source::{code_of, has_word, without_tests};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the top level holds, apart from dotfiles and `target`.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "engine",
    "net",
    "replication",
    "tests",
    "tools",
    "tuning",
];

/// The dotfiles that belong to the repository; others (a checkout's, an editor's) are nobody's business.
const DOTFILES: [&str; 4] = [".cargo", ".ci", ".clippy.toml", ".rustfmt.toml"];

const CRATES: [&str; 7] = ["tuning", "engine", "replication", "net", "tests", "tools", "benches"];

/// Each package with those of ours it may name, in `[dependencies]` or `[dev-dependencies]` alike.
const MAY_DEPEND_ON: [(&str, &[&str]); 8] = [
    // A tool below net that writes net's generated files; nothing links it.
    ("ringmain-codegen", &[]),
    ("ringmain-tuning", &[]),
    ("ringmain-engine", &["ringmain-tuning"]),
    ("ringmain-replication", &["ringmain-tuning", "ringmain-engine"]),
    ("ringmain-net", &["ringmain-tuning", "ringmain-engine", "ringmain-replication"]),
    (
        "ringmain-tests",
        &["ringmain-tuning", "ringmain-engine", "ringmain-replication", "ringmain-net"],
    ),
    // The one extra arrow: `ringmain simulate` runs the simulated world.
    (
        "ringmain",
        &[
            "ringmain-tuning",
            "ringmain-engine",
            "ringmain-replication",
            "ringmain-net",
            "ringmain-tests",
        ],
    ),
    ("ringmain-bench", &["ringmain-tuning", "ringmain-engine", "ringmain-net"]),
];

/// Words that reach the world past the door: files, sockets, clocks, randomness, threads.
const BEHIND_THE_DOOR: [&str; 18] = [
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "Instant",
    "SystemTime",
    "RandomState",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "thread_rng",
    "getrandom",
    "thread_local!",
    "thread::spawn",
    "thread::sleep",
    "thread::Builder",
];

/// (path from the top, word, why it may stand there). A path that ends in `/` covers what lies below it.
const ALLOWED_OUTSIDE: [(&str, &str, &str); 8] = [
    ("net/codegen/", "*", "writes net's generated files at a developer's desk; nothing links it"),
    ("engine/src/rt/driver/uring/", "*", "the io_uring driver: the door itself"),
    ("engine/src/rt/driver/uring.rs", "*", "the io_uring driver: the door itself"),
    ("tuning/src/host/", "std::fs", "reads /proc and /sys before any shard runs"),
    ("tuning/src/host.rs", "std::fs", "reads /proc and /sys before any shard runs"),
    ("net/src/node/", "thread::Builder", "starts one thread per shard; nothing else has threads"),
    ("net/src/node/", "thread::spawn", "starts one thread per shard; nothing else has threads"),
    ("net/src/node.rs", "thread::Builder", "starts one thread per shard; nothing else has threads"),
];

/// Where `unsafe` may stand, and why.
const UNSAFE_ALLOWED: [(&str, &str); 6] = [
    ("engine/src/rt/", "the drivers and the mesh"),
    ("engine/src/rt.rs", "the drivers and the mesh"),
    ("engine/src/memory/", "memory that the kernel and other shards share"),
    ("engine/src/memory.rs", "memory that the kernel and other shards share"),
    ("engine/tests/batch_allocation.rs", "a test's counting allocator is a GlobalAlloc"),
    ("net/tests/wire_heap.rs", "a test's counting allocator is a GlobalAlloc"),
];

const FILE_LINES_MAX: usize = 900;
const README_SECTIONS: [&str; 5] = ["Purpose", "Map", "Walk", "Invariants", "Limits"];

#[test]
fn top_level_holds_exactly_what_the_plan_names() {
    let mut found = names_in(&top());
    found.retain(|name| name != "target" && !name.starts_with('.'));
    assert_eq!(found, TOP_LEVEL);
    for dotfile in DOTFILES {
        assert!(top().join(dotfile).exists(), "{dotfile} is missing at the top level");
    }
}

#[test]
fn dependencies_point_down_only() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), MAY_DEPEND_ON.len(), "a package is missing from MAY_DEPEND_ON");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = MAY_DEPEND_ON.iter().find(|(known, _)| *known == name);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("{name} is missing from MAY_DEPEND_ON"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let wanted = dependency["name"].as_str().unwrap();
            let ours = MAY_DEPEND_ON.iter().any(|(known, _)| *known == wanted);
            assert!(!ours || allowed.contains(&wanted), "{name} must not depend on {wanted}");
        }
    }
}

#[test]
fn the_binary_links_neither_the_generators_runtime_nor_the_codecs_oracle() {
    let tree = cargo(&["tree", "-p", "ringmain", "-e", "normal,build", "--prefix", "none"]);
    assert!(tree.contains("ringmain-engine"), "{tree}");
    for banned in ["glommio", "kafka-protocol"] {
        let found = tree.lines().find(|line| line.starts_with(&format!("{banned} ")));
        assert_eq!(found, None, "{banned} is in the normal tree of ringmain");
    }
}

#[test]
fn the_world_is_reached_through_the_door_only() {
    let mut faults = Vec::new();
    for file in sources(&["tuning", "engine", "replication", "net"]) {
        let code = without_tests(&code_of(&file.text));
        for (number, line) in code.lines().enumerate() {
            for word in BEHIND_THE_DOOR.iter().filter(|word| has_word(line, word)) {
                if !allowed_outside(&file.path, word) {
                    faults.push(format!("{}:{}: {word}", file.path, number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "go through engine::rt, or name the reason:\n{}", faults.join("\n"));
}

#[test]
fn unsafe_stays_in_the_drivers_and_the_memory_they_share() {
    let may = |path: &str| UNSAFE_ALLOWED.iter().any(|(prefix, _)| path.starts_with(prefix));
    let outside = sources(&CRATES).into_iter().filter(|file| !may(&file.path));
    let faults: Vec<_> = outside
        .filter(|file| has_word(&code_of(&file.text), "unsafe"))
        .map(|file| file.path)
        .collect();
    assert!(faults.is_empty(), "unsafe outside engine::rt and engine::memory: {faults:?}");
    for name in ["net", "replication"] {
        let root = read(&format!("{name}/src/lib.rs"));
        assert!(
            root.contains("#![forbid(unsafe_code)]"),
            "{name}/src/lib.rs must forbid unsafe code"
        );
    }
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    for file in sources(&CRATES) {
        let told = file.text.starts_with("//!") || is_test(&file.path);
        assert!(told, "{} must open with what it is (//!)", file.path);
        let lines = file.text.lines().count();
        let generated = file.text.lines().take(5).any(|line| line.starts_with("//! Generated by"));
        assert!(
            generated || lines <= FILE_LINES_MAX,
            "{}: {lines} lines; split it by role",
            file.path
        );
    }
}

#[test]
fn every_crate_tells_the_same_five_things() {
    for name in CRATES {
        let readme = read(&format!("{name}/README.md"));
        let headings: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let wanted: Vec<_> =
            headings.iter().filter(|heading| README_SECTIONS.contains(heading)).collect();
        assert_eq!(
            wanted,
            README_SECTIONS.iter().collect::<Vec<_>>(),
            "{name}/README.md has {headings:?}"
        );
    }
}

struct Source {
    /// From the top level, with `/`.
    path: String,
    text: String,
}

/// Every Rust file below the given crates.
fn sources(crates: &[&str]) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = crates.iter().map(|name| top().join(name)).collect();
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(
                names_in(&path).iter().filter(|name| *name != "target").map(|name| path.join(name)),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: name, text });
        }
    }
    assert!(!found.is_empty());
    found
}

fn allowed_outside(path: &str, word: &str) -> bool {
    let listed = |(prefix, allowed, _): &(&str, &str, &str)| {
        (path == *prefix || prefix.ends_with('/') && path.starts_with(prefix))
            && (*allowed == "*" || *allowed == word)
    };
    is_test(path) || ALLOWED_OUTSIDE.iter().any(listed)
}

/// `tests.rs`, `*_tests.rs` and `tests/` beside what they test.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let run =
        Command::new(cargo).args(arguments).arg("--offline").current_dir(top()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
