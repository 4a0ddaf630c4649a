//! What an address looks like. Addresses are `0x` and 40 hex digits; in which
//! case they are written is a checksum and does not count.

/// Addresses nobody has the key of, which are used for burning.
const BURNT: [&str; 3] = [
    "000000000000000000000000000000000000dead",
    "dead000000000000000042069420694206942069",
    "ffffffffffffffffffffffffffffffffffffffff",
];

#[must_use]
pub fn is_zero(address: &str) -> bool {
    leading_zeroes(address) == 40
}

#[must_use]
pub fn is_burnt(address: &str) -> bool {
    BURNT
        .iter()
        .any(|burnt| digits(address).eq_ignore_ascii_case(burnt))
}

/// The precompiled contracts sit at 0x01 to 0x11 and, on rollups, at 0x100.
#[must_use]
pub fn is_precompile(address: &str) -> bool {
    let zeroes = leading_zeroes(address);
    zeroes == 38 || zeroes == 39 || (zeroes == 37 && digits(address).ends_with("100"))
}

/// Eight leading zeroes take some four billion tries: somebody went looking.
#[must_use]
pub fn is_vanity(address: &str) -> bool {
    (8..37).contains(&leading_zeroes(address)) && !is_burnt(address)
}

#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    digits(one).eq_ignore_ascii_case(digits(other))
}

/// Wallets show the first and last four digits, so those are what a poisoner forges.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    !is_same(one, other)
        && {
            let (one, other) = (digits(one).as_bytes(), digits(other).as_bytes());
            matches!((one.first_chunk::<4>(), other.first_chunk::<4>()), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
                && matches!((one.last_chunk::<4>(), other.last_chunk::<4>()), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
        }
}

fn digits(address: &str) -> &str {
    address.strip_prefix("0x").unwrap_or(address)
}

fn leading_zeroes(address: &str) -> usize {
    digits(address)
        .bytes()
        .take_while(|&digit| digit == b'0')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(first: &str, last: &str) -> String {
        format!(
            "0x{first}{}{last}",
            "7".repeat(40 - first.len() - last.len())
        )
    }

    #[test]
    fn each_kind_of_address_is_told_from_the_others() {
        let zero = format!("0x{}", "0".repeat(40));
        let (dead, ones) = (
            format!("0x{}dEaD", "0".repeat(36)),
            format!("0x{}", "F".repeat(40)),
        );
        let (first, p256) = (
            format!("0x{}1", "0".repeat(39)),
            format!("0x{}100", "0".repeat(37)),
        );
        let (eight, seven) = (address("00000000", ""), address("0000000", ""));
        //     address  zero   burnt  precompile vanity
        for (text, expected) in [
            (&zero, [true, false, false, false]),
            (&dead, [false, true, false, false]),
            (&ones, [false, true, false, false]),
            (&first, [false, false, true, false]),
            (&p256, [false, false, true, false]),
            (&eight, [false, false, false, true]),
            (&seven, [false, false, false, false]),
        ] {
            let found = [
                is_zero(text),
                is_burnt(text),
                is_precompile(text),
                is_vanity(text),
            ];
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_look_alike_agrees_at_both_ends_and_differs_between() {
        let victim = address("aBcD", "1234");
        for (other, expected) in [
            (address("abcd9", "1234"), true),
            (address("abcd9", "1235"), false),
            (address("abce9", "1234"), false),
            (victim.to_lowercase(), false),
        ] {
            assert_eq!(look_alike(&victim, &other), expected, "{other}");
        }
    }
}
