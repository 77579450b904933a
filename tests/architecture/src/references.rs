//! The paths in a file that lead to other modules of its crate.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemUse, Path, UseTree, Visibility};

use crate::Module;

/// What the file of `module` refers to, and what it re-exports from where.
pub(crate) fn references(
    module: &Module,
    file: &File,
) -> (BTreeSet<Module>, BTreeMap<Module, Module>) {
    let mut found = Found {
        module,
        references: BTreeSet::new(),
        re_exports: BTreeMap::new(),
        children: children(file),
    };
    found.visit_file(file);
    (found.references, found.re_exports)
}

/// The modules that are declared in the file: a `use` may begin with their names.
fn children(file: &File) -> BTreeSet<String> {
    let names = file.items.iter().filter_map(|item| match item {
        Item::Mod(child) => Some(child.ident.to_string()),
        _ => None,
    });
    names.collect()
}

struct Found<'a> {
    module: &'a Module,
    references: BTreeSet<Module>,
    re_exports: BTreeMap<Module, Module>,
    children: BTreeSet<String>,
}

impl Found<'_> {
    /// The path from the crate's root; none of what is outside the crate or in this module.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let first = path.first()?.as_str();
        let rest = path.get(1..).unwrap_or_default();
        match first {
            "crate" => Some(rest.to_vec()),
            "self" => Some([self.module, rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let parent = self.module.get(..self.module.len().checked_sub(ups)?)?;
                Some([parent, path.get(ups..).unwrap_or_default()].concat())
            }
            child if self.children.contains(child) => Some([self.module, path].concat()),
            _ => None,
        }
    }

    fn add_use(&mut self, item: &ItemUse, path: &[String], tree: &UseTree) {
        match tree {
            UseTree::Path(next) => {
                let path = [path, &[next.ident.to_string()]].concat();
                self.add_use(item, &path, &next.tree);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(item, path, tree);
                }
            }
            UseTree::Name(name) => self.add_name(item, path, &name.ident.to_string(), None),
            UseTree::Rename(rename) => {
                let alias = rename.rename.to_string();
                self.add_name(item, path, &rename.ident.to_string(), Some(alias));
            }
            UseTree::Glob(_) => self.references.extend(self.absolute(path)),
        }
    }

    fn add_name(&mut self, item: &ItemUse, path: &[String], name: &str, alias: Option<String>) {
        let path = match name {
            "self" => path.to_vec(),
            _ => [path, &[name.to_owned()]].concat(),
        };
        let Some(absolute) = self.absolute(&path) else {
            return;
        };
        let is_re_export = !matches!(item.vis, Visibility::Inherited);
        if let (true, Some(last)) = (is_re_export, path.last()) {
            let exported = [
                self.module.as_slice(),
                &[alias.unwrap_or_else(|| last.clone())],
            ]
            .concat();
            self.re_exports.insert(exported, absolute.clone());
        }
        self.references.insert(absolute);
    }
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !attributes.iter().any(is_test) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(item, &[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if parts.len() > 1 {
            self.references.extend(self.absolute(&parts));
        }
        visit::visit_path(self, path);
    }
}

fn is_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Path>()
            .is_ok_and(|path| path.is_ident("test"))
}
