//! The house rules that a script can hold: what depends on what, what a file looks like, and what
//! may be linked in.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use ledger::audit::Invariant;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "house/imports.rs"]
mod imports;
#[path = "house/seams.rs"]
mod seams;

/// Crates, in the order of a purchase, with what each may depend on.
const EDGES: [(&str, &[&str]); 16] = [
    ("ingress", &["allocator", "ledger", "waiting-room"]),
    ("waiting-room", &["ledger"]),
    ("waiting-room-redis", &["ledger", "redis-client", "waiting-room"]),
    ("allocator", &["ledger"]),
    ("allocator-redis", &["allocator", "ledger", "redis-client"]),
    ("payment-worker", &["ledger"]),
    ("payment-simulator", &["ledger", "ledger-sqlite", "payment-worker"]),
    ("ledger", &[]),
    ("ledger-sql", &["ledger"]),
    ("ledger-sqlite", &["ledger", "ledger-sql"]),
    ("ledger-postgres", &["ledger", "ledger-sql"]),
    ("ledger-kafka", &["ledger"]),
    ("ledger-scylla", &["ledger"]),
    ("redis-client", &["ledger"]),
    (
        "ops",
        &[
            "allocator",
            "allocator-redis",
            "ingress",
            "ledger",
            "ledger-kafka",
            "ledger-postgres",
            "ledger-scylla",
            "ledger-sqlite",
            "payment-simulator",
            "payment-worker",
            "redis-client",
            "waiting-room",
            "waiting-room-redis",
        ],
    ),
    // The outside judge measures a token's verification and a hold side by side with others' ways,
    // hence waiting-room and allocator; and it looks at servers past the program.
    (
        "loadtest",
        &[
            "allocator",
            "allocator-redis",
            "ledger",
            "ledger-kafka",
            "ledger-postgres",
            "ledger-sqlite",
            "redis-client",
            "waiting-room",
        ],
    ),
];

/// What tests may depend on besides: a backend to run a stage on.
const TEST_EDGES: [(&str, &[&str]); 6] = [
    ("ingress", &["ledger-sqlite"]),
    ("waiting-room", &["ledger-sqlite"]),
    ("waiting-room-redis", &["ledger-sqlite"]),
    ("allocator", &["ledger-sqlite"]),
    ("allocator-redis", &["ledger-sqlite"]),
    ("payment-worker", &["ledger-sqlite", "payment-simulator"]),
];

/// The crates that stay free of any server's or file's driver, at every depth.
const STAGES: [&str; 5] = ["ingress", "waiting-room", "allocator", "payment-worker", "ledger"];

/// What speaks to a server or a database file.
const DRIVERS: [&str; 9] = [
    "libsqlite3-sys",
    "rdkafka",
    "redis",
    "rusqlite",
    "scylla",
    "sqlx",
    "sqlx-core",
    "sqlx-postgres",
    "sqlx-sqlite",
];

/// What may stand at the top, besides files that tools and people demand.
const FOLDERS: [&str; 7] =
    ["allocator", "ingress", "ledger", "loadtest", "ops", "payment-worker", "waiting-room"];

/// Names that fit anything attract everything.
const VAGUE: [&str; 6] = ["common", "utils", "helpers", "types", "manager", "core"];

/// One TLS stack and none of its known traps.
const BANNED: [(&str, &str); 5] = [
    ("openssl", "one TLS stack: rustls on aws-lc-rs"),
    ("openssl-sys", "one TLS stack: rustls on aws-lc-rs"),
    ("native-tls", "one TLS stack: rustls on aws-lc-rs"),
    ("ring", "one crypto library: aws-lc-rs"),
    ("rsa", "timing side channel, RUSTSEC-2023-0071"),
];

/// Licences that a permissively licensed program may carry along.
const LICENCES: [&str; 12] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const LINES_MAX: usize = 500;

/// What is linked on the platform that Tidegate is released for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM])
        .current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn sources() -> Vec<(PathBuf, String)> {
    texts(&["rs"])
}

/// Every file with one of these extensions.
fn texts(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir()
                && path.file_name().is_some_and(|n| n != "target" && n != "node_modules")
            {
                folders.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|one| e == *one)) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "only {} sources were found", found.len());
    found
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let mut members = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        if !package["source"].is_null() {
            continue;
        }
        let name = package["name"].as_str().unwrap();
        members.insert(name);
        let Some((_, allowed)) = EDGES.iter().find(|(krate, _)| *krate == name) else {
            panic!("{name} has no line in EDGES")
        };
        let tests = TEST_EDGES.iter().find(|(krate, _)| *krate == name);
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let inside = !dependency["path"].is_null();
            // A crate's tests may use its own conformance suites.
            let test = dependency["kind"] == "dev"
                && (to == name || tests.is_some_and(|(_, allowed)| allowed.contains(&to)));
            assert!(!inside || test || allowed.contains(&to), "{name} must not depend on {to}");
        }
    }
    assert_eq!(members.len(), EDGES.len(), "{members:?}");
}

/// What `cargo tree` prints for a package built for use, one `name version` a line.
fn linked(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    let output = command.args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn names(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn no_stage_links_a_driver() {
    for stage in STAGES {
        let tree = linked(&["--package", stage, "--all-features"]);
        for driver in DRIVERS {
            assert!(!names(&tree).contains(driver), "{stage} links {driver}");
        }
    }
}

#[test]
fn the_embedded_sale_links_no_server() {
    let tree = linked(&["--package", "ops", "--no-default-features"]);
    for driver in ["rdkafka", "redis", "scylla", "sqlx-postgres"] {
        assert!(!names(&tree).contains(driver), "the embedded sale links {driver}");
    }
    let whole = linked(&["--package", "ops"]);
    for driver in ["rdkafka", "redis", "scylla", "sqlx-postgres"] {
        assert!(names(&whole).contains(driver), "the whole program does not link {driver}");
    }
}

/// A file that imports another, which imports the first again by way of a third, is read only
/// together with both.
#[test]
fn imports_make_no_circle_of_more_than_two_files() {
    let mut faults = Vec::new();
    let sources = sources();
    for package in metadata()["packages"].as_array().unwrap() {
        if !package["source"].is_null() {
            continue;
        }
        let name = package["name"].as_str().unwrap();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let source = manifest.with_file_name("src");
        let own = |(path, text): &(PathBuf, String)| {
            Some((path.strip_prefix(&source).ok()?.to_str()?.to_owned(), text.clone()))
        };
        let files: Vec<imports::File> = sources.iter().filter_map(own).collect();
        assert!(!files.is_empty(), "{name} has no sources");
        let long = imports::circles(&files).into_iter().filter(|circle| circle.len() > 2);
        faults.extend(long.map(|circle| format!("{name}: {circle:?}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_top_level_is_the_data_flow() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    let folders: BTreeSet<&str> =
        listed.lines().filter_map(|path| path.split_once('/')).map(|(top, _)| top).collect();
    let mut expected: BTreeSet<&str> = FOLDERS.into();
    expected.insert(".ci");
    assert_eq!(folders, expected);
}

#[test]
fn every_file_is_one_idea_with_an_opening_sentence() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let opening = text.lines().next().unwrap_or("");
        if !opening.starts_with("//! ") {
            faults.push(format!("{name} does not open with a //! sentence"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{name} has {lines} lines, more than {LINES_MAX}"));
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if VAGUE.contains(&stem) {
            faults.push(format!("{name}: a name that fits anything attracts everything"));
        }
        // Split, so that this line does not find itself.
        for word in [concat!("#[ign", "ore"), concat!("TO", "DO"), concat!("FIX", "ME")] {
            if text.contains(word) {
                faults.push(format!("{name} contains {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn metrics_follow_the_grammar_and_are_described() {
    for (path, text) in sources() {
        if path.file_name().is_none_or(|name| name != "metrics.rs") {
            continue;
        }
        let krate = path.strip_prefix(root()).unwrap().iter().next().unwrap().to_str().unwrap();
        let prefix = format!("tidegate_{}_", krate.replace('-', "_"));
        let names: Vec<&str> =
            text.split('"').filter(|part| part.starts_with("tidegate_")).collect();
        assert!(!names.is_empty(), "{krate} has no metrics");
        for name in names {
            let sound =
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(sound && name.starts_with(&prefix), "{krate}: {name}");
        }
        assert!(text.contains("pub fn describe()"), "{krate} describes no metrics");
    }
}

#[test]
fn nothing_banned_is_linked_and_every_licence_is_allowed() {
    let metadata = metadata();
    let in_use: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    for package in metadata["packages"].as_array().unwrap() {
        if !in_use.contains(package["id"].as_str().unwrap()) {
            continue;
        }
        let name = package["name"].as_str().unwrap();
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            panic!("{name} is banned: {why}");
        }
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(allowed(licence), "{name} is licensed {licence}");
        let from_registry = package["source"].as_str();
        let registry = from_registry.is_none_or(|source| source.starts_with("registry+"));
        assert!(registry, "{name} comes from {from_registry:?}");
    }
}

#[test]
fn rules_are_cited_by_name() {
    let mut faults = Vec::new();
    for (path, text) in texts(&["rs", "lua", "sql", "toml", "sh"]) {
        let lines = text.lines().zip(1..).filter(|(line, _)| cites_a_number(line));
        faults.extend(lines.map(|(line, at)| format!("{}:{at}: {line}", path.display())));
    }
    assert!(faults.is_empty(), "INVARIANTS.md names the rules:\n{}", faults.join("\n"));
}

/// True where the word "rule" has a number after it.
fn cites_a_number(line: &str) -> bool {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_lowercase).collect();
    words.windows(2).any(|pair| {
        let word = pair[0].trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        matches!(word, "rule" | "rules") && pair[1].starts_with(|c: char| c.is_ascii_digit())
    })
}

#[test]
fn a_citation_by_number_is_recognised() {
    for (line, expected) in [
        // Split, so that this table does not find itself.
        (concat!("/// Sets places (ru", "le 10)."), true),
        (concat!("//! Ru", "les 12 to 14. One transaction"), true),
        ("/// The rule of three", false),
        ("a ruler 3 feet long", false),
    ] {
        assert_eq!(cites_a_number(line), expected, "{line}");
    }
}

/// One way to take a lock that a panic may have poisoned: `ledger::lock` and its companions.
#[test]
fn locks_are_taken_in_one_way() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        // A test that meets a poisoned lock fails, and should.
        let is_test = name.contains("/tests") || name.contains("conformance");
        if is_test || name == "ledger/src/lock.rs" {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code: String = code.split_whitespace().collect();
        for way in ["PoisonError", ".lock().unwrap", ".lock().expect", ".write().unwrap"] {
            if code.contains(way) {
                faults.push(format!("{name}: {way}"));
            }
        }
    }
    assert!(faults.is_empty(), "take it by ledger::lock:\n{}", faults.join("\n"));
}

/// Every invariant that the audit and the load run know stands in INVARIANTS.md under the same
/// number and name, and the files that are named there exist.
#[test]
fn the_page_of_invariants_is_the_table_in_the_code() {
    let page = std::fs::read_to_string(root().join("INVARIANTS.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| I")?.split(" | ");
        Some((format!("I{}", cells.next()?), cells.next()?.to_owned()))
    });
    let known = Invariant::ALL.map(|(invariant, name)| (invariant.to_string(), name.to_owned()));
    assert_eq!(rows.collect::<Vec<_>>(), known);
    let files = page.split('`').skip(1).step_by(2).filter(|code| code.ends_with(".rs"));
    for file in files {
        assert!(root().join(file).is_file(), "INVARIANTS.md names {file}, which is not there");
    }
}

/// Every seam of the stages stands in the table of ARCHITECTURE.md with its number of methods, and
/// its contract is where the table says.
#[test]
fn the_table_of_seams_is_the_traits_in_the_code() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut found = Vec::new();
    for (path, text) in sources() {
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if STAGES.iter().any(|stage| path.starts_with(&format!("{stage}/src/"))) {
            found.extend(seams::in_source(&path, &text));
        }
    }
    found.sort();
    let (mut table, contracts) = seams::in_table(&page);
    table.sort();
    assert_eq!(found, table);
    for contract in contracts {
        assert!(root().join(&contract).is_file(), "ARCHITECTURE.md names {contract}");
    }
}

/// Reads an SPDX expression: `AND` binds tighter than `OR`, parentheses bind tightest.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let ands = |text: &str| text.split(" AND ").all(|one| LICENCES.contains(&one.trim()));
    if expression.contains('(') {
        // The only grouped form in use: alternatives in parentheses, joined by AND.
        return expression.split(" AND ").all(|group| {
            let inner = group.trim().trim_start_matches('(').trim_end_matches(')');
            inner.split(" OR ").any(|one| LICENCES.contains(&one.trim()))
        });
    }
    expression.split(" OR ").any(ands)
}

#[test]
fn licence_expressions_are_read() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("none", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}
