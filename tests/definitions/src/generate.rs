//! Generates the state machine definitions from their sources.
//!
//! The sources in `statemachine/source/` are Amazon States Language in YAML. What
//! several states have in common is written once, as a block in `blocks.yaml`.
//! The definitions in `statemachine/` are plain Amazon States Language in JSON,
//! with the states and fields in the order of the sources.
//!
//! With `Use`, a mapping takes the fields of a block, in place of `Use`. `With`
//! has the parameters of the block:
//!
//! ```yaml
//! Shift weight:
//!   Comment: …
//!   Use: invoke-shift-weight
//!   With:
//!     payload: { operation: shift }
//!   Next: Wait for Route 53
//! ```
//!
//! A block may also be a list or a text. Then it replaces the whole mapping,
//! which may have no other fields.
//!
//! In a text, `{{name}}` is a parameter of the block that the text is in, or
//! else a block without parameters. A text that consists of `{{name}}` alone
//! becomes that value, of whatever type; in a longer text, the value has to be
//! a text, a number or a list of texts, which becomes a list in `JSONata`:
//! `['Throttled', 'Unavailable']`.
//!
//! Sources are YAML because it has comments, multi-line texts, and a parser that
//! keeps the order of keys and rejects duplicate ones. `serde_json` keeps the
//! order only with a feature that would apply to the whole workspace.

use std::collections::BTreeSet;

use yaml_serde::{Mapping, Value};

/// Replaces the blocks in sources by their contents.
pub struct Generator {
    blocks: Mapping,
    used: BTreeSet<String>,
}

impl Generator {
    /// Creates a generator from the text of `blocks.yaml`.
    pub fn new(blocks: &str) -> Result<Self, String> {
        let blocks =
            yaml_serde::from_str(blocks).map_err(|error| format!("blocks.yaml: {error}"))?;
        Ok(Self {
            blocks,
            used: BTreeSet::new(),
        })
    }

    /// Generates a definition (JSON) from the text of a source. `file` is the name of the source in
    /// error messages, which also name state and field.
    pub fn generate(&mut self, file: &str, source: &str) -> Result<String, String> {
        let source = yaml_serde::from_str(source).map_err(|error| format!("{file}: {error}"))?;
        let place = Place {
            path: vec![file.to_owned()],
            blocks: Vec::new(),
            parameters: &Mapping::new(),
        };
        let definition = self.expand(&source, &place)?;
        serde_json::to_string_pretty(&definition)
            .map(|json| json + "\n")
            .map_err(|error| format!("{file}: {error}"))
    }

    /// The names of the blocks that no definition generated so far has used.
    pub fn unused(&self) -> Vec<&str> {
        let names = self.blocks.keys().filter_map(Value::as_str);
        names.filter(|name| !self.used.contains(*name)).collect()
    }

    fn expand(&mut self, value: &Value, place: &Place<'_>) -> Result<Value, String> {
        match value {
            Value::String(text) => self.expand_text(text, place),
            Value::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.expand(item, &place.below(&index.to_string())))
                .collect(),
            Value::Mapping(fields) => self.expand_mapping(fields, place),
            Value::Tagged(tagged) => Err(place.error(format!("the tag {} is unknown", tagged.tag))),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    fn expand_mapping(&mut self, fields: &Mapping, place: &Place<'_>) -> Result<Value, String> {
        let has_other_fields = fields.keys().any(|key| key != "Use" && key != "With");
        let mut expanded = Mapping::new();
        for (key, value) in fields {
            let Some(key) = key.as_str() else {
                return Err(place.error("a key is no text; is a \"{{name}}\" without quotes?"));
            };
            match key {
                "Use" => {
                    let arguments = self.arguments(fields, place)?;
                    match self.expand_block(value, &arguments, place)? {
                        Value::Mapping(block) => {
                            for (key, value) in block {
                                insert(&mut expanded, key, value, place)?;
                            }
                        }
                        block if !has_other_fields => return Ok(block),
                        _ => {
                            return Err(place
                                .error("a block that is no mapping is used among other fields"));
                        }
                    }
                }
                "With" if fields.contains_key("Use") => {}
                "With" => return Err(place.error("there is With, but no Use")),
                _ => {
                    let value = self.expand(value, &place.below(key))?;
                    insert(&mut expanded, key.into(), value, place)?;
                }
            }
        }
        Ok(Value::Mapping(expanded))
    }

    /// Expands `With`, which may itself use the parameters of the block around it.
    fn arguments(&mut self, fields: &Mapping, place: &Place<'_>) -> Result<Mapping, String> {
        match fields.get("With") {
            None => Ok(Mapping::new()),
            Some(with) => match self.expand(with, place)? {
                Value::Mapping(arguments) => Ok(arguments),
                _ => Err(place.error("With is no mapping")),
            },
        }
    }

    fn expand_block(
        &mut self,
        name: &Value,
        arguments: &Mapping,
        place: &Place<'_>,
    ) -> Result<Value, String> {
        let Some(name) = name.as_str() else {
            return Err(place.error("Use names no block"));
        };
        let Some(block) = self.blocks.get(name).cloned() else {
            return Err(place.error(format!("there is no block {name}")));
        };
        if place.blocks.iter().any(|outer| outer == name) {
            return Err(place.error(format!("the block {name} uses itself")));
        }
        let mut parameters = BTreeSet::new();
        collect_references(&block, &mut parameters);
        parameters.retain(|parameter| !self.blocks.contains_key(parameter.as_str()));
        for parameter in &parameters {
            if !arguments.contains_key(parameter.as_str()) {
                return Err(place.error(format!("the block {name} needs {parameter}")));
            }
        }
        for argument in arguments.keys().filter_map(Value::as_str) {
            if !parameters.contains(argument) {
                return Err(place.error(format!("the block {name} has no parameter {argument}")));
            }
        }
        self.used.insert(name.to_owned());
        let mut place = place.below(&format!("block {name}"));
        place.blocks.push(name.to_owned());
        place.parameters = arguments;
        self.expand(&block, &place)
    }

    fn expand_text(&mut self, text: &str, place: &Place<'_>) -> Result<Value, String> {
        let mut expanded = String::new();
        for piece in pieces(text) {
            let name = match piece {
                Piece::Text(text) => {
                    expanded += text;
                    continue;
                }
                Piece::Reference(name) => name,
            };
            let value = match place.parameters.get(name) {
                Some(parameter) => parameter.clone(),
                None => self.expand_block(&name.into(), &Mapping::new(), place)?,
            };
            match value {
                value if text == format!("{{{{{name}}}}}") => return Ok(value),
                Value::String(value) => expanded += &value,
                Value::Number(value) => expanded += &value.to_string(),
                value => match jsonata_list(&value) {
                    Some(list) => expanded += &list,
                    None => {
                        return Err(place
                            .error(format!("{name} is no text, no number and no list of texts")));
                    }
                },
            }
        }
        Ok(expanded.into())
    }
}

/// Where a value is.
struct Place<'a> {
    /// File, fields, and blocks: what a message names.
    path: Vec<String>,
    /// The blocks that the value is in, outermost first.
    blocks: Vec<String>,
    /// The parameters of the innermost one.
    parameters: &'a Mapping,
}

impl Place<'_> {
    fn below(&self, key: &str) -> Self {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Self {
            path,
            blocks: self.blocks.clone(),
            parameters: self.parameters,
        }
    }

    fn error(&self, problem: impl AsRef<str>) -> String {
        format!("{}: {}", self.path.join(" / "), problem.as_ref())
    }
}

fn insert(fields: &mut Mapping, key: Value, value: Value, place: &Place<'_>) -> Result<(), String> {
    if fields.contains_key(&key) {
        let key = key.as_str().unwrap_or_default();
        return Err(place.error(format!("{key} is given twice, by a block and beside it")));
    }
    fields.insert(key, value);
    Ok(())
}

/// A part of a text.
enum Piece<'a> {
    Text(&'a str),
    /// The name in `{{name}}`.
    Reference(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        pieces.extend([Piece::Text(before), Piece::Reference(name)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// A list of texts in `JSONata`; none if the value is something else, or if a text has a quote in it.
fn jsonata_list(value: &Value) -> Option<String> {
    let quoted = value.as_sequence()?.iter().map(|item| {
        let text = item.as_str().filter(|text| !text.contains('\''))?;
        Some(format!("'{text}'"))
    });
    let quoted: Option<Vec<_>> = quoted.collect();
    Some(format!("[{}]", quoted?.join(", ")))
}

fn collect_references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => names.extend(pieces(text).iter().filter_map(|piece| match piece {
            Piece::Reference(name) => Some((*name).to_owned()),
            Piece::Text(_) => None,
        })),
        Value::Sequence(items) => items
            .iter()
            .for_each(|item| collect_references(item, names)),
        Value::Mapping(fields) => fields
            .values()
            .for_each(|field| collect_references(field, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Tagged(_) => {}
    }
}
