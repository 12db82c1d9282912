//! Statements about roles.
//!
//! ```text
//!   CREATE ROLE | USER | GROUP name [WITH] option …     ALTER ROLE | USER name [WITH] option …
//!   ALTER ROLE name RENAME TO other                     ALTER ROLE name | ALL SET s TO v | RESET s
//!   ALTER GROUP name ADD | DROP USER other, …
//!   DROP ROLE | USER | GROUP [IF EXISTS] name, …
//!   SET [SESSION | LOCAL] ROLE name | NONE              SET SESSION AUTHORIZATION name | DEFAULT
//!   RESET ROLE                                          RESET SESSION AUTHORIZATION
//! ```

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::own::words;
use crate::names::folded;

/// A role as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    Named(String),
    CurrentUser,
    SessionUser,
    Public,
}

/// What CREATE and ALTER ROLE say of a role.
#[derive(Clone, PartialEq, Eq)]
pub enum RoleOption {
    /// A flag by its word, as `CREATEDB`, and whether it is on.
    Flag(&'static str, bool),
    ConnectionLimit(i64),
    /// None takes the password away.
    Password(Option<String>),
    ValidUntil(String),
    /// IN ROLE: the new role is a member of these.
    InRole(Vec<RoleName>),
    /// ROLE or ADMIN: these are members of the new role.
    Members(Vec<RoleName>, bool),
}

/// Passwords are shown to nobody.
impl std::fmt::Debug for RoleOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(word, on) => write!(f, "{word} {on}"),
            Self::ConnectionLimit(limit) => write!(f, "CONNECTION LIMIT {limit}"),
            Self::Password(_) => f.write_str("PASSWORD"),
            Self::ValidUntil(time) => write!(f, "VALID UNTIL {time}"),
            Self::InRole(roles) => write!(f, "IN ROLE {roles:?}"),
            Self::Members(roles, admin) => write!(f, "ROLE {roles:?} {admin}"),
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub enum OfRole {
    Create {
        name: RoleName,
        /// CREATE USER may log in.
        user: bool,
        options: Vec<RoleOption>,
    },
    Alter {
        name: RoleName,
        options: Vec<RoleOption>,
    },
    Rename {
        name: RoleName,
        to: RoleName,
    },
    /// None as the role is ALL, as the setting all of them, as the value RESET.
    Setting {
        name: RoleName,
        setting: Option<String>,
        value: Option<String>,
    },
    /// ALTER GROUP … ADD or DROP USER.
    Group {
        name: RoleName,
        members: Vec<RoleName>,
        add: bool,
    },
    Drop {
        names: Vec<RoleName>,
        if_exists: bool,
    },
    /// None: NONE.
    Become {
        role: Option<String>,
        local: bool,
        /// It was written as RESET.
        reset: bool,
    },
    /// None: DEFAULT.
    Authorize {
        user: Option<String>,
        local: bool,
        reset: bool,
    },
}

const FLAGS: [&str; 7] =
    ["SUPERUSER", "CREATEDB", "CREATEROLE", "INHERIT", "LOGIN", "REPLICATION", "BYPASSRLS"];
const NO_FLAGS: [&str; 7] = [
    "NOSUPERUSER",
    "NOCREATEDB",
    "NOCREATEROLE",
    "NOINHERIT",
    "NOLOGIN",
    "NOREPLICATION",
    "NOBYPASSRLS",
];

/// The statement at the parser's position, if it is one of these; else the position is kept.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<OfRole>, ParserError> {
    let kind = |parser: &mut Parser, verb: &str| {
        ["ROLE", "USER", "GROUP"].into_iter().find(|kind| words(parser, &[verb, kind]))
    };
    if let Some(kind) = kind(parser, "CREATE") {
        let name = role_name(parser)?;
        let options = options(parser)?;
        return Ok(Some(OfRole::Create { name, user: kind == "USER", options }));
    }
    if let Some(kind) = kind(parser, "ALTER") {
        return alter(parser, kind).map(Some);
    }
    if kind(parser, "DROP").is_some() {
        let if_exists = words(parser, &["IF", "EXISTS"]);
        let names = parser.parse_comma_separated(role_name)?;
        return Ok(Some(OfRole::Drop { names, if_exists }));
    }
    if words(parser, &["RESET", "ROLE"]) {
        return Ok(Some(OfRole::Become { role: None, local: false, reset: true }));
    }
    if words(parser, &["RESET", "SESSION", "AUTHORIZATION"]) {
        return Ok(Some(OfRole::Authorize { user: None, local: false, reset: true }));
    }
    for (scope, local) in [("", false), ("SESSION", false), ("LOCAL", true)] {
        let set = |words: &[&'static str]| -> Vec<&'static str> {
            let scope = (!scope.is_empty()).then_some(scope);
            ["SET"].into_iter().chain(scope).chain(words.iter().copied()).collect()
        };
        if words(parser, &set(&["ROLE"])) {
            let _ = words(parser, &["TO"]) || parser.consume_token(&Token::Eq);
            let role = if words(parser, &["NONE"]) { None } else { Some(text_or_name(parser)?) };
            return Ok(Some(OfRole::Become { role, local, reset: false }));
        }
        if words(parser, &set(&["SESSION", "AUTHORIZATION"])) {
            let user = if words(parser, &["DEFAULT"]) { None } else { Some(text_or_name(parser)?) };
            return Ok(Some(OfRole::Authorize { user, local, reset: false }));
        }
    }
    Ok(None)
}

fn alter(parser: &mut Parser, kind: &str) -> Result<OfRole, ParserError> {
    let name = match kind != "GROUP" && words(parser, &["ALL"]) {
        true => RoleName::Public,
        false => role_name(parser)?,
    };
    if words(parser, &["RENAME", "TO"]) {
        return Ok(OfRole::Rename { name, to: role_name(parser)? });
    }
    if kind == "GROUP" {
        let add = words(parser, &["ADD", "USER"]);
        if !add && !words(parser, &["DROP", "USER"]) {
            return parser.expected("ADD USER, DROP USER or RENAME TO", parser.peek_token());
        }
        let members = parser.parse_comma_separated(role_name)?;
        return Ok(OfRole::Group { name, members, add });
    }
    if words(parser, &["IN", "DATABASE"]) {
        parser.parse_identifier()?;
    }
    if words(parser, &["RESET", "ALL"]) {
        return Ok(OfRole::Setting { name, setting: None, value: None });
    }
    if words(parser, &["RESET"]) {
        let setting = Some(setting_name(parser)?);
        return Ok(OfRole::Setting { name, setting, value: None });
    }
    if words(parser, &["SET"]) {
        let setting = Some(setting_name(parser)?);
        if !words(parser, &["TO"]) && !parser.consume_token(&Token::Eq) {
            return parser.expected("TO or =", parser.peek_token());
        }
        if words(parser, &["DEFAULT"]) {
            return Ok(OfRole::Setting { name, setting, value: None });
        }
        let values = parser.parse_comma_separated(setting_value)?;
        return Ok(OfRole::Setting { name, setting, value: Some(values.join(", ")) });
    }
    Ok(OfRole::Alter { name, options: options(parser)? })
}

fn setting_name(parser: &mut Parser) -> Result<String, ParserError> {
    if words(parser, &["TIME", "ZONE"]) {
        return Ok("timezone".into());
    }
    let name = parser.parse_object_name(false)?;
    let parts = name.0.iter().filter_map(|part| part.as_ident()).map(folded);
    Ok(parts.collect::<Vec<_>>().join("."))
}

fn setting_value(parser: &mut Parser) -> Result<String, ParserError> {
    match parser.next_token().token {
        Token::SingleQuotedString(text) => Ok(text),
        Token::Word(word) if word.quote_style.is_some() => Ok(format!("\"{}\"", word.value)),
        Token::Word(word) => Ok(word.value),
        Token::Number(number, _) => Ok(number),
        Token::Minus => Ok(format!("-{}", parser.parse_literal_uint()?)),
        _ => parser.expected("a value", parser.peek_token()),
    }
}

fn options(parser: &mut Parser) -> Result<Vec<RoleOption>, ParserError> {
    let _ = words(parser, &["WITH"]);
    let mut found = Vec::new();
    while !matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon) {
        found.push(option(parser)?);
    }
    Ok(found)
}

fn option(parser: &mut Parser) -> Result<RoleOption, ParserError> {
    for (flag, no_flag) in FLAGS.iter().zip(NO_FLAGS) {
        if words(parser, &[flag]) {
            return Ok(RoleOption::Flag(flag, true));
        }
        if words(parser, &[no_flag]) {
            return Ok(RoleOption::Flag(flag, false));
        }
    }
    if words(parser, &["CONNECTION", "LIMIT"]) {
        let negative = parser.consume_token(&Token::Minus);
        let limit = i64::try_from(parser.parse_literal_uint()?).unwrap_or(i64::MAX);
        return Ok(RoleOption::ConnectionLimit(if negative { -limit } else { limit }));
    }
    if words(parser, &["ENCRYPTED", "PASSWORD"]) || words(parser, &["PASSWORD"]) {
        if words(parser, &["NULL"]) {
            return Ok(RoleOption::Password(None));
        }
        return secret(parser).map(|text| RoleOption::Password(Some(text)));
    }
    if words(parser, &["VALID", "UNTIL"]) {
        return parser.parse_literal_string().map(RoleOption::ValidUntil);
    }
    if words(parser, &["IN", "ROLE"]) || words(parser, &["IN", "GROUP"]) {
        return parser.parse_comma_separated(role_name).map(RoleOption::InRole);
    }
    if words(parser, &["ADMIN"]) {
        let members = parser.parse_comma_separated(role_name)?;
        return Ok(RoleOption::Members(members, true));
    }
    if words(parser, &["ROLE"]) || words(parser, &["USER"]) {
        let members = parser.parse_comma_separated(role_name)?;
        return Ok(RoleOption::Members(members, false));
    }
    // The token may be a password whose keyword is misspelt: it is not repeated.
    match parser.peek_token().token {
        Token::Word(_) => parser.expected("an option of a role", parser.peek_token()),
        _ => Err(ParserError::ParserError("an option of a role is expected".into())),
    }
}

/// A literal that no message repeats.
fn secret(parser: &mut Parser) -> Result<String, ParserError> {
    match parser.next_token().token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text) => Ok(text),
        Token::DollarQuotedString(text) => Ok(text.value),
        _ => Err(ParserError::ParserError("a password in quotes, or NULL, is expected".into())),
    }
}

fn text_or_name(parser: &mut Parser) -> Result<String, ParserError> {
    match parser.peek_token().token {
        Token::SingleQuotedString(text) => {
            parser.next_token();
            Ok(text)
        }
        _ => parser.parse_identifier().map(|name| folded(&name)),
    }
}

/// A role where one may also be meant by CURRENT_USER and the like.
pub(super) fn role_name(parser: &mut Parser) -> Result<RoleName, ParserError> {
    if words(parser, &["CURRENT_USER"]) || words(parser, &["CURRENT_ROLE"]) {
        return Ok(RoleName::CurrentUser);
    }
    if words(parser, &["SESSION_USER"]) {
        return Ok(RoleName::SessionUser);
    }
    if parser.peek_keyword(Keyword::GROUP) {
        parser.next_token();
    }
    let name: Ident = parser.parse_identifier()?;
    Ok(match folded(&name).as_str() {
        "public" => RoleName::Public,
        name => RoleName::Named(name.to_owned()),
    })
}
