//! Numbers of all four types in one exact order.
//!
//! Every finite int, double and Decimal128 is a finite decimal fraction, so all of them can be
//! written as digits. Whole parts below 2^63 are kept in binary instead: nearly all ids have such a
//! whole part, and need no digits at all.
//!
//! ```text
//! 20        NaN                     2c        zero
//! 21        -infinity               2d        0 < x < 1       exponent digits
//! 22        x <= -2^63              2e to 35  1 <= x < 2^63   whole digits
//! 23 to 2a  -2^63 < x <= -1         36        2^63 <= x       exponent digits
//! 2b        -1 < x < 0              37        infinity
//!
//! whole    := n bytes (BE), n = tag - 2d: the whole part * 2, plus 1 if digits follow
//! exponent := u16 (BE): e + 4000, where x = 0.d1d2d3… * 10^e and d1 is not 0
//! digits   := (two digits + 1)* 00, trailing zeros dropped
//! ```
//!
//! A negative number is written as its magnitude, with all bits after the tag flipped.

use super::tag;

const NAN: u8 = tag::NUMBER;
const NEGATIVE_INFINITY: u8 = tag::NUMBER + 0x01;
const NEGATIVE_LARGE: u8 = tag::NUMBER + 0x02;
const NEGATIVE_SMALL: u8 = tag::NUMBER + 0x0b;
const ZERO: u8 = tag::NUMBER + 0x0c;
const SMALL: u8 = tag::NUMBER + 0x0d;
const LARGE: u8 = tag::NUMBER + 0x16;
const INFINITY: u8 = tag::NUMBER + 0x17;

const EXPONENT_BIAS: i32 = 0x4000;
/// The first whole part that is too large for the binary form.
const WHOLE_LIMIT: u64 = 1 << 63;

pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        out.push(ZERO);
    } else if magnitude < WHOLE_LIMIT {
        whole(value < 0, magnitude, false, out);
    } else {
        let mut digits = Digits::default();
        digits.push_integer(u128::from(magnitude));
        digits.write(value < 0, out);
    }
}

pub(super) fn double(value: f64, out: &mut Vec<u8>) {
    let negative = value < 0.0;
    let magnitude = value.abs();
    if magnitude.is_nan() {
        out.push(NAN);
    } else if magnitude == 0.0 {
        out.push(ZERO);
    } else if magnitude.is_infinite() {
        out.push(if negative { NEGATIVE_INFINITY } else { INFINITY });
    } else if magnitude < 1.0 || magnitude >= WHOLE_LIMIT as f64 {
        Digits::of_double(magnitude).write(negative, out);
    } else {
        let part = magnitude.trunc();
        let fraction = magnitude - part;
        whole(negative, part as u64, fraction != 0.0, out);
        if fraction != 0.0 {
            double_fraction(negative, fraction, out);
        }
    }
}

/// The fraction of a double that is at least 1 has at most 52 bits, all of them below the point.
fn double_fraction(negative: bool, fraction: f64, out: &mut Vec<u8>) {
    const BITS: u32 = 52;
    let flip = if negative { 0xff } else { 0 };
    let mut rest = (fraction * (1_u64 << BITS) as f64) as u64;
    while rest != 0 {
        rest *= 100;
        out.push(((rest >> BITS) as u8 + 1) ^ flip);
        rest &= (1 << BITS) - 1;
    }
    out.push(flip);
}

/// Decimal128 in its binary-integer form (BID): a sign, an exponent of 14 bits and a coefficient of
/// 113 bits.
pub(super) fn decimal(bits: u128, out: &mut Vec<u8>) {
    const LARGEST_COEFFICIENT: u128 = 10_u128.pow(34) - 1;
    let negative = bits >> 127 == 1;
    match (bits >> 122) & 0x1f {
        0x1f => return out.push(NAN),
        0x1e => return out.push(if negative { NEGATIVE_INFINITY } else { INFINITY }),
        _ => {}
    }
    // The other layout, which two bits mark, can hold only coefficients beyond the largest one;
    // these count as zero.
    let other_layout = (bits >> 125) & 3 == 3;
    let coefficient = bits & ((1 << 113) - 1);
    if other_layout || coefficient == 0 || coefficient > LARGEST_COEFFICIENT {
        return out.push(ZERO);
    }
    let exponent = ((bits >> 113) & 0x3fff) as i32 - 6176;
    let mut digits = Digits::default();
    digits.push_integer(coefficient);
    digits.exponent += exponent;
    digits.write(negative, out);
}

fn whole(negative: bool, magnitude: u64, digits_follow: bool, out: &mut Vec<u8>) {
    let bits = magnitude << 1 | u64::from(digits_follow);
    let length = 8 - bits.leading_zeros() as usize / 8;
    if negative {
        out.push(NEGATIVE_SMALL - length as u8);
        out.extend_from_slice(&(!bits).to_be_bytes()[8 - length..]);
    } else {
        out.push(SMALL + length as u8);
        out.extend_from_slice(&bits.to_be_bytes()[8 - length..]);
    }
}

/// A magnitude as decimal digits: `0.d1d2d3… * 10^exponent`, `d1` not 0.
struct Digits {
    /// The longest digits are those of the largest double below 2^-1022, with 767 digits.
    digits: [u8; 768],
    length: usize,
    exponent: i32,
}

impl Default for Digits {
    fn default() -> Self {
        Self { digits: [0; 768], length: 0, exponent: 0 }
    }
}

impl Digits {
    fn push(&mut self, digit: u8) {
        self.digits[self.length] = digit;
        self.length += 1;
    }

    /// Appends the digits of a whole number that is not 0.
    fn push_integer(&mut self, value: u128) {
        let mut place = 10_u128.pow(value.ilog10());
        let mut rest = value;
        while place > 0 {
            self.push((rest / place) as u8);
            rest %= place;
            place /= 10;
        }
        self.exponent = self.length as i32;
    }

    /// Returns the digits of a finite double below 1 or beyond the binary form.
    fn of_double(magnitude: f64) -> Self {
        let bits = magnitude.to_bits();
        let stored_exponent = (bits >> 52) as i32;
        let stored_mantissa = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match stored_exponent {
            0 => (stored_mantissa, -1074),
            _ => (stored_mantissa | 1 << 52, stored_exponent - 1075),
        };
        if exponent < 0 && magnitude < 1.0 {
            Self::of_fraction(mantissa, exponent.unsigned_abs())
        } else {
            Self::of_large(mantissa, exponent.unsigned_abs())
        }
    }

    /// Returns the digits of `mantissa / 2^places`, which is below 1. Multiplying a binary fraction
    /// by ten moves one digit over its point.
    fn of_fraction(mantissa: u64, places: u32) -> Self {
        // Little-endian limbs, with the point above the last limb in use; 34 * 32 bits hold 1074
        // places.
        let mut limbs = [0_u32; 34];
        let used = places.div_ceil(32) as usize;
        set_limbs(&mut limbs, mantissa, used as u32 * 32 - places);
        let mut digits = Self::default();
        let mut lowest = 0;
        loop {
            while lowest < used && limbs[lowest] == 0 {
                lowest += 1;
            }
            if lowest == used {
                return digits;
            }
            let mut carry = 0;
            for limb in &mut limbs[lowest..used] {
                let product = u64::from(*limb) * 10 + carry;
                *limb = product as u32;
                carry = product >> 32;
            }
            if digits.length > 0 || carry > 0 {
                digits.push(carry as u8);
            } else {
                digits.exponent -= 1;
            }
        }
    }

    /// Returns the digits of `mantissa * 2^shift`, which is at most the largest double.
    fn of_large(mantissa: u64, shift: u32) -> Self {
        const NINE_DIGITS: u64 = 1_000_000_000;
        let mut limbs = [0_u32; 34];
        set_limbs(&mut limbs, mantissa, shift);
        let mut digits = Self::default();
        let mut used = limbs.len();
        // The lowest digits come first.
        loop {
            while used > 0 && limbs[used - 1] == 0 {
                used -= 1;
            }
            if used == 0 {
                break;
            }
            let mut rest = 0;
            for limb in limbs[..used].iter_mut().rev() {
                let dividend = rest << 32 | u64::from(*limb);
                *limb = (dividend / NINE_DIGITS) as u32;
                rest = dividend % NINE_DIGITS;
            }
            for _ in 0..9 {
                digits.push((rest % 10) as u8);
                rest /= 10;
            }
        }
        while digits.digits[digits.length - 1] == 0 {
            digits.length -= 1;
        }
        digits.digits[..digits.length].reverse();
        digits.exponent = digits.length as i32;
        digits
    }

    fn write(mut self, negative: bool, out: &mut Vec<u8>) {
        while self.digits[self.length - 1] == 0 {
            self.length -= 1;
        }
        if self.exponent > 0
            && let Some(part) = self.whole_part()
        {
            let fraction = self.length.saturating_sub(self.exponent as usize);
            whole(negative, part, fraction > 0, out);
            if fraction > 0 {
                pairs(&self.digits[self.exponent as usize..self.length], negative, out);
            }
            return;
        }
        out.push(match (negative, self.exponent > 0) {
            (true, true) => NEGATIVE_LARGE,
            (true, false) => NEGATIVE_SMALL,
            (false, true) => LARGE,
            (false, false) => SMALL,
        });
        // Decimal128 ranges from 10^-6176 to 10^6145, and doubles lie within that range.
        let biased = (self.exponent + EXPONENT_BIAS) as u16;
        let flip = if negative { 0xffff } else { 0 };
        out.extend_from_slice(&(biased ^ flip).to_be_bytes());
        pairs(&self.digits[..self.length], negative, out);
    }

    /// Returns the whole part, if it fits the binary form. It has `exponent` digits, and the last
    /// of them may be zeros that were dropped.
    fn whole_part(&self) -> Option<u64> {
        let mut part = 0_u64;
        if self.exponent > 19 {
            return None;
        }
        for at in 0..self.exponent as usize {
            // 19 digits stay below 10^19, which fits.
            part = part * 10 + u64::from(self.digits[at]);
        }
        (part < WHOLE_LIMIT).then_some(part)
    }
}

fn set_limbs(limbs: &mut [u32; 34], mantissa: u64, shift: u32) {
    let at = (shift / 32) as usize;
    let shifted = u128::from(mantissa) << (shift % 32);
    for (offset, limb) in limbs[at..].iter_mut().take(3).enumerate() {
        *limb = (shifted >> (32 * offset)) as u32;
    }
}

fn pairs(digits: &[u8], negative: bool, out: &mut Vec<u8>) {
    let flip = if negative { 0xff } else { 0 };
    for pair in digits.chunks(2) {
        let units = pair.get(1).copied().unwrap_or(0);
        out.push((pair[0] * 10 + units + 1) ^ flip);
    }
    out.push(flip);
}
