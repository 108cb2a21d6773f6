//! Numbers for people.

/// `1.2 GB`, in powers of ten as file managers and vendors count.
pub fn bytes(count: u64) -> String {
    scaled(count as f64, &[" bytes", " kB", " MB", " GB", " TB"])
}

/// `1.54 billion`.
pub fn amount(count: u64) -> String {
    scaled(count as f64, &["", " thousand", " million", " billion", " trillion"])
}

fn scaled(mut number: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while number >= 1000.0 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::{amount, bytes};

    #[test]
    fn three_digits_are_enough() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(4_321_000), "4.32 MB");
        assert_eq!(bytes(1_650_000_000_000_000), "1650 TB");
        assert_eq!(amount(1_543_714_304), "1.54 billion");
        assert_eq!(amount(39_100_000), "39.1 million");
    }
}
