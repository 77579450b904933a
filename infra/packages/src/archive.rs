//! A function's deployment package.

use std::io::{Cursor, Write};

use anyhow::Result;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The name by which Lambda starts the program of an OS-only runtime.
///
/// Source: Lambda Developer Guide, "Building a custom runtime for AWS Lambda".
const PROGRAM: &str = "bootstrap";

/// Zopfli with three iterations: the archive is 2 percent smaller than with zlib's best level, and no
/// larger than with more iterations. The crate `zip` adds 9 to the number.
const COMPRESSION_LEVEL: i64 = 9 + 3;

/// A ZIP archive of the program. The same program gives the same bytes: the archive has no time of its
/// own.
pub fn archive(program: &[u8]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(COMPRESSION_LEVEL))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(PROGRAM, options)?;
    writer.write_all(program)?;
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use zip::ZipArchive;

    use super::*;

    #[test]
    fn archive_has_an_executable_program_and_no_time() {
        let program: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let bytes = archive(&program).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        assert_eq!(file.last_modified(), Some(DateTime::default()));
        let mut unpacked = Vec::new();
        file.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == program);
    }
}
