//! XXH3-64 with seed 0 and the default secret, as the server uses it to hash documents (xxHash
//! 0.8).

const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

const PRIME32: [u64; 3] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d];
const PRIME64: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];
const STRIPE: usize = 64;
/// The stripes of a block go through the secret in steps of 8 bytes.
const STRIPES: usize = 16;
const BLOCK: usize = STRIPE * STRIPES;
/// Where the secret's last stripe begins.
const LAST: usize = SECRET.len() - STRIPE;

pub(crate) fn xxh3_64(input: &[u8]) -> u64 {
    let length = input.len();
    match length {
        0 => avalanche_64(secret(56) ^ secret(64)),
        1..=3 => {
            let byte = |at: usize| u64::from(input[at]);
            let combined =
                byte(0) << 16 | byte(length >> 1) << 24 | byte(length - 1) | (length as u64) << 8;
            let flip = u64::from(word32(&SECRET, 0) ^ word32(&SECRET, 4));
            avalanche_64(combined ^ flip)
        }
        4..=8 => {
            let (first, last) = (word32(input, 0), word32(input, length - 4));
            let both = u64::from(last) | u64::from(first) << 32;
            mix_short(both ^ secret(8) ^ secret(16), length as u64)
        }
        9..=16 => {
            let low = word(input, 0) ^ secret(24) ^ secret(32);
            let high = word(input, length - 8) ^ secret(40) ^ secret(48);
            let sum = (length as u64).wrapping_add(low.swap_bytes()).wrapping_add(high);
            avalanche(sum.wrapping_add(fold(low, high)))
        }
        17..=128 => avalanche(medium(input)),
        129..=240 => avalanche(longer(input)),
        _ => long(input),
    }
}

fn medium(input: &[u8]) -> u64 {
    let length = input.len();
    let pairs = (length - 1) / 32;
    (0..=pairs).rev().fold((length as u64).wrapping_mul(PRIME64[0]), |sum, pair| {
        let from_front = mix(input, 16 * pair, 32 * pair);
        let from_end = mix(input, length - 16 * (pair + 1), 32 * pair + 16);
        sum.wrapping_add(from_front).wrapping_add(from_end)
    })
}

fn longer(input: &[u8]) -> u64 {
    const FIRST_ROUNDS: usize = 8;
    let length = input.len();
    let start = (length as u64).wrapping_mul(PRIME64[0]);
    let first = (0..FIRST_ROUNDS)
        .fold(start, |sum, round| sum.wrapping_add(mix(input, 16 * round, 16 * round)));
    let rest = (FIRST_ROUNDS..length / 16).fold(avalanche(first), |sum, round| {
        sum.wrapping_add(mix(input, 16 * round, 16 * (round - FIRST_ROUNDS) + 3))
    });
    rest.wrapping_add(mix(input, length - 16, 136 - 17))
}

fn long(input: &[u8]) -> u64 {
    let mut sums = [
        PRIME32[2], PRIME64[0], PRIME64[1], PRIME64[2], PRIME64[3], PRIME32[1], PRIME64[4],
        PRIME32[0],
    ];
    let blocks = (input.len() - 1) / BLOCK;
    let (whole, rest) = input.split_at(blocks * BLOCK);
    for block in whole.chunks_exact(BLOCK) {
        accumulate_all(&mut sums, block);
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = (*sum ^ *sum >> 47 ^ secret(LAST + 8 * at)).wrapping_mul(PRIME32[0]);
        }
    }
    let stripes = (rest.len() - 1) / STRIPE;
    accumulate_all(&mut sums, &rest[..stripes * STRIPE]);
    accumulate(&mut sums, &input[input.len() - STRIPE..], LAST - 7);
    let start = (input.len() as u64).wrapping_mul(PRIME64[0]);
    let merged = (0..4).fold(start, |result, pair| {
        let at = 11 + 16 * pair;
        let (low, high) = (sums[2 * pair] ^ secret(at), sums[2 * pair + 1] ^ secret(at + 8));
        result.wrapping_add(fold(low, high))
    });
    avalanche(merged)
}

fn accumulate_all(sums: &mut [u64; 8], stripes: &[u8]) {
    for (at, stripe) in stripes.chunks_exact(STRIPE).enumerate() {
        accumulate(sums, stripe, 8 * at);
    }
}

fn accumulate(sums: &mut [u64; 8], stripe: &[u8], secret_at: usize) {
    for at in 0..sums.len() {
        let data = word(stripe, 8 * at);
        let key = data ^ secret(secret_at + 8 * at);
        sums[at ^ 1] = sums[at ^ 1].wrapping_add(data);
        sums[at] = sums[at].wrapping_add((key & 0xffff_ffff).wrapping_mul(key >> 32));
    }
}

/// Mixes 16 bytes of input with 16 bytes of the secret.
fn mix(input: &[u8], at: usize, secret_at: usize) -> u64 {
    fold(word(input, at) ^ secret(secret_at), word(input, at + 8) ^ secret(secret_at + 8))
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

fn mix_short(mut hash: u64, length: u64) -> u64 {
    const FACTOR: u64 = 0x9fb2_1c65_1e98_df25;
    hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
    hash = hash.wrapping_mul(FACTOR);
    hash ^= (hash >> 35).wrapping_add(length);
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> 28
}

fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 37;
    hash = hash.wrapping_mul(0x1656_6791_9e37_79f9);
    hash ^ hash >> 32
}

/// The avalanche of XXH64.
fn avalanche_64(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(PRIME64[1]);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(PRIME64[2]);
    hash ^ hash >> 32
}

fn secret(at: usize) -> u64 {
    word(&SECRET, at)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn word32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xxHash's own test data: `cli/xsum_sanity_check.c`, seed 0.
    const PUBLISHED: [(usize, u64); 15] = [
        (0, 0x2d06_8005_38d3_94c2),
        (1, 0xc44b_dff4_074e_ecdb),
        (6, 0x27b5_6a84_cd2d_7325),
        (12, 0xa713_daf0_dfbb_77e7),
        (24, 0xa3fe_70bf_9d35_10eb),
        (48, 0x397d_a259_ecba_1f11),
        (80, 0xbcde_fbbb_2c47_c90a),
        (195, 0xcd94_217e_e362_ec3a),
        (403, 0xcdeb_804d_65c6_dea4),
        (512, 0x617e_4959_9013_cb6b),
        (2048, 0xdd59_e2c3_a5f0_38e0),
        (2099, 0xc6b9_d9b3_fc9a_c765),
        (2240, 0x6e73_a905_39cf_2948),
        (2367, 0xcb37_aeb9_e5d3_61ed),
        // Made with the Python package xxhash 3, from the same bytes.
        (100, 0x93cd_9543_2b7d_483f),
    ];

    /// Returns the bytes from which the published hashes were computed.
    fn data(length: usize) -> Vec<u8> {
        let mut generator = 2_654_435_761_u64;
        let next = |_| {
            let byte = (generator >> 56) as u8;
            generator = generator.wrapping_mul(11_400_714_785_074_694_797);
            byte
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn hashes_are_the_published_ones() {
        for (length, hash) in PUBLISHED {
            assert_eq!(xxh3_64(&data(length)), hash, "{length} bytes");
        }
    }

    /// One hash over the hashes of every length. A reference implementation returned the same hash.
    #[test]
    fn every_length_to_three_blocks_agrees_with_the_reference() {
        let all = data(3_100);
        let hashes: Vec<u8> =
            (0..all.len()).flat_map(|length| xxh3_64(&all[..length]).to_le_bytes()).collect();
        assert_eq!(xxh3_64(&hashes), 0xe4b1_8e1a_b07f_9814);
    }
}
