//! A hash that is the same in every process and every version: sidecars must agree on it.

/// FNV-1a, whose bits a final mix (that of MurmurHash3) spreads over the whole word. `seed` makes hashes of one text
/// independent of each other.
pub fn stable_hash(bytes: &[u8], seed: u64) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = bytes.iter().fold(OFFSET ^ mix(seed), |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    mix(hash)
}

fn mix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_what_it_is() {
        // A change would move every key of every user to another pod.
        assert_eq!(stable_hash(b"", 0), 0xefd0_1f60_ba99_2926);
        assert_eq!(stable_hash(b"10.0.0.1:80", 0), 0x5ed8_f827_5e47_a14a);
        assert_eq!(stable_hash(b"10.0.0.1:80", 1), 0xe0e3_6dde_0a8b_7493);
    }

    #[test]
    fn texts_that_differ_little_are_spread_evenly() {
        let mut buckets = [0_u32; 64];
        for number in 0..64_000_u32 {
            let hash = stable_hash(format!("user-{number}").as_bytes(), 0);
            buckets[usize::try_from(hash % 64).unwrap()] += 1;
        }
        // 1,000 each, give or take six standard deviations.
        assert!(
            buckets.iter().all(|count| (810..1190).contains(count)),
            "{buckets:?}"
        );
    }
}
