use std::borrow::Cow;

/// The body of an entry. Numbers are doubles because JSON Schema's `integer`
/// also admits `30.0` and `1e30`; strings are `Cow` because JSON may escape
/// what need not be escaped. Additional fields are none of our business.
#[derive(Debug, serde::Deserialize)]
pub struct Transaction<'a> {
    #[serde(borrow)]
    pub from_address: Cow<'a, str>,
    #[serde(borrow)]
    pub to_address: Cow<'a, str>,
    pub value_eth: f64,
    pub gas_price_gwei: f64,
    #[serde(borrow)]
    pub input_data: Cow<'a, str>,
    /// Unix seconds.
    pub timestamp: f64,
}
