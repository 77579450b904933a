//! The names on which `cutover self-test` tries a stack.

use crate::dns::ZoneNames;

/// The label below a zone's name under which a self-test has all its records. What a stack demands of every migration
/// (see [`StackSettings`](super::StackSettings)) is not demanded of one that moves only such names, because its bakes
/// are short, nothing answers at its addresses, and nobody else's traffic depends on it.
pub const SELF_TEST_LABEL: &str = "_cutover-self-test";

/// Whether there are names, and all are under the label [`SELF_TEST_LABEL`] of their zone.
pub(super) fn are_scratch_names(names: &ZoneNames) -> bool {
    let suffix = format!(".{SELF_TEST_LABEL}.{}", names.zone());
    !names.is_empty() && names.iter().all(|name| name.as_str().ends_with(&suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], expected: bool) {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        let names = ZoneNames::new("example.com".parse().unwrap(), names);
        assert_eq!(are_scratch_names(&names), expected, "{names:?}");
    }

    #[test]
    fn only_names_under_the_label_right_below_the_zone_are_scratch_names() {
        check(&["a.run._cutover-self-test.example.com"], true);
        check(
            &[
                "a._cutover-self-test.example.com",
                "b._cutover-self-test.example.com",
            ],
            true,
        );
        check(&[], false);
        check(&["_cutover-self-test.example.com"], false);
        check(&["a.x_cutover-self-test.example.com"], false);
        check(&["a._cutover-self-test.team.example.com"], false);
        check(
            &["a._cutover-self-test.example.com", "www.example.com"],
            false,
        );
    }
}
