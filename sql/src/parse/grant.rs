//! Statements about rights and owners.
//!
//! ```text
//!   GRANT privilege, … | ALL ON object, … TO role, … [WITH GRANT OPTION] [GRANTED BY role]
//!   REVOKE [GRANT OPTION FOR] privilege, … ON object, … FROM role, … [CASCADE | RESTRICT]
//!   GRANT role, … TO role, … [WITH ADMIN OPTION]   REVOKE [ADMIN OPTION FOR] role, … FROM role, …
//!   ALTER DEFAULT PRIVILEGES [FOR ROLE role, …] [IN SCHEMA s, …] GRANT | REVOKE …
//!   ALTER TABLE | VIEW | SCHEMA | DATABASE | MODEL | EXPERIMENT name OWNER TO role
//!   REASSIGN OWNED BY role, … TO role              DROP OWNED BY role, … [CASCADE | RESTRICT]
//! ```

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::own::words;
use super::role::{RoleName, role_name};

/// GRANT or REVOKE of privileges.
#[derive(Debug, Clone)]
pub struct GrantPrivileges {
    pub revoke: bool,
    /// None: ALL.
    pub privileges: Option<Vec<String>>,
    pub of_columns: bool,
    pub objects: Objects,
    pub roles: Vec<RoleName>,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    pub option: bool,
    pub granted_by: Option<RoleName>,
    pub cascade: bool,
}

/// What is granted on.
#[derive(Debug, Clone)]
pub enum Objects {
    Tables(Vec<ObjectName>),
    Schemas(Vec<ObjectName>),
    Databases(Vec<ObjectName>),
    Functions(Vec<ObjectName>),
    Models(Vec<ObjectName>),
    Experiments(Vec<ObjectName>),
    /// ALL TABLES IN SCHEMA: the plural word, and the schemas.
    AllIn(&'static str, Vec<Ident>),
    /// ALTER DEFAULT PRIVILEGES: the plural word of what will be made.
    Future(&'static str),
    /// A kind of object that there is none of here.
    Unsupported(&'static str),
}

/// GRANT or REVOKE of membership.
#[derive(Debug, Clone)]
pub struct GrantRole {
    pub revoke: bool,
    pub roles: Vec<RoleName>,
    pub members: Vec<RoleName>,
    /// WITH ADMIN OPTION, or ADMIN OPTION FOR.
    pub admin: bool,
    pub granted_by: Option<RoleName>,
}

/// See the module.
#[derive(Debug, Clone)]
pub enum Rights {
    Privileges(Box<GrantPrivileges>),
    Membership(GrantRole),
    Defaults { roles: Vec<RoleName>, schemas: Vec<Ident>, change: Box<GrantPrivileges> },
    Owner { word: &'static str, name: ObjectName, if_exists: bool, to: RoleName },
    Reassign { from: Vec<RoleName>, to: RoleName },
    DropOwned { of: Vec<RoleName>, cascade: bool },
}

/// The statement at the parser's position, if it is one of these; else the position is kept.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<Rights>, ParserError> {
    if words(parser, &["GRANT"]) {
        return grant(parser, false, false).map(Some);
    }
    if words(parser, &["REVOKE"]) {
        return grant(parser, true, false).map(Some);
    }
    if words(parser, &["ALTER", "DEFAULT", "PRIVILEGES"]) {
        return defaults(parser).map(Some);
    }
    if words(parser, &["REASSIGN", "OWNED", "BY"]) {
        let from = parser.parse_comma_separated(role_name)?;
        parser.expect_keyword(Keyword::TO)?;
        return Ok(Some(Rights::Reassign { from, to: role_name(parser)? }));
    }
    if words(parser, &["DROP", "OWNED", "BY"]) {
        let of = parser.parse_comma_separated(role_name)?;
        return Ok(Some(Rights::DropOwned { of, cascade: cascade(parser) }));
    }
    if parser.peek_keyword(Keyword::ALTER) {
        return parser.maybe_parse(owner).map(Option::flatten);
    }
    Ok(None)
}

fn owner(parser: &mut Parser) -> Result<Option<Rights>, ParserError> {
    parser.expect_keyword(Keyword::ALTER)?;
    let kinds = ["TABLE", "VIEW", "SCHEMA", "DATABASE", "MODEL", "EXPERIMENT"];
    let Some(word) = kinds.into_iter().find(|kind| words(parser, &[kind])) else {
        return parser.expected("a kind of object", parser.peek_token());
    };
    let if_exists = words(parser, &["IF", "EXISTS"]);
    let name = parser.parse_object_name(false)?;
    if !words(parser, &["OWNER", "TO"]) {
        return parser.expected("OWNER TO", parser.peek_token());
    }
    Ok(Some(Rights::Owner { word, name, if_exists, to: role_name(parser)? }))
}

fn cascade(parser: &mut Parser) -> bool {
    parser.parse_one_of_keywords(&[Keyword::CASCADE, Keyword::RESTRICT]) == Some(Keyword::CASCADE)
}

fn defaults(parser: &mut Parser) -> Result<Rights, ParserError> {
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if words(parser, &["FOR", "ROLE"]) || words(parser, &["FOR", "USER"]) {
            roles = parser.parse_comma_separated(role_name)?;
        } else if words(parser, &["IN", "SCHEMA"]) {
            schemas = parser.parse_comma_separated(Parser::parse_identifier)?;
        } else {
            break;
        }
    }
    let revoke = words(parser, &["REVOKE"]);
    if !revoke && !words(parser, &["GRANT"]) {
        return parser.expected("GRANT or REVOKE", parser.peek_token());
    }
    match grant(parser, revoke, true)? {
        Rights::Privileges(change) => Ok(Rights::Defaults { roles, schemas, change }),
        _ => parser.expected("ON", parser.peek_token()),
    }
}

/// What follows GRANT or REVOKE.
fn grant(parser: &mut Parser, revoke: bool, future: bool) -> Result<Rights, ParserError> {
    let mut option = revoke && words(parser, &["GRANT", "OPTION", "FOR"]);
    let mut admin = revoke && words(parser, &["ADMIN", "OPTION", "FOR"]);
    let mut of_columns = false;
    let privileges = match words(parser, &["ALL"]) {
        true => {
            let _ = words(parser, &["PRIVILEGES"]);
            of_columns = columns(parser)?;
            None
        }
        false => Some(parser.parse_comma_separated(|parser| {
            let name = parser.parse_identifier()?;
            of_columns |= columns(parser)?;
            Ok(name)
        })?),
    };
    let on = words(parser, &["ON"]);
    let objects = match (on, future) {
        (false, _) => None,
        (true, true) => Some(future_objects(parser)?),
        (true, false) => Some(objects(parser)?),
    };
    parser.expect_keyword(if revoke { Keyword::FROM } else { Keyword::TO })?;
    let roles = parser.parse_comma_separated(role_name)?;
    if !revoke {
        option |= on && words(parser, &["WITH", "GRANT", "OPTION"]);
        admin |= !on && words(parser, &["WITH", "ADMIN", "OPTION"]);
    }
    let granted_by = match words(parser, &["GRANTED", "BY"]) {
        true => Some(role_name(parser)?),
        false => None,
    };
    let cascade = revoke && cascade(parser);
    Ok(match (objects, privileges) {
        (Some(objects), privileges) => {
            let names = |names: Vec<Ident>| names.into_iter().map(|name| name.value).collect();
            let privileges = privileges.map(names);
            Rights::Privileges(Box::new(GrantPrivileges {
                revoke,
                privileges,
                of_columns,
                objects,
                roles,
                option,
                granted_by,
                cascade,
            }))
        }
        (None, Some(names)) => {
            let named = |name: &Ident| RoleName::Named(crate::names::folded(name));
            let granted = names.iter().map(named).collect();
            Rights::Membership(GrantRole {
                revoke,
                roles: granted,
                members: roles,
                admin,
                granted_by,
            })
        }
        (None, None) => return parser.expected("ON", parser.peek_token()),
    })
}

/// Skips a list of columns; whether there was one.
fn columns(parser: &mut Parser) -> Result<bool, ParserError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(false);
    }
    parser.parse_comma_separated(Parser::parse_identifier)?;
    parser.expect_token(&Token::RParen)?;
    Ok(true)
}

fn objects(parser: &mut Parser) -> Result<Objects, ParserError> {
    let plural = ["TABLES", "SEQUENCES", "FUNCTIONS", "PROCEDURES", "ROUTINES"];
    for word in plural {
        if words(parser, &["ALL", word, "IN", "SCHEMA"]) {
            let schemas = parser.parse_comma_separated(Parser::parse_identifier)?;
            return Ok(Objects::AllIn(word, schemas));
        }
    }
    let names = |parser: &mut Parser| parser.parse_comma_separated(|p| p.parse_object_name(false));
    if words(parser, &["SCHEMA"]) {
        return names(parser).map(Objects::Schemas);
    }
    if words(parser, &["MODEL"]) {
        return names(parser).map(Objects::Models);
    }
    if words(parser, &["EXPERIMENT"]) {
        return names(parser).map(Objects::Experiments);
    }
    if words(parser, &["DATABASE"]) {
        return names(parser).map(Objects::Databases);
    }
    for word in ["FUNCTION", "ROUTINE", "PROCEDURE"] {
        if words(parser, &[word]) {
            return parser.parse_comma_separated(function).map(Objects::Functions);
        }
    }
    let other = ["SEQUENCE", "DOMAIN", "TYPE", "LANGUAGE", "TABLESPACE", "PARAMETER", "FOREIGN"];
    for word in other {
        if words(parser, &[word]) {
            let _ = words(parser, &["DATA", "WRAPPER"]) || words(parser, &["SERVER"]);
            names(parser)?;
            return Ok(Objects::Unsupported(word));
        }
    }
    let _ = words(parser, &["TABLE"]);
    names(parser).map(Objects::Tables)
}

/// A function's name; its argument types do not tell functions apart here.
fn function(parser: &mut Parser) -> Result<ObjectName, ParserError> {
    let name = parser.parse_object_name(false)?;
    if parser.consume_token(&Token::LParen) {
        let mut depth = 1;
        while depth > 0 {
            match parser.next_token().token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::EOF => return parser.expected(")", parser.peek_token()),
                _ => {}
            }
        }
    }
    Ok(name)
}

fn future_objects(parser: &mut Parser) -> Result<Objects, ParserError> {
    let kinds = ["TABLES", "SCHEMAS", "FUNCTIONS", "ROUTINES", "SEQUENCES", "TYPES"];
    match kinds.into_iter().find(|kind| words(parser, &[kind])) {
        Some(kind) => Ok(Objects::Future(kind)),
        None => parser.expected("TABLES, SCHEMAS or FUNCTIONS", parser.peek_token()),
    }
}
