//! A table: columns as wide as their widest cell, two spaces between them, headers in capitals.

use std::fmt;

/// Rows under headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has a cell for each header.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.headers.len(), "a row has as many cells as the table columns");
        self.rows.push(cells);
    }

    /// A list of objects, named by the headers in lower case.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let name = |header: &&str| header.to_lowercase().replace('-', "_");
        let object = |row: &Vec<String>| {
            let cells = row.iter().map(|cell| serde_json::Value::from(cell.as_str()));
            self.headers.iter().map(name).zip(cells).collect()
        };
        self.rows.iter().map(|row| serde_json::Value::Object(object(row))).collect()
    }

    /// Takes out a column that carries no news: one in which every cell is `cell`.
    pub(crate) fn without_column_of(mut self, header: &str, cell: &str) -> Self {
        let Some(index) = self.headers.iter().position(|one| *one == header) else { return self };
        if self.rows.iter().all(|row| row[index] == cell) {
            self.headers.remove(index);
            self.rows.iter_mut().for_each(|row| drop(row.remove(index)));
        }
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.headers.iter().map(|header| width(header)).collect();
        for row in &self.rows {
            for (index, cell) in row.iter().enumerate() {
                widths[index] = widths[index].max(width(cell));
            }
        }
        let headers: Vec<String> = self.headers.iter().map(|&header| header.to_owned()).collect();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<String>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "PARTITIONS", "NOTE"]);
        table.row(vec!["é".into(), "1".into(), "-".into()]);
        table.row(vec!["orders".into(), "12".into(), "-".into()]);
        let expected = "NAME    PARTITIONS  NOTE\né       1           -\norders  12          -\n";
        assert_eq!(table.to_string(), expected);
        let shorter = table.without_column_of("NOTE", "-").to_string();
        assert_eq!(shorter, "NAME    PARTITIONS\né       1\norders  12\n");
    }
}
