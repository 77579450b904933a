//! Tests of the fuzz targets. They are in a separate package, which no build of the workspace
//! compiles. So each target is only a call of its property, and these tests compare its text.

use expect_test::expect_file;
use parsers::PROPERTIES;

#[test]
fn every_property_has_a_fuzz_target() {
    for (name, _) in PROPERTIES {
        let target = format!(
            "#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::{name}(bytes));\n"
        );
        expect_file![format!(
            "{}/fuzz/fuzz_targets/{name}.rs",
            env!("CARGO_MANIFEST_DIR")
        )]
        .assert_eq(&target);
    }
}

#[test]
fn every_fuzz_target_is_in_the_manifest() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let declared: Vec<_> = manifest
        .lines()
        .filter_map(|line| {
            line.strip_prefix("path = \"fuzz_targets/")?
                .strip_suffix(".rs\"")
        })
        .collect();
    assert_eq!(declared, PROPERTIES.map(|(name, _)| name));
}
