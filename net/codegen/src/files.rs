//! The generator's contact with the outside: Maven, rustfmt, the files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::list::{Artifact, KAFKA_VERSION};

/// Where the specs lie in an artifact.
pub(crate) const SPECS: &str = "common/message";

/// The folder with the specs of `artifact`, fetched below `target` unless it is there already.
pub(crate) fn fetch_specs(target: &Path, artifact: &Artifact) -> Result<PathBuf> {
    let home = target.join(format!("{}-{KAFKA_VERSION}", artifact.folder));
    let folder = home.join(SPECS);
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&home)?;
    let jar = home.join(format!("{}-{KAFKA_VERSION}.jar", artifact.name));
    run(Command::new("mvn").current_dir(&home).args([
        "--quiet",
        "dependency:copy",
        &format!("-Dartifact=org.apache.kafka:{}:{KAFKA_VERSION}", artifact.name),
        "-DoutputDirectory=.",
    ]))?;
    run(Command::new("unzip")
        .args(["-q", "-o"])
        .arg(&jar)
        .args([&format!("{SPECS}/*"), "-d"])
        .arg(&home))?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed; --specs <folder> names specs fetched elsewhere");
    Ok(())
}

/// The spec files of a folder, by name.
pub(crate) fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("specs in {}", folder.display()))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths)
}

/// Runs rustfmt over `text` with the repository's settings.
pub(crate) fn format(text: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start rustfmt")?;
    let mut stdin = rustfmt.stdin.take().expect("stdin was piped above");
    let input = text.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = rustfmt.wait_with_output()?;
    feeder.join().expect("the feeding thread does not panic")?;
    ensure!(output.status.success(), "rustfmt refuses the generated text");
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes the generated files below `net`, or with `check` compares them; in both cases files
/// that are no longer generated count as stale.
pub(crate) fn put(net: &Path, files: &BTreeMap<PathBuf, String>, check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (path, text) in files {
        let place = net.join(path);
        if std::fs::read_to_string(&place).is_ok_and(|there| there == *text) {
            continue;
        }
        stale.push(path.clone());
        if !check {
            std::fs::create_dir_all(place.parent().expect("generated files have a folder"))?;
            std::fs::write(&place, text)?;
        }
    }
    for leftover in leftovers(net, files)? {
        if !check {
            std::fs::remove_file(net.join(&leftover))?;
        }
        stale.push(leftover);
    }
    if check && !stale.is_empty() {
        bail!("not fresh: {stale:?}; run `cargo run -p ringmain-codegen` and commit");
    }
    let word = if check { "fresh" } else { "written" };
    println(&format!("{} files {word}, {} changed", files.len(), stale.len()));
    Ok(())
}

fn leftovers(net: &Path, files: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>> {
    let folder = Path::new("src/wire/messages");
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(net.join(folder)) else { return Ok(found) };
    for entry in entries {
        let path = folder.join(entry?.file_name());
        if !files.contains_key(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

fn println(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
