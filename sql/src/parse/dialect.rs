//! The SQL dialect: Postgres, plus `VERSION AS OF` and `FOR SYSTEM_TIME AS OF` after a table.
//!
//! sqlparser asks a dialect object; everything but table versions is passed on to its Postgres one,
//! and `dialect()` answers with that type so that the parser's own checks see Postgres.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// See the module.
#[derive(Debug)]
pub struct SextantDialect;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

impl Dialect for SextantDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }
    fn supports_table_versioning(&self) -> bool {
        true
    }
    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        // `INSERT INTO t SELECT 1 ON CONFLICT …`
        *keyword != Keyword::ON && POSTGRES.is_column_alias(keyword, parser)
    }
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_delimited_identifier_start(ch)
    }
    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }
    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(keyword)
    }
    fn is_custom_operator_part(&self, ch: char) -> bool {
        POSTGRES.is_custom_operator_part(ch)
    }
    /// `a IS [NOT] DISTINCT FROM b AND c` is of `b` alone, not of `b AND c`.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let from = [Keyword::IS, Keyword::DISTINCT, Keyword::FROM];
        let not_from = [Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM];
        let make = if parser.parse_keywords(&from) {
            Expr::IsDistinctFrom
        } else if parser.parse_keywords(&not_from) {
            Expr::IsNotDistinctFrom
        } else {
            return POSTGRES.parse_infix(parser, expr, precedence);
        };
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| make(Box::new(expr.clone()), Box::new(right))))
    }
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }
    fn prec_value(&self, precedence: Precedence) -> u8 {
        POSTGRES.prec_value(precedence)
    }
    fn supports_unicode_string_literal(&self) -> bool {
        POSTGRES.supports_unicode_string_literal()
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        POSTGRES.supports_filter_during_aggregation()
    }
    fn supports_group_by_expr(&self) -> bool {
        POSTGRES.supports_group_by_expr()
    }
    fn allow_extract_custom(&self) -> bool {
        POSTGRES.allow_extract_custom()
    }
    fn allow_extract_single_quotes(&self) -> bool {
        POSTGRES.allow_extract_single_quotes()
    }
    fn supports_create_index_with_clause(&self) -> bool {
        POSTGRES.supports_create_index_with_clause()
    }
    fn supports_explain_with_utility_options(&self) -> bool {
        POSTGRES.supports_explain_with_utility_options()
    }
    fn supports_listen_notify(&self) -> bool {
        POSTGRES.supports_listen_notify()
    }
    fn supports_factorial_operator(&self) -> bool {
        POSTGRES.supports_factorial_operator()
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        POSTGRES.supports_bitwise_shift_operators()
    }
    fn supports_comment_on(&self) -> bool {
        POSTGRES.supports_comment_on()
    }
    fn supports_load_extension(&self) -> bool {
        POSTGRES.supports_load_extension()
    }
    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        POSTGRES.supports_named_fn_args_with_colon_operator()
    }
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        POSTGRES.supports_named_fn_args_with_expr_name()
    }
    fn supports_empty_projections(&self) -> bool {
        POSTGRES.supports_empty_projections()
    }
    fn supports_nested_comments(&self) -> bool {
        POSTGRES.supports_nested_comments()
    }
    fn supports_string_escape_constant(&self) -> bool {
        POSTGRES.supports_string_escape_constant()
    }
    fn supports_numeric_literal_underscores(&self) -> bool {
        POSTGRES.supports_numeric_literal_underscores()
    }
    fn supports_array_typedef_with_brackets(&self) -> bool {
        POSTGRES.supports_array_typedef_with_brackets()
    }
    fn supports_geometric_types(&self) -> bool {
        POSTGRES.supports_geometric_types()
    }
    fn supports_set_names(&self) -> bool {
        POSTGRES.supports_set_names()
    }
    fn supports_alter_column_type_using(&self) -> bool {
        POSTGRES.supports_alter_column_type_using()
    }
    fn supports_notnull_operator(&self) -> bool {
        POSTGRES.supports_notnull_operator()
    }
    fn supports_interval_options(&self) -> bool {
        POSTGRES.supports_interval_options()
    }
    fn supports_insert_table_alias(&self) -> bool {
        POSTGRES.supports_insert_table_alias()
    }
    fn supports_create_table_like_parenthesized(&self) -> bool {
        POSTGRES.supports_create_table_like_parenthesized()
    }
    fn supports_select_wildcard_with_alias(&self) -> bool {
        POSTGRES.supports_select_wildcard_with_alias()
    }
    fn supports_comma_separated_trim(&self) -> bool {
        POSTGRES.supports_comma_separated_trim()
    }
    fn supports_xml_expressions(&self) -> bool {
        POSTGRES.supports_xml_expressions()
    }
    fn supports_comment_optimizer_hint(&self) -> bool {
        POSTGRES.supports_comment_optimizer_hint()
    }
}
