//! The shape of a transaction's input, after the contract ABI specification:
//! four bytes of selector, then words of 32 bytes.

/// Hex digits of one word.
const WORD: usize = 64;

/// Input data as lower-case hex digits, as far as it is hex.
#[derive(Debug, PartialEq)]
pub enum Calldata {
    Empty,
    /// Not whole bytes of hex behind 0x.
    Malformed,
    /// One to three bytes: too short to call anything.
    Short,
    Call {
        selector: String,
        arguments: String,
    },
}

impl Calldata {
    pub fn parse(input: &str) -> Self {
        let digits = input.strip_prefix("0x").unwrap_or(input);
        let whole = digits.len() % 2 == 0 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match digits.len() {
            0 => Self::Empty,
            _ if !whole => Self::Malformed,
            1..8 => Self::Short,
            _ => Self::Call {
                selector: digits[..8].to_ascii_lowercase(),
                arguments: digits[8..].to_ascii_lowercase(),
            },
        }
    }

    /// Bytes, selector included; 0 where there is no call.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Call { arguments, .. } => 4 + arguments.len() / 2,
            _ => 0,
        }
    }

    pub fn calls(&self, selectors: &[&str]) -> bool {
        matches!(self, Self::Call { selector, .. } if selectors.contains(&selector.as_str()))
    }

    /// The argument at a position, as 64 hex digits.
    pub fn argument(&self, position: usize) -> Option<&str> {
        match self {
            Self::Call { arguments, .. } => arguments.get(position * WORD..(position + 1) * WORD),
            _ => None,
        }
    }

    /// The argument at a position, as the 40 hex digits of an address.
    pub fn address(&self, position: usize) -> Option<&str> {
        self.argument(position)
            .and_then(|word| word.get(WORD - 40..))
    }
}
