//! Maglev's table (Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load Balancer", section 3.4): each
//! endpoint has an order of preference over all entries of a table, and they take turns in taking the one they like best
//! of those that are left. All get the same number of entries, one more or less, and when one goes few entries of the
//! others change hands.

use crate::endpoint::Identity;
use crate::stable_hash::stable_hash;

/// For each entry of the table the place of an endpoint.
#[derive(Debug)]
pub(super) struct Table {
    entries: Box<[u32]>,
}

/// As Maglev's small table, and Envoy's: a prime, so that every step goes through all entries.
const ENTRIES: usize = 65_537;

/// For more endpoints than [`MANY`].
const MORE_ENTRIES: usize = 1_048_583;

/// With so many endpoints each still has some sixteen entries of the small table. A table of another size has nearly all
/// its entries with other endpoints, so this is far from where Services are.
const MANY: usize = 4_096;

const FREE: u32 = u32::MAX;

/// An endpoint's way through the table.
struct Preference {
    next: usize,
    step: usize,
}

impl Table {
    pub(super) fn new<'a>(identities: impl Iterator<Item = &'a Identity>) -> Self {
        let names: Vec<String> = identities
            .map(|identity| identity.address.to_string())
            .collect();
        let length = match names.len() {
            0 => 0,
            1..=MANY => ENTRIES,
            _ => MORE_ENTRIES,
        };
        let mut preferences: Vec<Preference> = names
            .iter()
            .map(|name| Preference::new(name, length))
            .collect();
        let mut entries = vec![FREE; length].into_boxed_slice();
        let mut left = length;
        while left > 0 {
            for (place, preference) in (0..FREE).zip(&mut preferences) {
                while entries[preference.next] != FREE {
                    preference.advance(length);
                }
                entries[preference.next] = place;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Self { entries }
    }

    /// The endpoint of a key, and those that follow if it will not do, each some times. Empty where there is none.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let length = self.entries.len();
        let start = usize::try_from(key % (length.max(1) as u64)).unwrap_or(0);
        let (before, after) = self.entries.split_at(start.min(length));
        after.iter().chain(before).map(|place| *place as usize)
    }
}

impl Preference {
    fn new(name: &str, length: usize) -> Self {
        let within = |hash: u64, bound: usize| usize::try_from(hash % (bound as u64)).unwrap_or(0);
        Self {
            next: within(stable_hash(name.as_bytes(), 1), length),
            step: within(stable_hash(name.as_bytes(), 2), length - 1) + 1,
        }
    }

    fn advance(&mut self, length: usize) {
        self.next += self.step;
        if self.next >= length {
            self.next -= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn identity(number: u32) -> Identity {
        let [_, a, b, c] = number.to_be_bytes();
        Identity {
            address: ([10, a, b, c], 8080).into(),
            uid: None,
        }
    }

    /// By entry, the number of its endpoint.
    fn owners(numbers: &[u32]) -> Vec<u32> {
        let identities: Vec<Identity> = numbers.iter().copied().map(identity).collect();
        let table = Table::new(identities.iter());
        table.from(0).map(|place| numbers[place]).collect()
    }

    fn counts(owners: &[u32]) -> BTreeMap<u32, usize> {
        let mut counts = BTreeMap::new();
        for owner in owners {
            *counts.entry(*owner).or_default() += 1;
        }
        counts
    }

    #[test]
    fn without_endpoints_there_is_nothing() {
        assert_eq!(Table::new(std::iter::empty()).from(7).count(), 0);
    }

    #[test]
    fn a_thousand_endpoints_have_the_same_number_of_entries() {
        let numbers: Vec<u32> = (0..1000).collect();
        let counts = counts(&owners(&numbers));
        assert_eq!(counts.len(), 1000);
        assert!(counts.values().all(|count| matches!(count, 65 | 66)));
    }

    #[test]
    fn it_is_the_same_in_every_process() {
        let owners = owners(&[1, 2, 3]);
        assert_eq!(owners[..12], [1, 2, 3, 3, 2, 1, 1, 2, 1, 1, 2, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Its own keys must move. Of the others a few do: less than a tenth of their number with up to a hundred pods.
        #[test]
        fn an_endpoint_that_goes_takes_few_keys_of_others_along(
            numbers in prop::collection::btree_set(0_u32..100_000, 2..100),
            gone in any::<prop::sample::Index>(),
        ) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let before = owners(&numbers);
            let gone = gone.index(numbers.len());
            let mut fewer = numbers.clone();
            let gone = fewer.remove(gone);
            let after = owners(&fewer);
            let own = before.iter().filter(|owner| **owner == gone).count();
            let others = before.iter().zip(&after)
                .filter(|(before, after)| **before != gone && before != after)
                .count();
            prop_assert!(own <= ENTRIES / numbers.len() + 1);
            prop_assert!(others < ENTRIES / 10, "{others} besides {own}");
        }

        #[test]
        fn entries_differ_by_one_at_most(
            numbers in prop::collection::btree_set(0_u32..100_000, 1..200),
        ) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let counts = counts(&owners(&numbers));
            let least = counts.values().min().unwrap();
            let most = counts.values().max().unwrap();
            prop_assert_eq!(counts.len(), numbers.len());
            prop_assert!(most - least <= 1);
        }
    }
}
