//! From the modules that were chosen to the index that init loads from: every module they need, in
//! the order in which to load them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use ezio_contract::modules::{Module, ModuleIndex};

use super::selection::{Selection, companions};
use super::tree::ModuleTree;

/// Works out the index of the chosen modules and all they need.
pub(crate) fn index(tree: &ModuleTree, selection: &Selection) -> Result<ModuleIndex> {
    let mut index = ModuleIndex { kernel: tree.kernel.clone(), ..ModuleIndex::default() };
    let mut closure = Closure { tree, removed: &selection.removed, order: BTreeMap::new() };
    let mut pending: Vec<String> = selection.names.iter().cloned().collect();
    while let Some(name) = pending.pop() {
        if index.modules.contains_key(&name) {
            continue;
        }
        let Some(module) = tree.modules.get(&name) else {
            bail!("kernel {} has no module {name:?}", tree.kernel)
        };
        let before = closure.before(&name)?;
        let wanted_after: Vec<String> = module.info.post.iter().cloned().chain(companions(&name)).collect();
        let after = closure.soft(&wanted_after);
        pending.extend(before.iter().chain(&after).cloned());
        index.modules.insert(
            name,
            Module { file: format!("modules/{}", module.path), before, after, firmware: Vec::new() },
        );
    }
    index.aliases = aliases(tree, &index.modules);
    index.always = selection.always.iter().cloned().collect();
    Ok(index)
}

/// These modules and all that is loaded with them.
pub(crate) fn with_needs(index: &ModuleIndex, names: &BTreeSet<String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut pending: Vec<&String> = names.iter().collect();
    while let Some(name) = pending.pop() {
        if let Some(module) = index.modules.get(name)
            && all.insert(name.clone())
        {
            pending.extend(module.before.iter().chain(&module.after));
        }
    }
    all
}

/// Aliases of all modules that are in, preferred drivers first.
fn aliases(tree: &ModuleTree, modules: &BTreeMap<String, Module>) -> Vec<(String, String)> {
    let mut names: Vec<&String> = modules.keys().collect();
    names.sort_by_key(|name| (tree.rank(name), (*name).clone()));
    let of = |name: &String| tree.modules.get(name).map(|m| m.info.aliases.clone()).unwrap_or_default();
    names.into_iter().flat_map(|name| of(name).into_iter().map(|a| (a, name.clone()))).collect()
}

struct Closure<'a> {
    tree: &'a ModuleTree,
    removed: &'a BTreeSet<String>,
    /// Worked out already: what to load before each module.
    order: BTreeMap<String, Vec<String>>,
}

impl Closure<'_> {
    /// Everything to load before a module, in order.
    fn before(&mut self, name: &str) -> Result<Vec<String>> {
        let mut order = Vec::new();
        self.visit(name, &mut order, &mut vec![name.to_owned()])?;
        Ok(order)
    }

    /// Adds what `name` needs to `order`, needs of needs first. `path` is how we came here.
    fn visit(&mut self, name: &str, order: &mut Vec<String>, path: &mut Vec<String>) -> Result<()> {
        if let Some(known) = self.order.get(name) {
            for need in known {
                if !order.contains(need) {
                    order.push(need.clone());
                }
            }
            return Ok(());
        }
        let mut own = Vec::new();
        for need in self.needs(name)? {
            // Soft dependencies may go round in a circle; the first that was asked for is loaded last.
            if path.contains(&need) || own.contains(&need) {
                continue;
            }
            path.push(need.clone());
            self.visit(&need, &mut own, path)?;
            path.pop();
            if !own.contains(&need) {
                own.push(need);
            }
        }
        for need in &own {
            if !order.contains(need) {
                order.push(need.clone());
            }
        }
        // Below the first module a circle may have cut something off: keep complete answers only.
        if path.len() == 1 {
            self.order.insert(name.to_owned(), own);
        }
        Ok(())
    }

    /// What a module needs by itself: soft dependencies first, as modprobe loads them.
    fn needs(&self, name: &str) -> Result<Vec<String>> {
        let Some(module) = self.tree.modules.get(name) else { return Ok(Vec::new()) };
        let mut needs = self.soft(&module.info.pre);
        for hard in &module.info.depends {
            if self.tree.modules.contains_key(hard) {
                needs.push(hard.clone());
            } else if !self.tree.is_builtin(hard) {
                bail!("module {name} needs module {hard}, which kernel {} does not have", self.tree.kernel);
            }
        }
        Ok(needs)
    }

    /// Soft dependencies that exist as modules and are wanted.
    fn soft(&self, names: &[String]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for name in names.iter().flat_map(|name| self.tree.resolve(name)) {
            if !self.removed.contains(&name) && !found.contains(&name) {
                found.push(name);
            }
        }
        found
    }
}
