//! The repository's own rules, checked without any dependency.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;
/// What may use what: a crate and the crates of ours that it must not name.
const FORBIDDEN: &[(&str, &[&str])] =
    &[("catalog", &["sql"]), ("sql", &["sextant"]), ("udfs/kernels", ABOVE_KERNELS)];
const ABOVE_KERNELS: &[&str] =
    &["sextant", "sql", "catalog", "arrow", "datafusion", "tokio", "object_store"];
const BAD_NAMES: &[&str] = &["utils", "common", "misc", "manager"];
const PANICS: &[&str] = &[".unwrap()", ".expect(\"", "panic!(", "todo!(", "unimplemented!("];
const MACHINE_PATHS: &[&str] = &["/root/", "/home/", "/work/"];

/// Every .rs file below the folders that hold code.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in ["src", "sql", "catalog", "udfs", "tests"] {
        collect(Path::new(folder), &mut files);
    }
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn check(rule: impl Fn(&Path, &str) -> Vec<String>) {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        problems.extend(rule(&path, &text).into_iter().map(|p| format!("{}: {p}", path.display())));
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn size(text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines > FILE_LINES { vec![format!("{lines} lines")] } else { Vec::new() }
}

fn width(text: &str) -> Vec<String> {
    let wide = text.lines().enumerate().filter(|(_, line)| {
        // A literal cannot be broken by the formatter.
        line.chars().count() > COLUMNS && !line.contains('"')
    });
    wide.map(|(index, _)| format!("line {} is over {COLUMNS} columns", index + 1)).collect()
}

fn header(text: &str) -> Vec<String> {
    if text.starts_with("//!") { Vec::new() } else { vec!["no //! header".into()] }
}

/// Functions by their indentation: from `fn` to the brace in the same column.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut problems = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        let starts = ["fn ", "async fn ", "pub fn ", "pub async fn ", "pub(", "const fn "];
        if !starts.iter().any(|s| body.starts_with(s)) || !body.contains("fn ") {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|l| *l == closing).map_or(0, |n| n + 1);
        if length > FUNCTION_LINES {
            problems.push(format!("line {}: a function of {length} lines", start + 1));
        }
    }
    problems
}

fn panics(path: &Path, text: &str) -> Vec<String> {
    let in_tests = path.components().any(|c| c.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs");
    if in_tests {
        return Vec::new();
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    let found = code.lines().enumerate().filter(|(_, line)| {
        let code = line.split("//").next().unwrap_or("");
        PANICS.iter().any(|word| code.contains(word))
    });
    found.map(|(index, _)| format!("line {} can panic", index + 1)).collect()
}

fn names(path: &Path) -> Vec<String> {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
    let bad = BAD_NAMES.contains(&stem);
    if bad { vec![format!("a module called {stem} says nothing")] } else { Vec::new() }
}

fn machine_paths(text: &str) -> Vec<String> {
    let found = MACHINE_PATHS.iter().filter(|path| text.contains(*path));
    found.map(|path| format!("names the machine's {path}")).collect()
}

fn dependencies(manifest: &str, forbidden: &[&str]) -> Vec<String> {
    let named = |name: &&&str| {
        manifest.lines().any(|line| line.split(['=', '.', ' ']).next() == Some(**name))
    };
    forbidden.iter().filter(named).map(|name| format!("depends on {name}")).collect()
}

#[test]
fn files_are_small() {
    check(|_, text| size(text));
}

#[test]
fn lines_are_short() {
    check(|_, text| width(text));
}

#[test]
fn files_say_what_they_are_for() {
    check(|_, text| header(text));
}

#[test]
fn functions_are_short() {
    check(|_, text| long_functions(text));
}

#[test]
fn nothing_panics_on_purpose() {
    check(panics);
}

#[test]
fn modules_have_names() {
    check(|path, _| names(path));
}

#[test]
fn no_machine_is_named() {
    check(|path, text| match path.starts_with("tests/tidy") {
        true => Vec::new(),
        false => machine_paths(text),
    });
}

#[test]
fn dependencies_point_down() {
    for (name, forbidden) in FORBIDDEN {
        let manifest = fs::read_to_string(format!("{name}/Cargo.toml")).unwrap();
        assert_eq!(dependencies(&manifest, forbidden), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn folders_say_what_lives_there() {
    for folder in
        ["src", "sql", "sql/pipelines", "catalog", "udfs", "udfs/kernels", "tests", "benches"]
    {
        assert!(Path::new(folder).join("README.md").exists(), "{folder} has no README.md");
    }
}

#[test]
fn each_rule_can_fail() {
    assert_eq!(size(&"x\n".repeat(FILE_LINES + 1)).len(), 1);
    assert_eq!(width(&"x".repeat(COLUMNS + 1)).len(), 1);
    assert_eq!(header("use x;").len(), 1);
    let long = format!("fn f() {{\n{}}}\n", "    x;\n".repeat(FUNCTION_LINES));
    assert_eq!(long_functions(&long).len(), 1);
    let panicking = format!("fn f() {{ x{} }}", PANICS[0]);
    assert_eq!(panics(Path::new("src/x.rs"), &panicking).len(), 1);
    assert_eq!(panics(Path::new("tests/x.rs"), &panicking).len(), 0);
    assert_eq!(names(Path::new("src/utils.rs")).len(), 1);
    assert_eq!(machine_paths("/root/x").len(), 1);
    assert_eq!(dependencies("sql = { workspace = true }", &["sql"]).len(), 1);
}
