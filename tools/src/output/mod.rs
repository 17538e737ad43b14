//! What the commands print: aligned tables or JSON on standard output, remarks and errors on
//! standard error.

mod table;

pub(crate) use table::Table;

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::client::{ClientError, Done};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables with upper-case headers.
    #[default]
    Text,
    /// JSON: one document per command, one line per record.
    Json,
}

/// Standard output, buffered.
pub(crate) struct Output {
    /// How results are written.
    pub(crate) format: Format,
    stdout: BufWriter<io::Stdout>,
}

impl Output {
    /// Standard output in a format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, stdout: BufWriter::with_capacity(1 << 16, io::stdout()) }
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.stdout.write_all(text.as_bytes())?;
        self.stdout.write_all(b"\n")
    }

    /// A section title with its underline.
    pub(crate) fn title(&mut self, text: &str) -> io::Result<()> {
        self.line(text)?;
        self.line(&"=".repeat(text.chars().count()))
    }

    /// A table.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        self.stdout.write_all(table.to_string().as_bytes())
    }

    /// One JSON document, indented.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.stdout, value)?;
        self.line("")
    }

    /// One JSON document on one line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, value)?;
        self.line("")
    }

    /// Hands on what was buffered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// A cell for what may not be known or not be there.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// What became of something that was to be deleted.
pub(crate) fn deletion_status(outcome: &Result<Done, ClientError>) -> String {
    match outcome {
        Ok(Done::Confirmed) => "deleted".to_owned(),
        Ok(Done::Found) => {
            "gone, or never there: an answer was lost with the connection".to_owned()
        }
        Err(error) => format!("failed: {error}"),
    }
}

/// A remark for the person at the terminal, on standard error. Nobody to read it is no error.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The exit code of a command over several things, named by `things`: the first failure stands for
/// all.
pub(crate) fn fail_if_any(mut failures: Vec<ClientError>, things: &str) -> anyhow::Result<()> {
    let count = failures.len();
    match count {
        0 => Ok(()),
        1 => Err(failures.remove(0).into()),
        _ => Err(anyhow::Error::from(failures.remove(0))
            .context(format!("{count} {things} failed, the first of them"))),
    }
}

/// An error on standard error: what, why, and what to do, if we know.
pub(crate) fn report(error: &anyhow::Error) {
    let word = if uses_colour() { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    let mut text = format!("{word} {error:#}");
    let advice = error.chain().find_map(|cause| cause.downcast_ref::<ClientError>());
    if let Some(advice) = advice.and_then(ClientError::advice) {
        write!(text, "\n  hint: {advice}").expect("writing into memory does not fail");
    }
    remark(&text);
}

/// Whether standard error is coloured: only where a person sees it and did not switch it off (no-color.org).
pub(crate) fn uses_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

/// Whether whoever read our output went away (`… | head`).
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
