//! `'m'`, `'schema.m@alias'`, `'m@7'`: which version a text means.

use catalog::State;

use super::{CHAMPION, Model, Version, models};
use crate::access::{Object, Privileges};
use crate::error::{Error, Result, near_names};
use crate::parse;
use crate::plan::{Environment, Lakes, Place};

/// A name of a model as it is written in calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// One or two parts, folded.
    pub name: Vec<String>,
    /// An alias or a number; the champion if absent.
    pub version: Option<String>,
}

impl Reference {
    /// # Errors
    /// 22023 for what is no name.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, version) = match text.rsplit_once('@') {
            Some((name, version)) => (name, Some(version.trim().to_owned())),
            None => (text, None),
        };
        let parts = parse::name_parts(name);
        match parts {
            Some(name) if version.as_deref() != Some("") => Ok(Self { name, version }),
            _ => Err(Error::new("22023", format!("\"{text}\" is not the name of a model"))
                .with_hint("Write 'model', 'model@alias' or 'model@version'.")),
        }
    }

    /// The version that it means.
    ///
    /// # Errors
    /// 42704 where there is no such model, alias or version; 42501 without USAGE.
    pub fn resolve(&self, environment: &Environment, lakes: &Lakes) -> Result<(Place, Version)> {
        let state = lakes.main.state();
        let (place, model) =
            find(environment, state, &self.name)?.ok_or_else(|| undefined(state, &self.name))?;
        let object = Object::model(&place.name, &model.uuid);
        environment.authority.require(state, &object, Privileges::USAGE)?;
        let wanted = self.version.as_deref().unwrap_or(CHAMPION);
        let number = match wanted.parse::<u32>() {
            Ok(number) => Some(number),
            Err(_) => model.aliases.get(wanted).copied(),
        };
        match number.and_then(|number| model.version(number)) {
            Some(version) => Ok((place, version.clone())),
            None => Err(no_version(&place.name, &model, wanted)),
        }
    }
}

fn no_version(name: &str, model: &Model, wanted: &str) -> Error {
    let what = if wanted.parse::<u32>().is_ok() { "version" } else { "alias" };
    let message = format!("{what} \"{wanted}\" of model \"{name}\" does not exist");
    let aliases: Vec<String> =
        model.aliases.iter().map(|(alias, number)| format!("{alias} = {number}")).collect();
    let hint = match aliases.is_empty() {
        true => format!("ALTER MODEL {name} SET ALIAS {CHAMPION} = … gives it one."),
        false => format!("Its aliases are {}.", aliases.join(", ")),
    };
    Error::new("42704", message).with_hint(hint)
}

/// The model that a name means.
pub(crate) fn find(
    environment: &Environment,
    state: &State,
    name: &[String],
) -> Result<Option<(Place, Model)>> {
    for place in environment.candidates(name)? {
        if place.temp || !environment.may_look_in(state, &place.schema) {
            continue;
        }
        if let Some(model) = Model::of(state, &place) {
            return Ok(Some((place, model)));
        }
    }
    Ok(None)
}

/// The error for a model that is not there.
pub(crate) fn undefined(state: &State, name: &[String]) -> Error {
    let last = name.last().map_or("", String::as_str);
    let error = Error::new("42704", format!("model \"{}\" does not exist", name.join(".")));
    let known = models(state);
    let near = near_names(last, known.iter().map(|(_, name, _)| *name));
    error.with_hint(near.unwrap_or_else(|| "List models: SELECT * FROM ml.models.".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_parts_and_versions() {
        let of = |text: &str| Reference::parse(text).unwrap();
        assert_eq!(of("M"), Reference { name: vec!["m".into()], version: None });
        let expected = vec!["ml".to_owned(), "Big@one".to_owned()];
        assert_eq!(of("ml.\"Big@one\"@7"), Reference { name: expected, version: Some("7".into()) });
        for wrong in ["", "m@", "1 + 1", "a.b.c.d"] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
