//! What a call asks for, read from its hex digits without decoding them.

/// `0x60806040` and `0x60606040`: `mstore(0x40, ..)`, with which solc has
/// begun every contract since its first releases.
const CREATION_CODE: [&str; 2] = ["60806040", "60606040"];

/// Hex digits of one argument.
const WORD: usize = 64;

/// What a function does, as far as the rules tell functions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Transfer,
    TransferFrom,
    Approve,
    ApproveForAll,
    Permit,
    Multicall,
    OwnershipTransfer,
    Upgrade,
    Claim,
    /// Well known and no reason for anything: swaps, wrapping, staking, minting.
    Ordinary,
}

impl Function {
    /// By selector: the first four bytes of the Keccak-256 of the signature.
    fn of(selector: u32) -> Option<Self> {
        Some(match selector {
            0xa9059cbb => Self::Transfer,          // transfer(address,uint256)
            0x23b872dd => Self::TransferFrom,      // transferFrom(address,address,uint256)
            0x42842e0e => Self::TransferFrom,      // safeTransferFrom(address,address,uint256)
            0xb88d4fde => Self::TransferFrom, // safeTransferFrom(address,address,uint256,bytes)
            0x095ea7b3 => Self::Approve,      // approve(address,uint256)
            0x39509351 => Self::Approve,      // increaseAllowance(address,uint256)
            0xa22cb465 => Self::ApproveForAll, // setApprovalForAll(address,bool)
            0xd505accf => Self::Permit,       // permit of ERC-2612
            0x8fcbaf0c => Self::Permit,       // permit of DAI
            0x2b67b570 => Self::Permit,       // permit of Permit2
            0x30f28b7a => Self::Permit,       // permitTransferFrom of Permit2
            0xac9650d8 => Self::Multicall,    // multicall(bytes[])
            0x5ae401dc => Self::Multicall,    // multicall(uint256,bytes[])
            0x1f0464d1 => Self::Multicall,    // multicall(bytes32,bytes[])
            0x252dba42 => Self::Multicall,    // aggregate((address,bytes)[])
            0xf2fde38b => Self::OwnershipTransfer, // transferOwnership(address)
            0x715018a6 => Self::OwnershipTransfer, // renounceOwnership()
            0x3659cfe6 => Self::Upgrade,      // upgradeTo(address)
            0x4f1ef286 => Self::Upgrade,      // upgradeToAndCall(address,bytes)
            0x4e71d92d => Self::Claim,        // claim()
            0x3158952e => Self::Claim,        // Claim()
            0x79372f9a => Self::Claim,        // ClaimReward()
            0x372500ab => Self::Claim,        // claimRewards()
            0x5fba79f5 => Self::Claim,        // SecurityUpdate(), of drainer kits
            0xd0e30db0 => Self::Ordinary,     // deposit()
            0x2e1a7d4d => Self::Ordinary,     // withdraw(uint256)
            0x7ff36ab5 => Self::Ordinary,     // swapExactETHForTokens
            0x38ed1739 => Self::Ordinary,     // swapExactTokensForTokens
            0x18cbafe5 => Self::Ordinary,     // swapExactTokensForETH
            0x3593564c => Self::Ordinary,     // execute(bytes,bytes[],uint256)
            0xa0712d68 => Self::Ordinary,     // mint(uint256)
            0xa694fc3a => Self::Ordinary,     // stake(uint256)
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calldata<'a> {
    /// A plain transfer of ETH.
    Empty,
    /// Not `0x` and an even number of hex digits.
    Malformed,
    /// Less than the four bytes of a selector.
    Truncated,
    /// It begins like the init code of a contract.
    Creation,
    Call {
        /// `None`: not in the table of selectors.
        function: Option<Function>,
        /// Hex digits, an even number.
        arguments: &'a str,
    },
}

impl<'a> Calldata<'a> {
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        // Some clients write "" for no calldata.
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() {
            return Self::Empty;
        }
        let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !hex || digits.len() % 2 == 1 || digits.len() == text.len() {
            return Self::Malformed;
        }
        let Some((selector, arguments)) = digits.split_at_checked(8) else {
            return Self::Truncated;
        };
        if CREATION_CODE.contains(&selector) {
            return Self::Creation;
        }
        let function = u32::from_str_radix(selector, 16)
            .ok()
            .and_then(Function::of);
        Self::Call {
            function,
            arguments,
        }
    }

    #[must_use]
    pub fn function(&self) -> Option<Function> {
        match self {
            Self::Call { function, .. } => *function,
            _ => None,
        }
    }

    /// The 64 hex digits of an argument.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<&'a str> {
        match self {
            Self::Call { arguments, .. } => arguments.get(index * WORD..(index + 1) * WORD),
            _ => None,
        }
    }

    /// The 40 hex digits of an argument that is an address.
    #[must_use]
    pub fn address(&self, index: usize) -> Option<&'a str> {
        self.word(index)?.get(WORD - 40..)
    }

    #[must_use]
    pub fn is_aligned(&self) -> bool {
        match self {
            Self::Call { arguments, .. } => arguments.len().is_multiple_of(WORD),
            _ => true,
        }
    }
}

/// No token has 2^128 units: whoever approves so many means all there will ever be.
#[must_use]
pub fn is_unlimited(word: &str) -> bool {
    word.bytes().take(WORD / 2).any(|digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_told_from_the_digits() {
        use Calldata::{Creation, Empty, Malformed, Truncated};
        for (text, expected) in [
            ("0x", Empty),
            ("", Empty),
            ("0x0", Malformed),
            ("0xzz", Malformed),
            ("0xé", Malformed),
            ("a9059cbb", Malformed),
            ("hello", Malformed),
            ("0xa9059c", Truncated),
            ("0x6080604052", Creation),
        ] {
            assert_eq!(Calldata::read(text), expected, "{text}");
        }
    }

    #[test]
    fn functions_are_known_by_their_selector_in_either_case() {
        for (text, expected) in [
            ("0xa9059cbb", Some(Function::Transfer)),
            ("0xA9059CBB", Some(Function::Transfer)),
            ("0xd505accf", Some(Function::Permit)),
            ("0x4e71d92d", Some(Function::Claim)),
            ("0xdeadbeef", None),
        ] {
            assert_eq!(Calldata::read(text).function(), expected, "{text}");
        }
    }

    #[test]
    fn arguments_are_words_of_32_bytes() {
        let (one, two) = (format!("{:064x}", 1), format!("{:064x}", 2));
        let text = format!("0x095ea7b3{one}{two}");
        let call = Calldata::read(&text);
        assert_eq!(call.word(1), Some(two.as_str()));
        assert_eq!(call.address(0), Some(&one[24..]));
        assert_eq!(call.word(2), None);
        assert!(call.is_aligned());
        assert!(!Calldata::read(&text[..text.len() - 2]).is_aligned());
    }

    #[test]
    fn unlimited_begins_at_two_to_the_128() {
        assert!(is_unlimited(&"f".repeat(64)));
        assert!(is_unlimited(&format!(
            "{}1{}",
            "0".repeat(31),
            "0".repeat(32)
        )));
        assert!(!is_unlimited(&format!(
            "{}{}",
            "0".repeat(32),
            "f".repeat(32)
        )));
    }
}
