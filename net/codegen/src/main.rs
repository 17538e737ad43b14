//! Generates `net/src/wire/messages` from Kafka's message specs.
//!
//! `cargo run -p ringmain-codegen` rewrites the generated files; with `--check` it only compares
//! and fails when they are not what the specs give. The specs are not in this repository: they
//! are JSON files inside the Maven artifacts `org.apache.kafka:kafka-clients` and
//! `kafka-group-coordinator`, which are fetched with `mvn` into `target/` when they are not there
//! yet (`--specs <folder>` names another place: a folder with one folder per artifact, unpacked).
//!
//! It is a package of its own, below `net`, because it must run when `net` does not compile.
//! Every spec of `kafka-clients` is resolved, rendered and formatted in each run, also those that
//! are not emitted, so that a construct the generator does not know shows up before it is needed.
#![forbid(unsafe_code)]

mod emit;
mod files;
mod list;
mod model;
mod names;
mod spec;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use list::Artifact;
use model::Message;
use spec::SpecFile;

fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut specs = Vec::new();
    for artifact in list::ARTIFACTS {
        let folder = match &arguments.specs {
            Some(folder) => folder.join(artifact.name).join(files::SPECS),
            None => files::fetch_specs(&root.join("target"), artifact)?,
        };
        specs.extend(read_specs(&folder, artifact)?);
    }
    specs.sort_by_key(|spec| (spec.api_key, spec.kind.clone(), spec.name.clone()));
    let messages = resolve(&specs)?;
    let generated = generate(&specs, &messages)?;
    files::put(&root.join("net"), &generated, arguments.check)
}

struct Arguments {
    specs: Option<PathBuf>,
    check: bool,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self { specs: None, check: false };
        while let Some(word) = given.next() {
            match word.as_str() {
                "--check" => arguments.check = true,
                "--specs" => {
                    arguments.specs = Some(given.next().context("--specs needs a folder")?.into());
                }
                other => bail!("unknown argument {other}; known: --check, --specs <folder>"),
            }
        }
        Ok(arguments)
    }
}

fn read_specs(folder: &Path, artifact: &Artifact) -> Result<Vec<SpecFile>> {
    let mut specs = Vec::new();
    for path in files::json_files(folder)? {
        let text = std::fs::read_to_string(&path)?;
        specs.push(spec::parse(&text).with_context(|| format!("{}", path.display()))?);
    }
    ensure!(
        specs.len() == artifact.spec_count,
        "{} specs in {}, {} expected",
        specs.len(),
        folder.display(),
        artifact.spec_count
    );
    specs.retain(|spec| artifact.resolves_all || list::is_emitted(&spec.name));
    Ok(specs)
}

/// Resolves every spec that has versions left.
fn resolve(specs: &[SpecFile]) -> Result<Vec<Message>> {
    specs
        .iter()
        .filter(|spec| spec.valid_versions != "none")
        .map(|spec| Message::resolve(spec).with_context(|| spec.name.clone()))
        .collect()
}

/// Every generated file: path below `net` → formatted text.
fn generate(specs: &[SpecFile], messages: &[Message]) -> Result<BTreeMap<PathBuf, String>> {
    let borrows: BTreeMap<&str, bool> =
        messages.iter().map(|one| (one.name.as_str(), one.structs[0].borrows)).collect();
    let answer_borrows = |name: &str| {
        let answer = emit::api_name(name) + "Response";
        borrows.get(answer.as_str()).copied().unwrap_or_default()
    };
    let mut emitted = Vec::new();
    let mut unformatted = BTreeMap::new();
    let folder = Path::new("src/wire/messages");
    let mut rest = String::new();
    for message in messages {
        let text = emit::message(message, answer_borrows(&message.name));
        if list::is_emitted(&message.name) {
            let file = format!("{}.rs", names::snake(&message.name));
            unformatted.insert(folder.join(file), text);
            emitted.push(message);
        } else {
            rest += &format!("mod {} {{\n{}}}\n", names::snake(&message.name), inner(&text));
        }
    }
    files::format(&rest).context("messages that are not emitted")?;
    unformatted.insert(folder.join("mod.rs"), emit::module(&emitted));
    unformatted.insert(folder.join("keys.rs"), emit::keys(&keys(specs)));
    unformatted.insert("tests/wire/schema.rs".into(), emit::schema(&emitted));
    unformatted.into_iter().map(|(path, text)| Ok((path, files::format(&text)?))).collect()
}

/// A file's text without its inner docs, fit to stand inside a module.
fn inner(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect()
}

fn keys(specs: &[SpecFile]) -> Vec<(i16, String)> {
    specs
        .iter()
        .filter(|spec| spec.kind == "request")
        .filter_map(|spec| Some((spec.api_key?, emit::api_name(&spec.name))))
        .collect()
}
