//! Array literals: `{1,"a \"b\"",NULL,{…}}` → the texts of their elements.

/// Elements of one level; a nested array stays as its text. NULL is None.
pub fn items(text: &str) -> Result<Vec<Option<String>>, &'static str> {
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or("Array value must start with \"{\" and end with \"}\".")?;
    if inner.trim().is_empty() {
        return Ok(vec![]);
    }
    let mut found = vec![];
    let mut item = Item::default();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => item.escaped(characters.next().ok_or("Unexpected end of input.")?),
            '"' => item.quote(),
            ',' if item.is_open() => found.push(std::mem::take(&mut item).finish()?),
            c => item.plain(c)?,
        }
    }
    if item.in_quotes || item.depth != 0 {
        return Err("Unexpected end of input.");
    }
    found.push(item.finish()?);
    Ok(found)
}

#[derive(Default)]
struct Item {
    text: String,
    depth: usize,
    in_quotes: bool,
    quoted: bool,
}

impl Item {
    fn is_open(&self) -> bool {
        !self.in_quotes && self.depth == 0
    }

    fn escaped(&mut self, c: char) {
        if self.depth > 0 {
            self.text.push('\\');
        }
        self.quoted = true;
        self.text.push(c);
    }

    fn quote(&mut self) {
        if self.depth > 0 {
            self.text.push('"');
        } else if !self.in_quotes {
            self.text.truncate(self.text.trim_start().len());
        }
        self.in_quotes = !self.in_quotes;
        self.quoted = true;
    }

    fn plain(&mut self, c: char) -> Result<(), &'static str> {
        match c {
            '{' if !self.in_quotes => self.depth += 1,
            '}' if !self.in_quotes => {
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or("Unexpected \"}\" character.")?;
            }
            c if c.is_whitespace() && self.is_open() && self.quoted => return Ok(()),
            _ => {}
        }
        self.text.push(c);
        Ok(())
    }

    fn finish(self) -> Result<Option<String>, &'static str> {
        if self.quoted {
            return Ok(Some(self.text));
        }
        match self.text.trim() {
            "" => Err("Unexpected \",\" character."),
            text if text.eq_ignore_ascii_case("null") => Ok(None),
            text => Ok(Some(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::items;

    // Expected: unnest('…'::text[]) of PostgreSQL 15.
    #[test]
    fn elements() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(items("{1, 2 ,NULL}").unwrap(), [some("1"), some("2"), None]);
        let quoted = items(r#"{"a,b","say \"x\"","NULL",""}"#).unwrap();
        assert_eq!(
            quoted,
            [some("a,b"), some("say \"x\""), some("NULL"), some("")]
        );
        assert_eq!(
            items("{{1,2},{3,4}}").unwrap(),
            [some("{1,2}"), some("{3,4}")]
        );
        assert!(items("{}").unwrap().is_empty());
        for bad in ["1", "{1", "{1,}", "{\"a}", "{}}"] {
            assert!(items(bad).is_err(), "{bad}");
        }
    }
}
