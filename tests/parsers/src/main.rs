//! Writes the examples of each property to the corpus of its fuzz target.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (property, _) in parsers::PROPERTIES {
        let corpus = corpora.join(property);
        fs::create_dir_all(&corpus)?;
        for (number, example) in parsers::examples::examples(property).iter().enumerate() {
            fs::write(corpus.join(format!("example-{number}")), example)?;
        }
    }
    Ok(())
}
