//! `ringmain topic alter`

use anyhow::{Result, ensure};
use clap::Args;

use super::key_value;
use crate::cli::Common;
use crate::client::Alteration;
use crate::output::Format;

/// Kafka's numbers of the ways to change a config (KIP-339).
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Topic.
    name: String,
    /// Set a config; may be repeated.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Back to the default; may be repeated.
    #[arg(short, long, value_name = "KEY")]
    delete: Vec<String>,
    /// Add a word to a list, such as cleanup.policy; may be repeated.
    #[arg(long, value_name = "KEY=WORD", value_parser = key_value)]
    append: Vec<(String, String)>,
    /// Take a word out of a list; may be repeated.
    #[arg(long, value_name = "KEY=WORD", value_parser = key_value)]
    subtract: Vec<(String, String)>,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let alterations = self.alterations();
        ensure!(
            !alterations.is_empty(),
            "nothing to change: name it with --set KEY=VALUE, --delete KEY, --append or --subtract"
        );
        self.common.cluster().alter_topic(&self.name, &alterations)?;
        let mut out = self.common.output();
        if out.format == Format::Json {
            let names: Vec<&str> = alterations.iter().map(|one| one.name.as_str()).collect();
            out.json(&serde_json::json!({ "topic": self.name, "altered": names }))?;
        } else {
            out.line(&format!("altered {}", self.name))?;
        }
        Ok(out.flush()?)
    }

    fn alterations(&self) -> Vec<Alteration> {
        let with = |operation: i8, pairs: &[(String, String)]| -> Vec<Alteration> {
            let one = |(name, value): &(String, String)| Alteration {
                name: name.clone(),
                operation,
                value: Some(value.clone()),
            };
            pairs.iter().map(one).collect()
        };
        let mut all = with(SET, &self.set);
        all.extend(with(APPEND, &self.append));
        all.extend(with(SUBTRACT, &self.subtract));
        let back =
            |name: &String| Alteration { name: name.clone(), operation: DELETE, value: None };
        all.extend(self.delete.iter().map(back));
        all
    }
}
