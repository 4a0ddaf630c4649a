//! How far a statement may go. Whatever reads, plans and runs it goes one level
//! down its stack for each part within another; at the end of the stack there
//! is no error, the process is gone.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::error::Error;

/// Signs and keywords, each of which may be a level: `a OR b OR c` has two. A
/// name such as `id`, which is a keyword somewhere, is taken for one. The longest
/// statement that ships has a fifth of it.
const MOST_STEPS: usize = 1000;

/// Brackets in brackets. The parser tries `CAST(` and its kin in two ways, and
/// in each of them all that is inside: a level may take it twice as long.
const DEEPEST: usize = 16;

/// Of `->` and `->>` one after the other: a plan takes twice as long with each.
const MOST_ARROWS: usize = 10;

/// Of every thread that comes to work for a statement: 32 KiB for each step.
/// Nothing is taken of it that is not needed.
pub const STACK: usize = 32 << 20;

/// # Errors
/// Where it goes too far.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<(), Error> {
    let Extent {
        steps,
        depth,
        arrows,
    } = Extent::of(tokens);
    if arrows > MOST_ARROWS {
        return Err(Error::Statement(format!(
            "more than {MOST_ARROWS} arrows in a row: json_text(body, 'a.b.c') reaches as deep as \
             you like"
        )));
    }
    if steps > MOST_STEPS {
        return Err(Error::Statement(format!(
            "more than {MOST_STEPS} signs and keywords: ask for many values as id IN ('a', 'b'), \
             where neither they nor their commas count, or ask several questions"
        )));
    }
    if depth > DEEPEST {
        return Err(Error::Statement(format!(
            "brackets in brackets, more than {DEEPEST} deep: give what is inside a name with WITH"
        )));
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Extent {
    steps: usize,
    depth: usize,
    arrows: usize,
}

impl Extent {
    fn of(tokens: &[TokenWithSpan]) -> Self {
        let mut extent = Self {
            steps: 0,
            depth: 0,
            arrows: 0,
        };
        let (mut open, mut arrows) = (0_usize, 0);
        let mut before = &Token::EOF;
        for TokenWithSpan { token, .. } in tokens {
            extent.steps += usize::from(is_step(token, before));
            match token {
                Token::Whitespace(_) => continue,
                Token::LParen | Token::LBracket | Token::LBrace => open += 1,
                Token::RParen | Token::RBracket | Token::RBrace => {
                    open = open.saturating_sub(1);
                }
                // It is tried in two ways, too, and its value closes it.
                token if is_interval(token) => open += 1,
                token if is_value(token) && is_interval(before) => {
                    open = open.saturating_sub(1);
                }
                _ => {}
            }
            arrows = match token {
                Token::Arrow | Token::LongArrow => arrows + 1,
                token if is_value(token) => arrows,
                _ => 0,
            };
            extent.arrows = extent.arrows.max(arrows);
            extent.depth = extent.depth.max(open);
            before = token;
        }
        extent
    }
}

/// Neither names and values are steps, nor is what only ends or parts them.
fn is_step(token: &Token, before: &Token) -> bool {
    match token {
        Token::Whitespace(_) | Token::RParen | Token::RBracket | Token::RBrace => false,
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        // Between relations it is a join.
        Token::Comma => !is_value(before),
        token => !is_value(token),
    }
}

fn is_value(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_)
    )
}

fn is_interval(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.keyword == Keyword::INTERVAL)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn of(sql: &str) -> Extent {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
        Extent::of(&tokens.unwrap())
    }

    fn extent(sql: &str) -> (usize, usize) {
        let Extent { steps, depth, .. } = of(sql);
        (steps, depth)
    }

    #[test]
    fn signs_and_keywords_are_steps() {
        assert_eq!(extent(""), (0, 0));
        assert_eq!(extent("SELECT x FROM y WHERE x + $x = '1' -- OR"), (5, 0));
        assert_eq!(extent("SELECT \"or\", f(x, (1))"), (5, 2));
        assert_eq!(extent("x IN ('a', 'b', 1, $x, 'd')"), (2, 1));
        assert_eq!(extent("FROM a, b, f(1), c"), (5, 1));
        assert_eq!(extent("]])) ((["), (3, 3));
        assert_eq!(extent("INTERVAL '1 day' + INTERVAL 2 DAY").1, 1);
        assert_eq!(extent("INTERVAL INTERVAL - INTERVAL").1, 3);
    }

    #[test]
    fn arrows_in_a_row_are_counted_by_themselves() {
        let arrows = |sql: &str| of(sql).arrows;
        assert_eq!(arrows("SELECT body -> 'a' -> 0 ->> 'b', body -> 'c'"), 3);
        assert_eq!(arrows("SELECT body ->> 'a' = body ->> 'b'"), 1);
    }

    #[test]
    fn many_values_are_no_long_way() {
        let values = vec!["'0123456789'"; 4000].join(", ");
        assert_eq!(extent(&format!("user_id IN ({values})")), (2, 1));
    }

    #[test]
    fn what_ships_does_not_go_far() {
        let stats = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows/stats");
        let mut seen = 0;
        for file in std::fs::read_dir(stats).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                let (steps, depth) = extent(&std::fs::read_to_string(&path).unwrap());
                assert!(
                    steps <= MOST_STEPS / 5 && depth <= DEEPEST / 3,
                    "{path:?}: {steps} steps, {depth} deep"
                );
                seen += 1;
            }
        }
        assert!(seen > 0);
    }
}
