//! Tables in Markdown.

use std::fmt;

/// A head and rows; each row begins with its label.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, label: &str, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push([label.to_owned()].into_iter().chain(cells).collect());
    }

    /// The first table in a text; `None` if it has none.
    pub fn first_in(text: &str) -> Option<Self> {
        let mut lines = text
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .map(cells);
        let head = lines.next()?;
        // The line under the head.
        lines.next()?;
        Some(Self {
            head,
            rows: lines.collect(),
        })
    }

    /// The cells of the row with this label, by the names of their columns.
    pub fn row(&self, label: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
        let row = self
            .rows
            .iter()
            .find(|row| row.first().is_some_and(|it| it == label))?;
        let columns = self.head.iter().map(String::as_str);
        Some(columns.zip(row.iter().map(String::as_str)).skip(1))
    }
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|');
    let line = line.strip_suffix('|').unwrap_or(line);
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |cells: &[String]| writeln!(f, "| {} |", cells.join(" | "));
        line(&self.head)?;
        line(&vec!["---".to_owned(); self.head.len()])?;
        self.rows.iter().try_for_each(|row| line(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_table_is_read_again_from_a_text() {
        let mut table = Table::new(["", "probe", "goal"]);
        table.push("package, MB", ["2.66".to_owned(), String::new()]);
        let text = format!("Text.\n\n{table}\nMore text.\n\n| another |\n|---|\n");
        assert_eq!(Table::first_in(&text), Some(table.clone()));
        let row: Vec<_> = table.row("package, MB").unwrap().collect();
        assert_eq!(row, [("probe", "2.66"), ("goal", "")]);
        assert!(table.row("memory").is_none());
        assert_eq!(Table::first_in("no table"), None);
    }
}
