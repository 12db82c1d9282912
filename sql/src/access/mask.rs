//! Passwords taken out of a statement's text before anybody sees it.

/// The text with every literal after the word PASSWORD hidden; None if there is nothing to hide.
///
/// Works on text that does not parse, too: from the word on, any quoted run is hidden.
pub fn masked(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let mut from = lower.find("password")?;
    let mut shown = text[..from].to_owned();
    let mut hidden = false;
    while let Some(start) = text[from..].find(['\'', '$']) {
        let start = from + start;
        let Some(end) = literal_end(text, start) else {
            shown.push_str(&text[from..=start]);
            from = start + 1;
            continue;
        };
        shown.push_str(&text[from..start]);
        shown.push_str("'********'");
        hidden = true;
        from = end;
    }
    shown.push_str(&text[from..]);
    hidden.then_some(shown)
}

/// Where the literal that starts at `start` ends, an open one with the text; None: a parameter.
fn literal_end(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start..];
    let tag = match rest.starts_with('\'') {
        true => "'",
        false => {
            let name = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_')?;
            let end = 1 + name;
            let digit = rest[1..].starts_with(|c: char| c.is_ascii_digit());
            if digit || !rest[end..].starts_with('$') {
                return None;
            }
            &rest[..=end]
        }
    };
    let end = rest[tag.len()..].find(tag).map(|end| start + end + 2 * tag.len());
    Some(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_in_any_quotes() {
        for text in [
            "create role a PASSWORD 'geheim' login",
            "alter role a encrypted password E'geheim'",
            "alter role a password $x$geheim$x$",
            "alter role a password 'it''s geheim",
            "alter role a password 'geheim' valid until 'now'; select 'geheim'",
        ] {
            let shown = masked(text).unwrap();
            assert!(!shown.contains("geheim") && shown.contains("'********'"), "{shown}");
        }
        assert_eq!(masked("select 'x'"), None);
        assert_eq!(masked("select password from t where id = $1 and n = $2"), None);
    }
}
