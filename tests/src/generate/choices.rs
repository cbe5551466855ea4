//! Where the randomness comes from, and how it is replayed.

/// A stream of choices: drawn from a seed, or replayed from a list and 0 behind its end.
pub struct Choices {
    /// The server's major version: what it does not have is not written.
    pub server: u32,
    taken: Vec<u32>,
    source: Source,
}

enum Source {
    Seed(u64),
    List(std::vec::IntoIter<u32>),
}

impl Choices {
    #[must_use]
    pub fn seeded(server: u32, seed: u64) -> Choices {
        Choices {
            server,
            taken: Vec::new(),
            source: Source::Seed(seed),
        }
    }

    #[must_use]
    pub fn replayed(server: u32, list: Vec<u32>) -> Choices {
        Choices {
            server,
            taken: Vec::new(),
            source: Source::List(list.into_iter()),
        }
    }

    /// What has been chosen so far.
    #[must_use]
    pub fn taken(self) -> Vec<u32> {
        self.taken
    }

    /// A number below `limit`; 0 is the plainest choice.
    pub fn below(&mut self, limit: usize) -> usize {
        let raw = match &mut self.source {
            Source::Seed(state) => split_mix(state),
            Source::List(list) => u64::from(list.next().unwrap_or(0)),
        };
        let chosen = usize::try_from(raw % (limit.max(1) as u64)).unwrap_or(0);
        self.taken.push(u32::try_from(chosen).unwrap_or(0));
        chosen
    }

    /// True in `percent` of 100 cases; false is the plain choice.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// SplitMix64: every seed, consecutive ones too, gives an unrelated stream.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) >> 8
}
