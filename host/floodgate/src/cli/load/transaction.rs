use hyper::body::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Transactions that look like a mempool's, each a function of the seed and
/// its number.
pub(super) struct Transactions {
    seed: [u8; 16],
    /// Unix seconds.
    timestamp: i64,
}

/// Of transactions that are to be the same ones every time.
const TIMESTAMP: i64 = 1_766_700_000;

impl Transactions {
    pub fn new(seed: Option<u64>) -> Self {
        Self {
            seed: seed.map_or_else(
                || *uuid::Uuid::new_v4().as_bytes(),
                |seed| u128::from(seed).to_be_bytes(),
            ),
            timestamp: match seed {
                Some(_) => TIMESTAMP,
                None => jiff::Timestamp::now().as_second(),
            },
        }
    }

    pub fn body(&self, number: u64) -> Bytes {
        let hash = Sha256::new()
            .chain_update(self.seed)
            .chain_update(number.to_be_bytes())
            .finalize();
        let spread = |at: usize| u64::from(u16::from_be_bytes([hash[at], hash[at + 1]]));
        // Most are plain transfers; one in five transfers tokens, one in five
        // lets somebody take all of them.
        let spender = format!("{}{}", "0".repeat(24), hex::encode(&hash[..20]));
        let input = match spread(0) % 5 {
            0 => format!("0xa9059cbb{spender}{:064x}", spread(6)),
            1 => format!("0x095ea7b3{spender}{}", "f".repeat(64)),
            _ => "0x".to_owned(),
        };
        let transaction = json!({
            "tx_hash": format!("0x{}", hex::encode(hash)),
            "from_address": format!("0x{}", hex::encode(&hash[2..22])),
            "to_address": format!("0x{}", hex::encode(&hash[12..32])),
            "value_eth": spread(2) as f64 / 1000.0,
            "gas_price_gwei": 1 + spread(4) % 200,
            "input_data": input,
            "timestamp": self.timestamp,
        });
        Bytes::from(transaction.to_string())
    }
}
