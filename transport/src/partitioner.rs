//! Which partition a key goes to: the hash of Java's producer, so that every language agrees.

/// The partition of a record with this key, as Java's and Go's producers and librdkafka's `murmur2_random` choose it.
///
/// # Panics
///
/// When `partitions` is not positive.
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    // Java masks the sign away rather than taking the absolute value.
    (murmur2(key) & 0x7fff_ffff).cast_signed() % partitions
}

// Murmur2, 32 bits, with the seed of Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Kafka's hash is defined over 32-bit lengths, as Java arrays have them.
    #[expect(clippy::cast_possible_truncation)]
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_java_does() {
        let check =
            |key: &str, expect: i32| assert_eq!(murmur2(key.as_bytes()).cast_signed(), expect, "{key}");
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
        check("abc", 479_470_107);
    }

    #[test]
    fn partitions_as_java_does() {
        // `(murmur2 & 0x7fffffff) % partitions`, not the absolute value.
        assert_eq!(partition_of_key(b"21", 1000), ((-973_932_308_i32) & 0x7fff_ffff) % 1000);
        assert_eq!(partition_of_key(b"abc", 12), 479_470_107 % 12);
        assert_eq!(partition_of_key(b"", 1), 0);
    }
}
