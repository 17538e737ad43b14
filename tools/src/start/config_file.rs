//! The configuration file: Kafka's properties, or TOML. Both give the same flat map of keys.

use std::path::Path;

use anyhow::{Context, bail};
use tuning::config::ConfigMap;

/// Reads `path`; TOML when its name ends in `.toml`.
pub(super) fn read(path: &Path) -> anyhow::Result<ConfigMap> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    let map = match path.extension() {
        Some(extension) if extension == "toml" => toml_map(&text),
        _ => properties_map(&text),
    };
    map.with_context(|| format!("in {}", path.display()))
}

/// Java's properties, as far as brokers use them: `key=value`, `key: value`, `#` and `!` comments,
/// a backslash at the end of a line continues it.
fn properties_map(text: &str) -> anyhow::Result<ConfigMap> {
    let mut map = ConfigMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut whole = line.trim().to_owned();
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        while let Some(start) = whole.strip_suffix('\\') {
            let next = lines.next().map_or("", |(_, next)| next.trim());
            whole = format!("{start}{next}");
        }
        let Some((key, value)) = whole.split_once(['=', ':']) else {
            bail!("line {}: '{whole}' is not KEY=VALUE", number + 1);
        };
        insert(&mut map, key.trim(), value.trim())?;
    }
    Ok(map)
}

/// TOML: tables and dotted keys are joined by dots (`[num] partitions = 3` is `num.partitions`),
/// lists by commas.
fn toml_map(text: &str) -> anyhow::Result<ConfigMap> {
    let table: toml::Table = text.parse()?;
    let mut map = ConfigMap::new();
    flatten(&mut map, "", &table)?;
    Ok(map)
}

fn flatten(map: &mut ConfigMap, prefix: &str, table: &toml::Table) -> anyhow::Result<()> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(map, &key, inner)?,
            toml::Value::Array(items) => {
                let items: anyhow::Result<Vec<String>> =
                    items.iter().map(|item| scalar(&key, item)).collect();
                insert(map, &key, &items?.join(","))?;
            }
            other => insert(map, &key, &scalar(&key, other)?)?,
        }
    }
    Ok(())
}

fn scalar(key: &str, value: &toml::Value) -> anyhow::Result<String> {
    Ok(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(truth) => truth.to_string(),
        _ => bail!("{key}: a text, a number, true or false is wanted"),
    })
}

fn insert(map: &mut ConfigMap, key: &str, value: &str) -> anyhow::Result<()> {
    if map.insert(key.to_owned(), value.to_owned()).is_some() {
        bail!("{key} stands there twice");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_brokers_write_them() {
        let text = "# comment\n! too\n\nnum.partitions=3\nlisteners = PLAINTEXT://:9092,\\\n  EXTRA://:9093\nnode.id: 7\n";
        let map = properties_map(text).expect("well formed");
        assert_eq!(map["num.partitions"], "3");
        assert_eq!(map["listeners"], "PLAINTEXT://:9092,EXTRA://:9093");
        assert_eq!(map["node.id"], "7");
        assert!(properties_map("just text").unwrap_err().to_string().contains("line 1"));
        assert!(properties_map("a=1\na=2").is_err());
    }

    #[test]
    fn toml_is_flattened() {
        let text = "node.id = 7\nlisteners = [\"A://:1\", \"B://:2\"]\n[auto.create.topics]\nenable = false\n";
        let map = toml_map(text).expect("well formed");
        assert_eq!(map["node.id"], "7");
        assert_eq!(map["listeners"], "A://:1,B://:2");
        assert_eq!(map["auto.create.topics.enable"], "false");
        assert!(toml_map("a = 1979-05-27").is_err());
    }
}
