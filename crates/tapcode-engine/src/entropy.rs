//! Where does randomness come from? The one place that asks the operating system for it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroize;

/// A source of randomness. The simulation has a seeded one.
pub trait Entropy: Send + Sync + fmt::Debug + 'static {
    /// Fills a buffer with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// Sixteen bytes of randomness.
pub fn sixteen(entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes
}

const POOL_BYTES: usize = 4096;

/// The operating system's CSPRNG, asked for a page at a time because a call per id costs more than the step it serves.
pub struct OsEntropy {
    pool: Mutex<([u8; POOL_BYTES], usize)>,
}

impl OsEntropy {
    /// A source with an empty pool.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pool: Mutex::new(([0; POOL_BYTES], POOL_BYTES)),
        }
    }
}

impl Default for OsEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OsEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OsEntropy")
    }
}

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the room that owns randomness")]
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > POOL_BYTES / 4 {
            getrandom::fill(buffer).expect("the operating system gives randomness");
            return;
        }
        // A poisoned pool holds bytes that may have been handed out: the position was moved first, so it is still right.
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, used) = &mut *pool;
        if *used + buffer.len() > POOL_BYTES {
            getrandom::fill(bytes).expect("the operating system gives randomness");
            *used = 0;
        }
        let from = *used;
        *used += buffer.len();
        buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
        bytes[from..from + buffer.len()].zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_byte_is_given_twice_across_refills() {
        let entropy = OsEntropy::new();
        let given: HashSet<[u8; 16]> = (0..2_000).map(|_| sixteen(&entropy)).collect();
        assert_eq!(given.len(), 2_000);
        assert!(!given.contains(&[0; 16]));
    }
}
