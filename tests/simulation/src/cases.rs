//! Zones of the kinds that users have, reduced from public reports, with invented names: the plan's
//! answer to each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::{Simulation, ZONE_ID};

/// The zone and the input of a case, in `tests/cases`.
fn case(name: &str) -> (Simulation, Value) {
    let read = |file: String| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../cases")
            .join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut input: Value = serde_json::from_str(&read(format!("{name}.input.json"))).unwrap();
    input["hostedZoneId"] = ZONE_ID.into();
    (Simulation::new(&read(format!("{name}.zone.json"))), input)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    futures_executor::block_on(future)
}

#[track_caller]
fn check_plan(simulation: &Simulation, input: &Value, expect: &Expect) {
    let mut shown = String::new();
    match run(simulation.plan("plan", input)) {
        Ok(planned) => {
            for step in planned["plan"]["steps"].as_array().unwrap() {
                let _ = writeln!(shown, "{} percent: {}", step["percent"], step["weights"]);
            }
            for warning in planned["plan"]["warnings"].as_array().unwrap() {
                let _ = writeln!(shown, "warning: {}", warning.as_str().unwrap());
            }
        }
        Err(error) => {
            let _ = writeln!(shown, "{}: {error}", error.name());
        }
    }
    expect.assert_eq(&shown);
}

#[test]
fn a_url_an_at_sign_and_a_bare_label_are_refused_with_what_to_write() {
    let (simulation, input) = case("12-pasted-url-and-at-sign");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        InvalidInput: names[0]: expected a DNS name, found the URL "https://app.example.com/"; write its host, "app.example.com"
    "#]],
    );
    for (name, expect) in [
        (
            "@",
            &expect![[r#"
        InvalidInput: names[0]: expected a DNS name, found "@"; write the name of the zone in full, such as example.com
    "#]],
        ),
        (
            "app",
            &expect![[r#"
        InvalidInput: names[0]: expected a name in the zone example.com (Z0BLUEPRINT), found app; did you mean app.example.com?
    "#]],
        ),
    ] {
        let mut input = input.clone();
        input["names"] = [name].as_slice().into();
        check_plan(&simulation, &input, expect);
    }
}
