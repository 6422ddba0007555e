//! Which file of a crate imports which, and the circles among them.
use std::collections::{BTreeMap, BTreeSet};

/// A source file of a crate: its path in `src` and its text.
pub(crate) type File = (String, String);

/// Names that a module takes from elsewhere, with where each leads.
type Imports = BTreeMap<String, Vec<String>>;

struct Module {
    file: String,
    tokens: Vec<String>,
    children: BTreeSet<String>,
    imports: Imports,
}

/// The groups of files, each of which reaches every other of its group by imports.
pub(crate) fn circles(files: &[File]) -> Vec<Vec<String>> {
    let modules: BTreeMap<Vec<String>, Module> = files
        .iter()
        .filter(|(file, _)| !file.split('/').any(|part| part == "tests" || part == "tests.rs"))
        .map(|(file, text)| (path_of(file), module(file, text)))
        .collect();
    let arrows: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        modules.iter().map(|(path, module)| (path, uses(&modules, path, module))).collect();
    let mut left: BTreeSet<&Vec<String>> = modules.keys().collect();
    let mut circles = Vec::new();
    while let Some(first) = left.first().copied() {
        let reached = reach(&arrows, first);
        let is_back = |other: &&&Vec<String>| reach(&arrows, other).contains(first);
        let circle: BTreeSet<&Vec<String>> = left
            .iter()
            .filter(|other| reached.contains(**other))
            .filter(is_back)
            .copied()
            .collect();
        left.remove(first);
        left.retain(|path| !circle.contains(path));
        if circle.len() > 1 {
            circles.push(circle.iter().map(|path| modules[*path].file.clone()).collect());
        }
    }
    circles
}

/// The module that a file is: "a/b.rs" and "a/b/mod.rs" are `a::b`, "lib.rs" is the crate.
fn path_of(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut path: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| matches!(last.as_str(), "lib" | "main" | "mod")) {
        path.pop();
    }
    path
}

fn module(file: &str, text: &str) -> Module {
    let tokens = without_tests(tokens(text));
    let children = tokens
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";")
        .map(|three| three[1].clone())
        .collect();
    let mut imports = Imports::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at] == "use") {
        tree(&tokens, at + 1, &mut Vec::new(), &mut |path, name| {
            imports.insert(name.to_owned(), path.to_vec());
        });
    }
    Module { file: file.to_owned(), tokens, children, imports }
}

/// The other modules that a module names, each as the deepest file of its path; not those that it
/// is itself a part of.
fn uses(
    modules: &BTreeMap<Vec<String>, Module>,
    own: &[String],
    module: &Module,
) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (at, token) in module.tokens.iter().enumerate() {
        let follows = at > 0 && module.tokens[at - 1] == "::";
        let leads = module.tokens.get(at + 1).is_some_and(|next| next == "::");
        let starts =
            matches!(token.as_str(), "crate" | "super" | "self") || module.children.contains(token);
        if follows || !leads || !starts || passes_on(&module.tokens[..at]) {
            continue;
        }
        tree(&module.tokens, at, &mut Vec::new(), &mut |path, _| {
            if let Some(target) = absolute(own, path).and_then(|path| file_of(modules, &path, 8)) {
                found.insert(target);
            }
        });
    }
    // A part may name the whole that it is part of.
    found.retain(|target| !own.starts_with(target));
    found
}

/// Whether what comes next is only passed on: `pub use` here, a use of it where it is named.
fn passes_on(before: &[String]) -> bool {
    let Some(([.., last], use_it)) = before.split_last().map(|(last, rest)| (rest, last)) else {
        return false;
    };
    use_it == "use" && matches!(last.as_str(), "pub" | ")")
}

/// A path from the crate's root, if it leads into this crate.
fn absolute(own: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "super" => own.split_last().map(|(_, parent)| parent.to_vec())?,
        "self" => own.to_vec(),
        child => [own, &[child.to_owned()]].concat(),
    };
    for part in rest {
        if part == "super" {
            base.pop();
        } else {
            base.push(part.clone());
        }
    }
    Some(base)
}

/// The file that a path ends in. A name that a module only passes on leads to where it is from.
fn file_of(
    modules: &BTreeMap<Vec<String>, Module>,
    path: &[String],
    passes_left: u8,
) -> Option<Vec<String>> {
    let depth = (0..=path.len()).rev().find(|depth| modules.contains_key(&path[..*depth]))?;
    let (own, rest) = path.split_at(depth);
    let passed_on = rest.first().and_then(|name| modules[own].imports.get(name));
    let from = passed_on.filter(|from| {
        from.first().is_some_and(|first| {
            matches!(first.as_str(), "crate" | "super" | "self")
                || modules[own].children.contains(first)
        })
    });
    match from {
        Some(from) if passes_left > 0 => {
            let target = [absolute(own, from)?, rest[1..].to_vec()].concat();
            file_of(modules, &target, passes_left - 1)
        }
        Some(_) | None => Some(own.to_vec()),
    }
}

fn reach(
    arrows: &BTreeMap<&Vec<String>, BTreeSet<Vec<String>>>,
    from: &[String],
) -> BTreeSet<Vec<String>> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(path) = next.pop() {
        for target in &arrows[&path] {
            if reached.insert(target.clone()) {
                next.push(target.clone());
            }
        }
    }
    reached
}

/// Reads the path or the tree of paths that begins at `at`; tells each with the name it has here.
/// Where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    path: &mut Vec<String>,
    tell: &mut dyn FnMut(&[String], &str),
) -> usize {
    let before = path.len();
    loop {
        let token = tokens.get(at).map_or("", String::as_str);
        at += 1;
        if token == "{" {
            while tokens.get(at).is_some_and(|token| token != "}") {
                let end = tree(tokens, at, path, tell);
                at = end.max(at + 1);
                if tokens.get(at).is_some_and(|token| token == ",") {
                    at += 1;
                }
            }
            at += 1;
            break;
        }
        if token != "self" || path.is_empty() {
            path.push(token.to_owned());
        }
        if tokens.get(at).is_some_and(|token| token == "::") {
            at += 1;
            continue;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if tokens.get(at).is_some_and(|token| token == "as") {
            name = tokens.get(at + 1).cloned().unwrap_or_default();
            at += 2;
        }
        tell(path, &name);
        break;
    }
    path.truncate(before);
    at
}

/// The text without what is marked as being for tests alone.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned)) {
            at = end_of_item(&tokens, at + 7);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item, the field or the arm that begins here ends.
fn end_of_item(tokens: &[String], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Words and marks of Rust, without comments, texts and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length =
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// How long the text or character is that begins here; `None` where none does.
fn literal(text: &str) -> Option<usize> {
    if let Some(raw) = text.strip_prefix('r') {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[marks..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(marks));
        return Some(2 + marks + inside.find(&end)? + end.len());
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            // A lifetime has no second mark.
            _ if quote == '\'' && at > 1 && !text[1..].starts_with('\\') => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&[&str]]) {
        let files: Vec<File> =
            files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        assert_eq!(circles(&files), expected, "{files:?}");
    }

    #[test]
    fn imports_that_come_back_are_a_circle() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let a = ("a.rs", "use crate::b::B;");
        let b = ("b.rs", "fn f() { crate::c::g('\\'', \"crate::a\") }");
        check(&[lib, a, b, ("c.rs", "pub fn g(a: &'a str) {} // crate::a")], &[]);
        check(
            &[lib, a, b, ("c.rs", "use super::{a::{self, A}, b};")],
            &[&["a.rs", "b.rs", "c.rs"]],
        );
    }

    #[test]
    fn tests_and_names_passed_on_are_no_uses() {
        let lib = ("lib.rs", "mod a; mod b; pub use a::A; use b::g as h;");
        let a = ("a.rs", "#[cfg(test)] mod tests { use crate::b::B; } fn f() {}");
        check(&[lib, a, ("b.rs", "use crate::A;"), ("a/tests.rs", "use crate::b::B;")], &[]);
        let a = ("a.rs", "use crate::h; fn f() { h() }");
        check(&[lib, a, ("b.rs", "use crate::A;")], &[&["a.rs", "b.rs"]]);
    }

    #[test]
    fn a_part_may_name_its_whole_and_not_by_way_of_others() {
        let lib = ("lib.rs", "mod a; mod c;");
        let a = ("a.rs", "mod b; use b::Y; struct X;");
        check(&[lib, a, ("a/b.rs", "use super::X;"), ("c.rs", "")], &[]);
        let b = ("a/b.rs", "use super::X; use crate::c::Z;");
        check(&[lib, a, b, ("c.rs", "use crate::a::b::Y;")], &[&["a/b.rs", "c.rs"]]);
        let circle: &[&str] = &["a.rs", "a/b.rs", "c.rs"];
        check(&[lib, a, b, ("c.rs", "use crate::a::X;")], &[circle]);
    }
}
