//! The section of the README between two comments.

use std::fmt;

use anyhow::{Context, Result};

use crate::table::Table;

const BEGIN: &str = "<!-- Written by cargo bench. -->\n";
const END: &str = "<!-- The end of what cargo bench writes. -->\n";

/// What `cargo bench` has measured.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub functions: Table,
    pub route53: Table,
    /// Sentences, which become one paragraph.
    pub remarks: Vec<String>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            functions,
            route53,
            remarks,
        } = self;
        write!(f, "{functions}\n{route53}\n{}\n", remarks.join(" "))
    }
}

/// The document with this section in place of the one that it has.
///
/// # Errors
/// If the document lacks one of the comments.
pub fn replace_section(document: &str, section: &Section) -> Result<String> {
    let (before, _, after) = split(document)?;
    Ok(format!("{before}{BEGIN}{section}{END}{after}"))
}

/// The section of a document.
///
/// # Errors
/// If the document lacks one of the comments.
pub fn section_of(document: &str) -> Result<&str> {
    split(document).map(|(_, section, _)| section)
}

/// What is before, between and after the comments.
fn split(document: &str) -> Result<(&str, &str, &str)> {
    let missing = |comment: &str| format!("the document has no line {:?}", comment.trim_end());
    let (before, rest) = document.split_once(BEGIN).with_context(|| missing(BEGIN))?;
    let (section, after) = rest.split_once(END).with_context(|| missing(END))?;
    Ok((before, section, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        Section {
            functions: Table::new(["functions"]),
            route53: Table::new(["route 53"]),
            remarks: vec!["One.".to_owned(), "Two.".to_owned()],
        }
    }

    #[test]
    fn section_is_replaced_between_the_comments_only() {
        let document = format!("# Title\n{BEGIN}old\n{END}## Next\n");
        let written = replace_section(&document, &section()).unwrap();
        let expect = "| functions |\n| --- |\n\n| route 53 |\n| --- |\n\nOne. Two.\n";
        assert_eq!(section_of(&written).unwrap(), expect);
        assert_eq!(written, format!("# Title\n{BEGIN}{expect}{END}## Next\n"));
        assert_eq!(replace_section(&written, &section()).unwrap(), written);
    }

    #[test]
    fn document_without_a_comment_is_refused() {
        let error = replace_section(&format!("{BEGIN}old\n"), &section()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document has no line \"<!-- The end of what cargo bench writes. -->\""
        );
    }
}
