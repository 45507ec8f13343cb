//! Sums and products of Decimal128, as IEEE 754 defines them: rounded half to even, with the
//! preferred exponent. Numbers are handled digit by digit, for correctness and not for speed.

const EXPONENT_BIAS: i32 = 6176;
const MIN_EXPONENT: i32 = -EXPONENT_BIAS;
const MAX_EXPONENT: i32 = 6111;
const PRECISION: usize = 34;
const LARGEST: u128 = 10_u128.pow(PRECISION as u32) - 1;
const SIGN: u128 = 1 << 127;
const INFINITY: u128 = 0b11110 << 122;
const NAN: u128 = 0b11111 << 122;
/// A summand that is more than this many places below only decides which way to round.
const FARTHEST: i32 = 72;

/// A Decimal128 as it is stored (binary integer significand).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::update) struct Decimal(u128);

/// `digits * 10^exponent`; the most significant digit is first, and zero has no digits.
#[derive(Debug, Clone)]
struct Finite {
    negative: bool,
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    pub(super) fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u128 {
        self.0
    }

    pub(super) fn from_integer(number: i64) -> Self {
        let digits = digits_of(u128::from(number.unsigned_abs()));
        Finite { negative: number < 0, digits, exponent: 0 }.round()
    }

    /// Converts as the server does: with exactly 15 digits.
    pub(super) fn from_double(number: f64) -> Self {
        let sign = if number.is_sign_negative() { SIGN } else { 0 };
        if number.is_nan() {
            return Self(NAN | sign);
        }
        if number.is_infinite() {
            return Self(INFINITY | sign);
        }
        if number == 0.0 {
            return Finite { negative: sign != 0, digits: Vec::new(), exponent: 0 }.round();
        }
        let text = format!("{:.14e}", number.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0');
        let exponent = exponent.parse::<i32>().unwrap_or(0) - 14;
        Finite { negative: sign != 0, digits: digits.collect(), exponent }.round()
    }

    /// Whether both are the same number. NaN is equal to nothing.
    pub(super) fn equals(self, other: Self) -> bool {
        match (self.finite(), other.finite()) {
            (Some(left), Some(right)) => {
                let difference = left.plus(&Finite { negative: !right.negative, ..right });
                difference.digits.is_empty()
            }
            (None, None) => !self.is_nan() && self.0 & (SIGN | NAN) == other.0 & (SIGN | NAN),
            _ => false,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        match (self.finite(), other.finite()) {
            (Some(left), Some(right)) => left.plus(&right).round(),
            _ if self.is_nan() || other.is_nan() => Self(self.nan_of(other)),
            (None, None) if self.is_negative() != other.is_negative() => Self(NAN),
            (None, _) => self.infinity(),
            (_, None) => other.infinity(),
        }
    }

    pub(super) fn times(self, other: Self) -> Self {
        let negative = self.is_negative() != other.is_negative();
        match (self.finite(), other.finite()) {
            (Some(left), Some(right)) => left.times(&right, negative).round(),
            _ if self.is_nan() || other.is_nan() => Self(self.nan_of(other)),
            (Some(zero), None) | (None, Some(zero)) if zero.digits.is_empty() => Self(NAN),
            _ => Self(INFINITY | if negative { SIGN } else { 0 }),
        }
    }

    fn is_negative(self) -> bool {
        self.0 & SIGN != 0
    }

    fn is_nan(self) -> bool {
        self.0 & NAN == NAN
    }

    fn infinity(self) -> Self {
        Self(INFINITY | self.0 & SIGN)
    }

    /// Returns the first NaN of the two, made quiet.
    fn nan_of(self, other: Self) -> u128 {
        const SIGNALING: u128 = 1 << 121;
        let nan = if self.is_nan() { self } else { other };
        nan.0 & !SIGNALING
    }

    fn finite(self) -> Option<Finite> {
        if self.0 & INFINITY == INFINITY {
            return None;
        }
        const LARGE_FORM: u128 = 0b11 << 125;
        let (coefficient, exponent) = if self.0 & LARGE_FORM == LARGE_FORM {
            // A coefficient of this form is beyond the largest, and counts as zero.
            (0, (self.0 >> 111) & 0x3fff)
        } else {
            (self.0 & ((1 << 113) - 1), (self.0 >> 113) & 0x3fff)
        };
        let coefficient = if coefficient > LARGEST { 0 } else { coefficient };
        Some(Finite {
            negative: self.is_negative(),
            digits: digits_of(coefficient),
            exponent: exponent as i32 - EXPONENT_BIAS,
        })
    }
}

fn digits_of(mut number: u128) -> Vec<u8> {
    let mut digits = Vec::new();
    while number > 0 {
        digits.push((number % 10) as u8);
        number /= 10;
    }
    digits.reverse();
    digits
}

impl Finite {
    fn plus(&self, other: &Self) -> Self {
        let (high, low) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let mut low = low.clone();
        let both_negative = self.negative && other.negative;
        if high.digits.is_empty() && low.digits.is_empty() {
            return Finite { negative: both_negative, ..low };
        }
        if high.exponent - low.exponent > FARTHEST {
            if high.digits.is_empty() {
                return low;
            }
            low.exponent = high.exponent - FARTHEST;
            low.digits.truncate(1);
        }
        let mut raised = high.digits.clone();
        if !raised.is_empty() {
            raised.resize(raised.len() + (high.exponent - low.exponent) as usize, 0);
        }
        let exponent = low.exponent;
        if high.negative == low.negative {
            let digits = sum(&raised, &low.digits);
            return Finite { negative: high.negative, digits, exponent };
        }
        let (negative, digits) = match is_less(&raised, &low.digits) {
            true => (low.negative, difference(&low.digits, &raised)),
            false => (high.negative, difference(&raised, &low.digits)),
        };
        Finite { negative: negative && !digits.is_empty(), digits, exponent }
    }

    fn times(&self, other: &Self, negative: bool) -> Self {
        let mut product = vec![0_u32; self.digits.len() + other.digits.len()];
        for (i, left) in self.digits.iter().rev().enumerate() {
            for (j, right) in other.digits.iter().rev().enumerate() {
                product[i + j] += u32::from(*left) * u32::from(*right);
            }
        }
        for at in 1..product.len() {
            product[at] += product[at - 1] / 10;
            product[at - 1] %= 10;
        }
        let mut digits: Vec<u8> = product.iter().rev().map(|&digit| digit as u8).collect();
        strip_zeros(&mut digits);
        Finite { negative, digits, exponent: self.exponent + other.exponent }
    }

    /// Returns the nearest Decimal128.
    fn round(mut self) -> Decimal {
        let sign = if self.negative { SIGN } else { 0 };
        let too_long = self.digits.len().saturating_sub(PRECISION) as i32;
        let dropped = too_long.max(MIN_EXPONENT - self.exponent).max(0);
        if dropped > 0 {
            self.drop_digits(dropped);
        }
        if self.digits.is_empty() {
            self.exponent = self.exponent.min(MAX_EXPONENT);
        }
        while self.exponent > MAX_EXPONENT {
            if self.digits.len() >= PRECISION {
                return Decimal(INFINITY | sign);
            }
            self.digits.push(0);
            self.exponent -= 1;
        }
        let coefficient = self.digits.iter().fold(0, |sum, &digit| sum * 10 + u128::from(digit));
        let biased = (self.exponent + EXPONENT_BIAS) as u128;
        Decimal(sign | biased << 113 | coefficient)
    }

    /// Drops the last digits, rounding half to even.
    fn drop_digits(&mut self, count: i32) {
        self.exponent += count;
        let kept = self.digits.len().checked_sub(count as usize);
        let Some(kept) = kept else {
            // The rest is less than a tenth of the last place.
            self.digits.clear();
            return;
        };
        let tail = self.digits.split_off(kept);
        let is_odd = self.digits.last().is_some_and(|digit| digit % 2 == 1);
        let is_half = tail[0] == 5 && tail[1..].iter().all(|&digit| digit == 0);
        if tail[0] > 5 || (tail[0] == 5 && (!is_half || is_odd)) {
            self.digits = sum(&self.digits, &[1]);
            if self.digits.len() > PRECISION {
                // The digits are a one and zeros.
                self.digits.pop();
                self.exponent += 1;
            }
        }
    }
}

fn strip_zeros(digits: &mut Vec<u8>) {
    let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
    digits.drain(..zeros);
}

/// Compares two numbers without leading zeros.
fn is_less(left: &[u8], right: &[u8]) -> bool {
    (left.len(), left) < (right.len(), right)
}

fn sum(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(left.len().max(right.len()) + 1);
    let (mut left, mut right) = (left.iter().rev(), right.iter().rev());
    let mut carry = 0;
    loop {
        match (left.next(), right.next()) {
            (None, None) => break,
            (left, right) => {
                let sum = left.unwrap_or(&0) + right.unwrap_or(&0) + carry;
                digits.push(sum % 10);
                carry = sum / 10;
            }
        }
    }
    digits.push(carry);
    digits.reverse();
    strip_zeros(&mut digits);
    digits
}

/// `left - right`, where `left` is not the smaller.
fn difference(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(left.len());
    let mut right = right.iter().rev();
    let mut borrow = 0;
    for digit in left.iter().rev() {
        let less = right.next().unwrap_or(&0) + borrow;
        borrow = u8::from(*digit < less);
        digits.push(digit + 10 * borrow - less);
    }
    digits.reverse();
    strip_zeros(&mut digits);
    digits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn decimal(text: &str) -> Decimal {
        let parsed: bson::Decimal128 = text.parse().unwrap();
        Decimal::from_bits(u128::from_le_bytes(parsed.bytes()))
    }

    fn shown(decimal: Decimal) -> String {
        bson::Decimal128::from_bytes(decimal.bits().to_le_bytes()).to_string()
    }

    #[test]
    fn sums_keep_the_lower_exponent_and_round_half_to_even() {
        for (left, right, sum) in [
            ("1.50", "1", "2.50"),
            ("1.5", "-1.50", "0.00"),
            ("-0", "-0.0", "-0.0"),
            ("-0", "0.0", "0.0"),
            ("1E+40", "1", "1.000000000000000000000000000000000E+40"),
            ("1E+400", "1", "1.000000000000000000000000000000000E+400"),
            ("0E+400", "1", "1"),
            (
                "9999999999999999999999999999999999",
                "0.5",
                "1.000000000000000000000000000000000E+34",
            ),
            ("9999999999999999999999999999999998", "0.5", "9999999999999999999999999999999998"),
            ("Infinity", "-Infinity", "NaN"),
            ("Infinity", "1", "Infinity"),
        ] {
            assert_eq!(shown(decimal(left).plus(decimal(right))), sum, "{left} + {right}");
            assert_eq!(shown(decimal(right).plus(decimal(left))), sum, "{right} + {left}");
        }
    }

    #[test]
    fn products_add_the_exponents() {
        for (left, right, product) in [
            ("1.50", "2", "3.00"),
            ("0", "-1.50", "-0.00"),
            ("3333333333333333333333333333333333", "3", "9999999999999999999999999999999999"),
            ("3333333333333333333333333333333333", "4", "1.333333333333333333333333333333333E+34"),
            ("1E+6111", "1E+10", "1.0000000000E+6121"),
            ("1E+6111", "1E+40", "Infinity"),
            ("1E-6176", "0.5", "0E-6176"),
            ("1E-6176", "1.5", "2E-6176"),
            ("Infinity", "0", "NaN"),
            ("-Infinity", "2", "-Infinity"),
        ] {
            assert_eq!(shown(decimal(left).times(decimal(right))), product, "{left} * {right}");
            assert_eq!(shown(decimal(right).times(decimal(left))), product, "{right} * {left}");
        }
    }

    #[test]
    fn doubles_have_fifteen_digits() {
        assert_eq!(shown(Decimal::from_double(2.5)), "2.50000000000000");
        assert_eq!(shown(Decimal::from_double(-0.1)), "-0.100000000000000");
        assert_eq!(shown(Decimal::from_double(1e23)), "1.00000000000000E+23");
        assert_eq!(shown(Decimal::from_double(-0.0)), "-0");
        assert_eq!(shown(Decimal::from_integer(i64::MIN)), "-9223372036854775808");
    }
}
