//! The pictures in `statemachine/README.md` are drawn from the definitions.

use definitions::{draw, project};
use expect_test::{expect, expect_file};
use serde_json::json;

const DOCUMENT: &str = "statemachine/README.md";

#[test]
fn pictures_show_the_definitions() {
    let mut drawn = project::text(DOCUMENT);
    for path in project::files("statemachine", ".asl.json") {
        let name = path
            .trim_start_matches("statemachine/")
            .trim_end_matches(".asl.json");
        let definition = serde_json::from_str(&project::text(&path)).unwrap();
        let begin = format!("<!-- picture: {name} -->\n```mermaid\n");
        let (before, rest) = drawn.split_once(&begin).unwrap();
        let (_, after) = rest.split_once("```").unwrap();
        drawn = [before, &begin, &draw(&definition), "```", after].concat();
    }
    expect_file![project::path(DOCUMENT)].assert_eq(&drawn);
}

#[test]
fn main_path_is_drawn_first_and_the_rest_lightly() {
    let end = json!({"Type": "Succeed"});
    let states = json!({
        "Shift weight": {
            "Type": "Task",
            "Resource": "arn:${Partition}:states:::lambda:invoke",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            "Next": "Announce the step",
        },
        "Announce the step": {
            "Type": "Task",
            "Resource": "arn:${Partition}:states:::events:putEvents",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "More steps?"}],
            "Next": "More steps?",
        },
        "More steps?": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $step < 2 %}", "Next": "Shift weight"},
                {"Condition": "{% $late %}", "Output": {"Error": "TooLate"}, "Next": "Failed"},
            ],
            "Default": "Check health",
        },
        "Check health": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "Probed", "States": {"Probed": end}}],
            "Next": "Completed",
        },
        "Completed": end,
        "Failed": {"Type": "Fail"},
    });
    let definition = json!({"StartAt": "Shift weight", "States": states});
    expect![[r#"
        flowchart TD
          s0["Shift weight"]
          s1["Announce the step"]:::announcement
          s2{"More steps?"}
          subgraph s3["Check health"]
            s3b0s0(["Probed"])
          end
          s4(["Completed"])
          s5(["Failed"]):::failed
          s0 --> s1
          s0 -.->|"error"| s5
          s1 --> s2
          s2 --> s0
          s2 -.->|"TooLate"| s5
          s2 -->|"default"| s3
          s3 --> s4
          linkStyle 1,4 stroke:#999
          classDef announcement fill:none,stroke:#999,stroke-dasharray:4,color:#999
          classDef failed stroke:#c33
    "#]]
    .assert_eq(&draw(&definition));
}
