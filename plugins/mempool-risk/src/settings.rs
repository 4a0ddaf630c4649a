use floodgate_oracle::settings::parse;

/// `[oracle.settings]`; the crate's documentation has the defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub large_value_eth: f64,
    pub gas_spike_gwei: f64,
    pub large_calldata_bytes: usize,
    pub max_age_s: f64,
    pub max_ahead_s: f64,
}

impl Settings {
    /// # Errors
    /// Names the first setting that is not a number.
    pub fn read() -> Result<Self, String> {
        Ok(Self {
            large_value_eth: parse("large_value_eth", 100.0)?,
            gas_spike_gwei: parse("gas_spike_gwei", 200.0)?,
            large_calldata_bytes: parse("large_calldata_bytes", 16_384)?,
            max_age_s: parse("max_age_s", 3600.0)?,
            max_ahead_s: parse("max_ahead_s", 300.0)?,
        })
    }
}
