//! COPY's options: what was written → what is meant, with Postgres' refusals in Postgres' order.

use crate::error::{Error, Result};
use crate::parse::{Copy, CopyPlace, CopyValue};

/// How rows are written as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Csv,
    Binary,
    /// Files only.
    Parquet,
    Json,
}

/// A first line with the columns' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    None,
    /// Written, or passed over.
    Line,
    /// Read, and must be the columns'.
    Match,
}

/// Columns by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    All,
    Named(Vec<String>),
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub format: Format,
    pub header: Header,
    pub delimiter: u8,
    /// How NULL is written.
    pub null: String,
    pub quote: u8,
    pub escape: u8,
    pub force_quote: Columns,
    pub force_not_null: Columns,
    pub force_null: Columns,
}

/// The options as they were given.
#[derive(Default)]
struct Given {
    format: Option<Format>,
    header: Option<Header>,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<Columns>,
    force_not_null: Option<Columns>,
    force_null: Option<Columns>,
    freeze: Option<bool>,
    encoding: Option<String>,
}

impl Options {
    /// The options of a statement.
    pub fn of(copy: &Copy) -> Result<Self> {
        let mut given = Given::default();
        for (name, value) in &copy.options {
            given.take(name, value, copy.from)?;
        }
        if let CopyPlace::Location(location) = &copy.place {
            given.format = given.format.or_else(|| format_of(location));
        }
        given.resolved(copy)
    }
}

/// What a file's name says of its format; Postgres' default is text.
fn format_of(location: &str) -> Option<Format> {
    let path = location.to_lowercase();
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("parquet") => Some(Format::Parquet),
        Some("json" | "jsonl" | "ndjson") => Some(Format::Json),
        _ => None,
    }
}

impl Given {
    fn take(&mut self, name: &str, value: &CopyValue, from: bool) -> Result<()> {
        let text = || match value {
            CopyValue::Text(text) => Ok(text.clone()),
            CopyValue::Star => Ok("*".to_owned()),
            CopyValue::None | CopyValue::List(_) => {
                Err(Error::new("42601", format!("{name} requires a parameter")))
            }
        };
        match name {
            "format" => once(&mut self.format, format(&text()?)?),
            "header" => once(&mut self.header, header(value, from)?),
            "delimiter" => once(&mut self.delimiter, text()?),
            "null" => once(&mut self.null, text()?),
            "quote" => once(&mut self.quote, text()?),
            "escape" => once(&mut self.escape, text()?),
            "force_quote" => once(&mut self.force_quote, columns(name, value, true)?),
            "force_not_null" => once(&mut self.force_not_null, columns(name, value, false)?),
            "force_null" => once(&mut self.force_null, columns(name, value, false)?),
            "freeze" => once(&mut self.freeze, boolean(name, value)?),
            "encoding" => {
                encoding(&text()?)?;
                once(&mut self.encoding, text()?)
            }
            "default" => Err(Error::unsupported("COPY's option \"default\"")),
            _ => Err(Error::new("42601", format!("option \"{name}\" not recognized"))),
        }
    }

    fn resolved(self, copy: &Copy) -> Result<Options> {
        let format = self.format.unwrap_or(Format::Text);
        let csv = format == Format::Csv;
        if format == Format::Binary {
            for (given, word) in [(&self.delimiter, "DELIMITER"), (&self.null, "NULL")] {
                if given.is_some() {
                    let message = format!("cannot specify {word} in BINARY mode");
                    return Err(Error::new("42601", message));
                }
            }
        }
        self.files_only(format, copy)?;
        let delimiter = self.delimiter.clone().unwrap_or(if csv { "," } else { "\t" }.into());
        let null = self.null.clone().unwrap_or(if csv { "" } else { "\\N" }.into());
        let delimiter_byte = one_byte("delimiter", &delimiter)?;
        check_separators(delimiter_byte, &null, csv)?;
        let header = self.header.unwrap_or(Header::None);
        if format == Format::Binary && header != Header::None {
            return Err(Error::new("0A000", "cannot specify HEADER in BINARY mode"));
        }
        let (quote, escape) = self.quotes(delimiter_byte, csv)?;
        self.check_forced(csv, copy.from)?;
        if null.as_bytes().contains(&delimiter_byte) {
            let message = "COPY delimiter must not appear in the NULL specification";
            return Err(Error::new("0A000", message));
        }
        if csv && null.as_bytes().contains(&quote) {
            let message = "CSV quote character must not appear in the NULL specification";
            return Err(Error::new("0A000", message));
        }
        let none = || Columns::Named(Vec::new());
        Ok(Options {
            format,
            header,
            delimiter: delimiter_byte,
            null,
            quote,
            escape,
            force_quote: self.force_quote.unwrap_or_else(none),
            force_not_null: self.force_not_null.unwrap_or_else(none),
            force_null: self.force_null.unwrap_or_else(none),
        })
    }

    /// Parquet and JSON say themselves what the other formats need to be told.
    fn files_only(&self, format: Format, copy: &Copy) -> Result<()> {
        let name = match format {
            Format::Parquet => "parquet",
            Format::Json => "json",
            Format::Text | Format::Csv | Format::Binary => return Ok(()),
        };
        if copy.place == CopyPlace::Client {
            let message = format!("COPY format \"{name}\" needs a file");
            return Err(Error::new("0A000", message)
                .with_hint("Formats of STDIN and STDOUT are text, csv and binary."));
        }
        let given = [&self.delimiter, &self.null, &self.quote, &self.escape];
        if self.header.is_some() || given.iter().any(|option| option.is_some()) {
            let message = format!("COPY format \"{name}\" has no options");
            return Err(Error::new("0A000", message));
        }
        Ok(())
    }

    fn quotes(&self, delimiter: u8, csv: bool) -> Result<(u8, u8)> {
        let only_csv = |given: &Option<String>, what: &str| match given.is_some() && !csv {
            true => Err(Error::new("0A000", format!("COPY {what} available only in CSV mode"))),
            false => Ok(()),
        };
        only_csv(&self.quote, "quote")?;
        let quote = one_byte("quote", self.quote.as_deref().unwrap_or("\""))?;
        if csv && delimiter == quote {
            return Err(Error::new("22023", "COPY delimiter and quote must be different"));
        }
        only_csv(&self.escape, "escape")?;
        let escape = match &self.escape {
            Some(escape) => one_byte("escape", escape)?,
            None => quote,
        };
        Ok((quote, escape))
    }

    fn check_forced(&self, csv: bool, from: bool) -> Result<()> {
        let forced = [
            (&self.force_quote, "force quote", false),
            (&self.force_not_null, "force not null", true),
            (&self.force_null, "force null", true),
        ];
        for (given, words, of_from) in forced {
            if given.is_none() {
                continue;
            }
            if !csv {
                let message = format!("COPY {words} available only in CSV mode");
                return Err(Error::new("0A000", message));
            }
            if from != of_from {
                let direction = if of_from { "FROM" } else { "TO" };
                let message = format!("COPY {words} only available using COPY {direction}");
                return Err(Error::new("0A000", message));
            }
        }
        Ok(())
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new("42601", "conflicting or redundant options")),
    }
}

fn format(name: &str) -> Result<Format> {
    Ok(match name {
        "text" => Format::Text,
        "csv" => Format::Csv,
        "binary" => Format::Binary,
        "parquet" => Format::Parquet,
        "json" => Format::Json,
        _ => return Err(Error::new("22023", format!("COPY format \"{name}\" not recognized"))),
    })
}

fn truth(value: &CopyValue) -> Option<bool> {
    match value {
        CopyValue::None => Some(true),
        CopyValue::Text(text) => match text.to_lowercase().as_str() {
            "true" | "on" | "1" => Some(true),
            "false" | "off" | "0" => Some(false),
            _ => None,
        },
        CopyValue::Star | CopyValue::List(_) => None,
    }
}

fn boolean(name: &str, value: &CopyValue) -> Result<bool> {
    truth(value).ok_or_else(|| Error::new("42601", format!("{name} requires a Boolean value")))
}

fn header(value: &CopyValue, from: bool) -> Result<Header> {
    if let CopyValue::Text(text) = value
        && text.eq_ignore_ascii_case("match")
    {
        return match from {
            true => Ok(Header::Match),
            false => {
                Err(Error::new("0A000", format!("cannot use \"{text}\" with HEADER in COPY TO")))
            }
        };
    }
    match truth(value) {
        Some(true) => Ok(Header::Line),
        Some(false) => Ok(Header::None),
        None => Err(Error::new("42601", "header requires a Boolean value or \"match\"")),
    }
}

fn columns(name: &str, value: &CopyValue, star: bool) -> Result<Columns> {
    match value {
        CopyValue::List(names) => Ok(Columns::Named(names.clone())),
        CopyValue::Star if star => Ok(Columns::All),
        CopyValue::Star | CopyValue::None | CopyValue::Text(_) => {
            let message = format!("argument to option \"{name}\" must be a list of column names");
            Err(Error::new("22023", message))
        }
    }
}

/// Text here is UTF-8; of Postgres' other encodings only ASCII is a part of it.
fn encoding(name: &str) -> Result<()> {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.to_lowercase().as_str() {
        "utf8" | "unicode" | "sqlascii" => Ok(()),
        other => {
            let known = [
                "latin", "iso8859", "win", "euc", "koi8", "sjis", "big5", "gb", "uhc", "mule",
                "johab",
            ];
            match known.iter().any(|prefix| other.starts_with(prefix)) {
                true => Err(Error::unsupported(format!("encoding \"{name}\""))
                    .with_hint("Convert the data to UTF8.")),
                false => Err(Error::new(
                    "22023",
                    "argument to option \"encoding\" must be a valid encoding name",
                )),
            }
        }
    }
}

fn one_byte(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::new("0A000", format!("COPY {what} must be a single one-byte character"))),
    }
}

fn check_separators(delimiter: u8, null: &str, csv: bool) -> Result<()> {
    if matches!(delimiter, b'\r' | b'\n') {
        let message = "COPY delimiter cannot be newline or carriage return";
        return Err(Error::new("22023", message));
    }
    if null.contains(['\r', '\n']) {
        let message = "COPY null representation cannot use newline or carriage return";
        return Err(Error::new("22023", message));
    }
    let used = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'\\' | b'.')
    };
    if !csv && used(delimiter) {
        let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
        return Err(Error::new("22023", message));
    }
    Ok(())
}
