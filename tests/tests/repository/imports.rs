//! Which file of a crate takes names from which, as its `use` items and paths say: files must not go round in
//! circles, and what stands below in the map of ARCHITECTURE.md must not be known by what stands above it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Item, ItemUse, UseTree, Visibility};

use crate::documents::{files_below, repository};

/// A file's place in its crate, e.g. `["session", "path"]`; the root's is empty.
type Module = Vec<String>;

#[derive(Debug)]
struct Crate {
    files: BTreeMap<Module, File>,
}

#[derive(Debug, Default)]
struct File {
    /// Full paths within the crate.
    takes: BTreeSet<Vec<String>>,
    /// Names that it hands on, with where they come from.
    hands_on: BTreeMap<String, Vec<String>>,
}

/// Collects what a file takes, for all of its modules that stand within it.
struct Reader<'a> {
    module: &'a Module,
    file: File,
}

impl Reader<'_> {
    /// A path as a full one, if it is of this crate.
    fn full(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base: Vec<String> = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            // A child by its bare name, or another crate: who looks it up tells.
            _ => return Some([self.module.as_slice(), path].concat()),
        };
        let mut rest = path;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn takes(&mut self, tree: &UseTree, mut before: Vec<String>, handed_on: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.takes(&path.tree, before, handed_on);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.takes(tree, before.clone(), handed_on);
                }
            }
            UseTree::Name(name) => self.took(before, &name.ident.to_string(), None, handed_on),
            UseTree::Rename(rename) => {
                let seen_as = rename.rename.to_string();
                self.took(before, &rename.ident.to_string(), Some(seen_as), handed_on);
            }
            UseTree::Glob(_) => self.took(before, "*", None, handed_on),
        }
    }

    fn took(&mut self, mut path: Vec<String>, name: &str, seen_as: Option<String>, on: bool) {
        if name != "self" && name != "*" {
            path.push(name.to_owned());
        }
        let Some(full) = self.full(&path) else { return };
        if on {
            self.file
                .hands_on
                .insert(seen_as.unwrap_or_else(|| name.to_owned()), full);
        } else {
            self.file.takes.insert(full);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // What only tests take holds nothing together.
        let is_test = match item {
            Item::Mod(module) => module.attrs.iter().any(|attribute| {
                attribute.path().is_ident("cfg")
                    && attribute
                        .parse_args::<syn::Path>()
                        .is_ok_and(|path| path.is_ident("test"))
            }),
            _ => false,
        };
        if !is_test {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let handed_on = !matches!(item.vis, Visibility::Inherited);
        self.takes(&item.tree, Vec::new(), handed_on);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in crate::session)` takes nothing.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if parts.len() > 1
            && ["crate", "super", "self"].contains(&parts[0].as_str())
            && let Some(full) = self.full(&parts)
        {
            self.file.takes.insert(full);
        }
        visit::visit_path(self, path);
    }
}

impl Crate {
    fn read(source: &Path) -> Crate {
        let mut paths = Vec::new();
        files_below(source, "rs", &mut paths);
        let mut files = BTreeMap::new();
        for path in paths {
            let within = path.strip_prefix(source).unwrap().with_extension("");
            let module: Module = within
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            if module.iter().any(|part| part == "tests" || part == "main") {
                continue;
            }
            let module = if module == ["lib"] {
                Vec::new()
            } else {
                module
            };
            let text = fs::read_to_string(&path).unwrap();
            let tree = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let mut reader = Reader {
                module: &module,
                file: File::default(),
            };
            reader.visit_file(&tree);
            let file = reader.file;
            files.insert(module, file);
        }
        Crate { files }
    }

    /// The file in which a name is made, however often it is handed on.
    fn home(&self, path: &[String]) -> Option<&Module> {
        let mut path = path.to_vec();
        // A name that is handed on in a circle is made nowhere.
        for _ in 0..16 {
            let deepest = (0..=path.len()).rev().find(|length| {
                self.files.contains_key(&path[..*length]) && (*length > 0 || path.len() > 1)
            })?;
            let (module, file) = self.files.get_key_value(&path[..deepest])?;
            let handed_on = path
                .get(deepest)
                .and_then(|name| file.hands_on.get(name))
                .filter(|from| **from != path);
            match handed_on {
                Some(from) => path = [from, &path[deepest + 1..]].concat(),
                None => return Some(module),
            }
        }
        None
    }

    /// For each file those that it takes something from.
    fn arrows(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let of = |(module, file): (_, &'_ File)| {
            let homes = file.takes.iter().filter_map(|path| self.home(path));
            let homes = homes.filter(|home| !home.is_empty() && *home != module);
            (module, homes.collect())
        };
        let arrows: BTreeMap<&Module, BTreeSet<&Module>> = self.files.iter().map(of).collect();
        let count: usize = arrows.values().map(BTreeSet::len).sum();
        assert!(2 * count > self.files.len(), "so few arrows are no crate's");
        arrows
    }
}

/// What can be reached from each, by any number of arrows.
fn reached<T: Ord + Copy>(arrows: &BTreeMap<T, BTreeSet<T>>) -> BTreeMap<T, BTreeSet<T>> {
    let from = |start: &T| {
        let mut found = BTreeSet::new();
        let mut next = vec![*start];
        while let Some(at) = next.pop() {
            for to in arrows.get(&at).into_iter().flatten() {
                if found.insert(*to) {
                    next.push(*to);
                }
            }
        }
        found
    };
    arrows.keys().map(|start| (*start, from(start))).collect()
}

/// The sets of those that reach each other, the largest first.
fn circles<T: Ord + Copy>(arrows: &BTreeMap<T, BTreeSet<T>>) -> Vec<BTreeSet<T>> {
    let reached = reached(arrows);
    let meets = |a: &T, b: &T| {
        let has = |from: &T, to: &T| reached.get(from).is_some_and(|found| found.contains(to));
        has(a, b) && has(b, a)
    };
    let mut found: Vec<BTreeSet<T>> = Vec::new();
    for one in reached.keys() {
        if found.iter().any(|circle| circle.contains(one)) {
            continue;
        }
        let circle: BTreeSet<T> = reached
            .keys()
            .copied()
            .filter(|other| meets(one, other))
            .collect();
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    found
}

#[test]
fn no_more_than_two_files_know_each_other() {
    let mut told = Vec::new();
    for name in ["rewrite-rules", "proxy", "demo", "testbed", "bench"] {
        let all = Crate::read(&repository().join(name).join("src"));
        for circle in circles(&all.arrows()) {
            if circle.len() > 2 {
                let files: Vec<String> = circle.iter().map(|module| module.join("/")).collect();
                told.push(format!("{name}: {}", files.join(", ")));
            }
        }
    }
    assert!(told.is_empty(), "circles:\n{}", told.join("\n"));
}

/// The names on each line of the map of a crate, from the top.
fn map_of(crate_line: &str) -> Vec<BTreeSet<String>> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let (_, below) = text
        .split_once(&format!("\n{crate_line}"))
        .unwrap_or_else(|| panic!("the map has no line {crate_line}"));
    let mut lines = Vec::new();
    for line in below
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
    {
        let line = line
            .trim_start_matches("  src/")
            .trim_start_matches("      ");
        // What begins further to the right goes on with what was said.
        if line.starts_with(' ') {
            continue;
        }
        let names = line.split("  ").next().unwrap_or_default();
        let names = names
            .split(", ")
            .map(|name| name.trim_end_matches('/').to_owned());
        lines.push(names.collect());
    }
    lines
}

#[test]
fn what_stands_above_in_the_map_knows_nothing_of_what_stands_below() {
    let all = Crate::read(&repository().join("proxy/src"));
    let map = map_of("proxy/ ");
    let place = |module: &Module| {
        let name = &module[0];
        let place = map.iter().position(|line| line.contains(name));
        place.unwrap_or_else(|| panic!("{name} is not in the map of ARCHITECTURE.md"))
    };
    let mut wrong = Vec::new();
    for (from, homes) in all.arrows() {
        if from.is_empty() {
            continue;
        }
        for to in homes {
            if from[0] != to[0] && place(to) > place(from) {
                wrong.push(format!("{} takes from {}", from.join("/"), to.join("/")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And those on one line do not go round either.
    let mut rooms: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (from, homes) in all.arrows() {
        let Some(room) = from.first() else { continue };
        let others = homes.into_iter().map(|to| &to[0]).filter(|to| *to != room);
        rooms.entry(room).or_default().extend(others);
    }
    assert_eq!(circles(&rooms), Vec::<BTreeSet<&String>>::new());
}

#[test]
fn circles_are_found() {
    let arrows = BTreeMap::from([
        (1, BTreeSet::from([2])),
        (2, BTreeSet::from([3, 4])),
        (3, BTreeSet::from([1])),
        (4, BTreeSet::from([5])),
        (5, BTreeSet::new()),
    ]);
    assert_eq!(circles(&arrows), [BTreeSet::from([1, 2, 3])]);
}
