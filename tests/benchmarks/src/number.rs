//! Numbers as the tables write them.

/// With as many digits after the point as make three significant ones, but at most two: `4.21`, `10.4`, `183`.
pub(crate) fn short(number: f64) -> String {
    let digits = match number.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.digits$}")
}

/// Whole, with commas: `34,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_commas() {
        assert_eq!([4.214, 10.44, 182.6].map(short), ["4.21", "10.4", "183"]);
        assert_eq!(
            [7, 340, 34_000, 1_234_567].map(grouped),
            ["7", "340", "34,000", "1,234,567"]
        );
    }
}
