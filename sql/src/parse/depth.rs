//! How deep the tree of a text would be: `a + b + c + …` nests to the left, a level an operator.
//!
//! The parser's own limit is about what it recurses into; it loops over operators, and the tree
//! that comes out is walked, and freed, by recursion.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Operators in a row that are planned.
pub(super) const LIMIT: usize = 5_000;

/// The token at which an expression or a list of UNIONs becomes too deep.
pub(super) fn too_deep(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    let mut outer = Vec::new();
    let mut here = Levels::default();
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => outer.push(std::mem::take(&mut here)),
            Token::RParen | Token::RBracket => here = outer.pop().unwrap_or_default(),
            Token::SemiColon => here = Levels::default(),
            Token::Comma => here.operators = 0,
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN => {
                    here.relations += 1;
                }
                Keyword::SELECT | Keyword::FROM | Keyword::WHERE | Keyword::ON => {
                    here.operators = 0;
                }
                Keyword::AND | Keyword::OR | Keyword::IS | Keyword::LIKE | Keyword::AT => {
                    here.operators += 1;
                }
                _ => {}
            },
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::EOF => {}
            // Every other sign is an operator, or as good as one.
            _ => here.operators += 1,
        }
        if here.operators > LIMIT || here.relations > LIMIT {
            return Some(token);
        }
    }
    None
}

/// Levels between two parentheses.
#[derive(Default)]
struct Levels {
    operators: usize,
    relations: usize,
}
