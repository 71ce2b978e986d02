//! Which partition a keyed record goes to, the same in every client: the murmur2 hash that Java and Go clients use and
//! that librdkafka calls `murmur2_random`.

/// The partition of a record with this key on a topic of that many partitions. Records without a key go to any.
///
/// ```
/// assert_eq!(schemas::partition_of_key(b"kafka", 12), 4);
/// ```
///
/// # Panics
///
/// If `partitions` is not positive.
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let positive = murmur2(key) & 0x7fff_ffff;
    i32::try_from(positive).expect("31 bits fit") % partitions
}

/// Murmur2 with 32 bits and Kafka's seed.
fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Kafka hashes the length as 32 bits; keys of 4 GiB do not exist.
    #[expect(clippy::cast_possible_truncation, reason = "as the algorithm has it")]
    let mut hash = SEED ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (index, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // The table that librdkafka tests itself against.
        assert_eq!(murmur2(b"kafka"), 0xd067_cf64);
        assert_eq!(murmur2(b"giberish123456789"), 0x8f55_2b0c);
        assert_eq!(murmur2(b"1234"), 0x9fc9_7b14);
        assert_eq!(murmur2(b"234"), 0xe7c0_09ca);
        assert_eq!(murmur2(b"34"), 0x8739_30da);
        assert_eq!(murmur2(b"4"), 0x5a4b_5ca1);
        assert_eq!(murmur2(b""), 0x106e_08d9);
    }
}
