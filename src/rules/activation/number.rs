//! Decimal numbers as text: rounded without passing through binary fractions.

/// Digits that are read, and zeros that an exponent may add.
const MOST: usize = 60;

/// A number, written with or without an exponent, rounded to so many places (half away from zero, as Postgres does):
/// `-12.345` → `-12.35`. None when the text is no number, or has more than 60 digits.
pub fn rounded(text: &str, places: usize) -> Option<String> {
    let text = text.trim();
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() <= MOST as i32)?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
    if digits.is_empty() || digits.len() > MOST || digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    // Where the point stands, counted from the left; then as many digits after it as are asked for, and one to round by.
    let mut point = whole.len() as i32 + exponent;
    while point <= 0 {
        digits.insert(0, 0);
        point += 1;
    }
    let point = point as usize;
    digits.resize(digits.len().max(point + places + 1), 0);
    let up = digits[point + places] >= 5;
    digits.truncate(point + places);
    let point = if up { point + usize::from(increment(&mut digits)) } else { point };
    let zeros = digits[..point - 1].iter().take_while(|digit| **digit == 0).count();
    let is_zero = digits.iter().all(|digit| *digit == 0);
    let mut found = String::with_capacity(digits.len() + 2);
    if negative && !is_zero {
        found.push('-');
    }
    for (at, digit) in digits.iter().enumerate().skip(zeros) {
        if at == point {
            found.push('.');
        }
        found.push(char::from(b'0' + digit));
    }
    Some(found)
}

/// Adds one to the last digit; true when that made the number one digit longer.
fn increment(digits: &mut Vec<u8>) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return false;
        }
        *digit = 0;
    }
    digits.insert(0, 1);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_rounded_as_written() {
        let check = |text: &str, places: usize, expected: Option<&str>| {
            assert_eq!(rounded(text, places).as_deref(), expected, "{text:?} to {places}");
        };
        check("12", 2, Some("12.00"));
        check("12.3", 2, Some("12.30"));
        check("1.005", 2, Some("1.01"));
        check("-1.005", 2, Some("-1.01"));
        check("-0.004", 2, Some("0.00"));
        check("999.995", 2, Some("1000.00"));
        check("0.005", 2, Some("0.01"));
        check(".5", 2, Some("0.50"));
        check("5.", 2, Some("5.00"));
        check("1e3", 2, Some("1000.00"));
        check("1.5E-3", 2, Some("0.00"));
        check("12345e-2", 2, Some("123.45"));
        check("0012", 0, Some("12"));
        check("0.5", 0, Some("1"));
        check("+7", 0, Some("7"));
        for wrong in ["", "-", ".", "1,5", "1.2.3", "0x10", "NaN", "1e", "1e999", "--1", "١", &"9".repeat(61)] {
            check(wrong, 2, None);
        }
    }

    proptest! {
        #[test]
        fn cents_are_kept(cents in -1_000_000_000_000_i64..1_000_000_000_000) {
            let sign = if cents < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
            prop_assert_eq!(rounded(&text, 2), Some(text.clone()));
            prop_assert_eq!(rounded(&format!("{text}004"), 2), Some(text));
        }

        #[test]
        fn nothing_makes_it_panic(text in "[-+.eE0-9]{0,70}", places in 0_usize..20) {
            let _ = rounded(&text, places);
        }
    }
}
