//! Where does a simulated world's chance come from? One small generator per world, so that a seed is a whole history.

/// `SplitMix64`: a counter and a mix, after Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014. Good enough to shuffle events; nothing secret is made of it.
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed; two labels of one seed are two independent dice.
    pub fn new(seed: u64, label: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ label.wrapping_mul(0xE703_7ED1_A0B4_28DB));
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True `permille` times out of 1,000.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("an index fits")]
    }
}
