//! Draws a state machine from its definition, as a flowchart in Mermaid.
//!
//! The main path comes first, and what leads away from it is drawn lightly:
//! edges of errors are dotted and gray, announcements are dashed and gray. So
//! the loop of a migration can be followed.
//!
//! Source of the syntax: Mermaid, "Flowcharts - Basic Syntax".

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::check::{FINAL_ERRORS, list, text};

/// The flowchart of a definition, in the lines of a Mermaid block.
pub fn draw(definition: &Value) -> String {
    let mut picture = Picture::default();
    picture.lines.push("flowchart TD".to_owned());
    picture.draw_level(definition, "s", 1);
    if !picture.light_edges.is_empty() {
        let edges: Vec<_> = picture.light_edges.iter().map(usize::to_string).collect();
        picture
            .lines
            .push(format!("  linkStyle {} stroke:#999", edges.join(",")));
    }
    for class in [
        "announcement fill:none,stroke:#999,stroke-dasharray:4,color:#999",
        "failed stroke:#c33",
    ] {
        picture.lines.push(format!("  classDef {class}"));
    }
    picture.lines.join("\n") + "\n"
}

#[derive(Default)]
struct Picture {
    lines: Vec<String>,
    /// How many edges are drawn: Mermaid numbers them.
    edges: usize,
    light_edges: Vec<usize>,
}

/// An edge from a state to another one.
struct Edge<'a> {
    to: &'a str,
    labels: Vec<String>,
    is_error: bool,
}

impl Picture {
    /// Draws the states of the state machine, or of one branch of a Parallel state. `prefix` begins
    /// their ids. Returns the id of the first state.
    fn draw_level(&mut self, level: &Value, prefix: &str, depth: usize) {
        let nothing = Map::new();
        let states = level
            .get("States")
            .and_then(Value::as_object)
            .unwrap_or(&nothing);
        let mut order = Vec::new();
        if let Some(start) = text(level, "StartAt") {
            visit(start, states, &mut order);
        }
        let mut position = 0;
        while let Some(state) = order.get(position).and_then(|name| states.get(*name)) {
            for edge in edges(state).iter().filter(|edge| edge.is_error) {
                visit(edge.to, states, &mut order);
            }
            position += 1;
        }
        let id = |name: &str| {
            let position = order.iter().position(|other| *other == name);
            format!("{prefix}{}", position.unwrap_or_default())
        };
        for name in &order {
            if let Some(state) = states.get(*name) {
                self.draw_state(name, state, &id(name), depth);
            }
        }
        for name in &order {
            for edge in states.get(*name).map(edges).unwrap_or_default() {
                self.draw_edge(&id(name), &edge, &id(edge.to), depth);
            }
        }
    }

    fn draw_state(&mut self, name: &str, state: &Value, id: &str, depth: usize) {
        let kind = text(state, "Type").unwrap_or_default();
        let resource = text(state, "Resource").unwrap_or_default();
        let indent = "  ".repeat(depth);
        let (open, close) = match kind {
            "Choice" => ("{", "}"),
            "Wait" => ("{{", "}}"),
            "Pass" => ("(", ")"),
            "Succeed" | "Fail" => ("([", "])"),
            _ => ("[", "]"),
        };
        if kind == "Parallel" {
            self.lines
                .push(format!("{indent}subgraph {id}[\"{name}\"]"));
            for (position, branch) in list(state, "Branches").enumerate() {
                self.draw_level(branch, &format!("{id}b{position}s"), depth + 1);
            }
            self.lines.push(format!("{indent}end"));
            return;
        }
        let class = if resource.ends_with(":events:putEvents") {
            ":::announcement"
        } else if kind == "Fail" {
            ":::failed"
        } else {
            ""
        };
        self.lines
            .push(format!("{indent}{id}{open}\"{name}\"{close}{class}"));
    }

    fn draw_edge(&mut self, from: &str, edge: &Edge<'_>, to: &str, depth: usize) {
        let mut line = "  ".repeat(depth);
        let arrow = if edge.is_error { "-.->" } else { "-->" };
        let _ = write!(line, "{from} {arrow}");
        if !edge.labels.is_empty() {
            let _ = write!(line, "|\"{}\"|", edge.labels.join("<br>"));
        }
        let _ = write!(line, " {to}");
        if edge.is_error {
            self.light_edges.push(self.edges);
        }
        self.edges += 1;
        self.lines.push(line);
    }
}

/// Adds a state, and those that follow it without an error, to the order of the picture.
fn visit<'a>(name: &'a str, states: &'a Map<String, Value>, order: &mut Vec<&'a str>) {
    let Some(state) = states.get(name) else {
        return;
    };
    if order.contains(&name) {
        return;
    }
    order.push(name);
    for edge in edges(state).iter().filter(|edge| !edge.is_error) {
        visit(edge.to, states, order);
    }
}

/// The edges from a state, at most two for each target: one of errors, and one of everything else.
fn edges(state: &Value) -> Vec<Edge<'_>> {
    let mut edges = Vec::new();
    if let Some(next) = text(state, "Next") {
        add(&mut edges, next, None, false);
    }
    for rule in list(state, "Choices") {
        let error = rule.get("Output").and_then(|output| text(output, "Error"));
        let label = error.map(|error| {
            let name = Some(error).filter(|error| !error.starts_with("{%"));
            name.unwrap_or("error").to_owned()
        });
        let is_error = label.is_some();
        add(
            &mut edges,
            text(rule, "Next").unwrap_or_default(),
            label,
            is_error,
        );
    }
    if let Some(default) = text(state, "Default") {
        add(&mut edges, default, Some("default".to_owned()), false);
    }
    for catcher in list(state, "Catch") {
        let target = text(catcher, "Next").unwrap_or_default();
        // A lost announcement changes nothing.
        if text(state, "Next") != Some(target) {
            add(&mut edges, target, Some(caught(catcher)), true);
        }
    }
    edges
}

fn add<'a>(edges: &mut Vec<Edge<'a>>, to: &'a str, label: Option<String>, is_error: bool) {
    let same = |edge: &&mut Edge<'a>| edge.to == to && edge.is_error == is_error;
    match edges.iter_mut().find(same) {
        Some(edge) => {
            if let Some(label) = label.filter(|label| !edge.labels.contains(label)) {
                edge.labels.push(label);
            }
        }
        None => edges.push(Edge {
            to,
            labels: label.into_iter().collect(),
            is_error,
        }),
    }
}

/// What a Catch matches, in few words.
fn caught(catcher: &Value) -> String {
    let names: Vec<_> = list(catcher, "ErrorEquals")
        .filter_map(Value::as_str)
        .collect();
    match names[..] {
        ["States.ALL"] => "error".to_owned(),
        [name] => name.to_owned(),
        _ if names == FINAL_ERRORS => "final error".to_owned(),
        [name, ..] => format!("{name} …"),
        [] => String::new(),
    }
}
