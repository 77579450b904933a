//! Reads which modules of a crate depend on which, from its source.
//!
//! A top-level module is one directly below the crate's root, a file or a folder. A dependency between
//! files of different top-level modules counts as one between these modules; a dependency between files
//! of the same top-level module counts as one between the files. Code under `#[cfg(test)]` does not
//! count.

#![expect(
    clippy::unwrap_used,
    reason = "a crate that can't be read shall fail the test"
)]

mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::references::references;

/// How often an item may be exported again from module to module.
const LONGEST_CHAIN: usize = 5;

/// The path of a module from the crate's root, which is empty.
type Module = Vec<String>;

/// The modules of a crate, by what each refers to.
#[derive(Default)]
pub struct Modules {
    references: BTreeMap<Module, BTreeSet<Module>>,
    /// The module that an item comes from, by the path at which it is re-exported.
    re_exports: BTreeMap<Module, Module>,
}

impl Modules {
    /// Reads the crate with this `src` folder.
    pub fn read(source: &Path) -> Self {
        let mut modules = Self::default();
        modules.read_folder(source, &[]);
        modules
    }

    fn read_folder(&mut self, folder: &Path, parent: &[String]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                self.read_folder(&path, &[parent, &[name]].concat());
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !(parent.is_empty() && name == "main")
            {
                let module = match name.as_str() {
                    "lib" | "mod" => parent.to_vec(),
                    _ => [parent, &[name]].concat(),
                };
                self.read_text(&module, &fs::read_to_string(&path).unwrap());
            }
        }
    }

    fn read_text(&mut self, module: &Module, text: &str) {
        let file = syn::parse_file(text).unwrap();
        let (references, re_exports) = references(module, &file);
        self.re_exports.extend(re_exports);
        self.references.insert(module.clone(), references);
    }

    /// The module that `path` leads into, through re-exports.
    fn resolve(&self, path: &Module) -> Module {
        let mut path = path.clone();
        for _ in 0..LONGEST_CHAIN {
            let re_export = self.re_exports.iter().find(|(exported, _)| {
                // A module may have the name of an item that it exports, as `change::shift` has.
                path.starts_with(exported) && !self.references.contains_key(*exported)
            });
            let Some((exported, origin)) = re_export else {
                break;
            };
            path = [origin, path.get(exported.len()..).unwrap_or_default()].concat();
        }
        while !self.references.contains_key(&path) {
            path.pop();
        }
        path
    }

    /// The dependencies as text: top-level modules by their names, the files of one by their paths.
    pub fn dependencies(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut dependencies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, references) in &self.references {
            for reference in references {
                let used = self.resolve(reference);
                let (from, to) = if module.first() == used.first() {
                    (module.join("::"), used.join("::"))
                } else {
                    (top_level(module), top_level(&used))
                };
                if from != to {
                    dependencies.entry(from).or_default().insert(to);
                }
            }
        }
        dependencies
    }

    /// The sets of modules that depend on each other in a cycle.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let dependencies = self.dependencies();
        let graph: DiGraphMap<&str, ()> = dependencies
            .iter()
            .flat_map(|(from, all)| all.iter().map(move |to| (from.as_str(), to.as_str())))
            .collect();
        let cycles = tarjan_scc(&graph).into_iter().filter(|all| all.len() > 1);
        cycles
            .map(|all| {
                let mut names: Vec<_> = all.into_iter().map(str::to_owned).collect();
                names.sort();
                names
            })
            .collect()
    }
}

fn top_level(module: &Module) -> String {
    module.first().cloned().unwrap_or_else(|| "lib".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expect: &[&[&str]]) {
        let mut modules = Modules::default();
        for (module, text) in files {
            let module: Module = module
                .split("::")
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            modules.read_text(&module, text);
        }
        let cycles = modules.cycles();
        assert_eq!(cycles, expect, "{:#?}", modules.dependencies());
    }

    #[test]
    fn top_level_modules_that_use_each_other_are_a_cycle() {
        check(
            &[
                ("", "pub mod a; pub mod b;"),
                ("a", "use crate::b::B; pub struct A(B);"),
                ("b", "pub struct B; fn f() -> crate::a::A { loop {} }"),
            ],
            &[&["a", "b"]],
        );
    }

    #[test]
    fn a_cycle_through_a_re_export_at_the_root_is_found() {
        check(
            &[
                ("", "pub mod a; mod b; pub use b::B;"),
                ("a", "use crate::B; pub struct A(B);"),
                ("b", "use crate::a::A; pub struct B(Box<A>);"),
            ],
            &[&["a", "b"]],
        );
    }

    #[test]
    fn files_of_a_module_that_use_each_other_are_a_cycle() {
        check(
            &[
                ("", "pub mod a;"),
                ("a", "mod one; mod two; pub use one::One;"),
                ("a::one", "use super::two::Two; pub struct One(Two);"),
                ("a::two", "use super::one; pub struct Two(Box<one::One>);"),
            ],
            &[&["a::one", "a::two"]],
        );
    }

    #[test]
    fn tests_and_strings_and_dependencies_in_one_direction_are_no_cycle() {
        check(
            &[
                ("", "pub mod a; pub mod b;"),
                (
                    "a",
                    "pub struct A; #[cfg(test)] mod tests { use crate::b::B; } const C: &str = \"crate::b\";",
                ),
                ("b", "mod one; mod two; pub use one::B;"),
                (
                    "b::one",
                    "use super::two::Two; use crate::a::A; pub struct B(Two, A);",
                ),
                ("b::two", "pub struct Two;"),
            ],
            &[],
        );
    }
}
