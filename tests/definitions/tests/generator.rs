//! The definitions are generated from their sources, and mistakes in a source are reported.

#![expect(
    clippy::unwrap_used,
    reason = "a source that can't be read shall fail the test"
)]

use std::collections::BTreeSet;

use definitions::{Generator, project};
use expect_test::{Expect, expect, expect_file};

#[test]
fn definitions_are_generated_from_their_sources() {
    let mut generator = Generator::new(&project::text("statemachine/source/blocks.yaml")).unwrap();
    let mut generated = BTreeSet::new();
    for source in project::files("statemachine/source", ".yaml") {
        let file = source.trim_start_matches("statemachine/source/");
        let name = file.trim_end_matches(".yaml");
        if name != "blocks" {
            let definition = generator.generate(file, &project::text(&source)).unwrap();
            let path = format!("statemachine/{name}.asl.json");
            expect_file![project::path(&path)].assert_eq(&definition);
            generated.insert(path);
        }
    }
    assert_eq!(generator.unused(), [""; 0]);
    let definitions = project::files("statemachine", ".asl.json");
    assert_eq!(BTreeSet::from_iter(definitions), generated);
}

const BLOCKS: &str = r#"
errors: [Throttled, Unavailable]
retry:
  ErrorEquals: { Use: errors }
  MaxAttempts: "{{attempts}}"
invoke:
  Type: Task
  Arguments: "{{arguments}}"
  Retry:
    - Use: retry
      With: { attempts: 3 }
cause: $string({{error}}.Cause)
cause-of-input:
  Use: cause
  With: { error: $states.input }
loop: { Next: { Use: loop } }
next: { Next: Wait }
"#;

/// Generates a definition with one state, and compares it or the reported mistake.
#[track_caller]
fn check(state: &str, expect: &Expect) {
    let source = format!("States:\n  Shift weight:\n{state}");
    let generated = Generator::new(BLOCKS)
        .unwrap()
        .generate("migration.yaml", &source);
    expect.assert_eq(&generated.unwrap_or_else(|problem| problem));
}

#[test]
fn fields_of_a_block_take_the_place_of_use() {
    check(
        r#"
    Comment: Why.
    Use: invoke
    With: { arguments: { step: 1 } }
    Next: Wait
"#,
        &expect![[r#"
            {
              "States": {
                "Shift weight": {
                  "Comment": "Why.",
                  "Type": "Task",
                  "Arguments": {
                    "step": 1
                  },
                  "Retry": [
                    {
                      "ErrorEquals": [
                        "Throttled",
                        "Unavailable"
                      ],
                      "MaxAttempts": 3
                    }
                  ],
                  "Next": "Wait"
                }
              }
            }
        "#]],
    );
}

#[test]
fn block_in_a_text_is_replaced_in_the_text() {
    check(
        r#"    Cause: "{% {{cause-of-input}} & {'a': {'b': 1}} %}""#,
        &expect![[r#"
            {
              "States": {
                "Shift weight": {
                  "Cause": "{% $string($states.input.Cause) & {'a': {'b': 1}} %}"
                }
              }
            }
        "#]],
    );
}

#[test]
fn list_of_texts_in_a_text_becomes_jsonata() {
    check(
        r#"    Condition: "{% $states.input.Error in {{errors}} %}""#,
        &expect![[r#"
            {
              "States": {
                "Shift weight": {
                  "Condition": "{% $states.input.Error in ['Throttled', 'Unavailable'] %}"
                }
              }
            }
        "#]],
    );
}

#[test]
fn unknown_block_is_reported() {
    check(
        "    Retry: { Use: retries }",
        &expect!["migration.yaml / States / Shift weight / Retry: there is no block retries"],
    );
    check(
        r#"    Cause: "{% {{reason}} %}""#,
        &expect!["migration.yaml / States / Shift weight / Cause: there is no block reason"],
    );
}

#[test]
fn missing_and_unknown_parameters_are_reported() {
    check(
        "    Retry: [{ Use: retry }]",
        &expect![
            "migration.yaml / States / Shift weight / Retry / 0: the block retry needs attempts"
        ],
    );
    check(
        "    Retry: [{ Use: retry, With: { attempts: 3, delay: 1 } }]",
        &expect![
            "migration.yaml / States / Shift weight / Retry / 0: the block retry has no parameter delay"
        ],
    );
    check(
        "    With: { attempts: 3 }",
        &expect!["migration.yaml / States / Shift weight: there is With, but no Use"],
    );
}

#[test]
fn ambiguous_source_is_reported() {
    check(
        "    Type: Task\n    Use: invoke\n    With: { arguments: 1 }",
        &expect![
            "migration.yaml / States / Shift weight: Type is given twice, by a block and beside it"
        ],
    );
    check(
        "    Use: errors\n    Next: Wait",
        &expect![
            "migration.yaml / States / Shift weight: a block that is no mapping is used among other fields"
        ],
    );
    check(
        "    Cause: \"because {{next}}\"",
        &expect![
            "migration.yaml / States / Shift weight / Cause: next is no text, no number and no list of texts"
        ],
    );
    check(
        "    Cause: {{cause}}",
        &expect![[
            r#"migration.yaml / States / Shift weight / Cause: a key is no text; is a "{{name}}" without quotes?"#
        ]],
    );
    check(
        "    Use: loop",
        &expect![
            "migration.yaml / States / Shift weight / block loop / Next: the block loop uses itself"
        ],
    );
    check(
        "    Next: Wait\n    Next: Wait",
        &expect![[
            r#"migration.yaml: States.Shift weight: duplicate entry with key "Next" at line 3 column 5"#
        ]],
    );
}
