//! Where things are on a page.

use lopdf::Object;

/// A transformation as PDF writes it: `x' = a·x + c·y + e`, `y' = b·x + d·y + f` (ISO 32000-1, §8.3.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Matrix {
    pub a: f32,
    pub b: f32,
    pub c: f32,
    pub d: f32,
    pub e: f32,
    pub f: f32,
}

impl Matrix {
    pub(super) const IDENTITY: Self = Self { a: 1.0, b: 0.0, c: 0.0, d: 1.0, e: 0.0, f: 0.0 };

    /// Six numbers, if that is what they are.
    pub(super) fn of(numbers: &[Object]) -> Option<Self> {
        let numbers: Vec<f32> = numbers.iter().map_while(|number| number.as_float().ok()).collect();
        let [a, b, c, d, e, f] = numbers[..] else { return None };
        Some(Self { a, b, c, d, e, f })
    }

    pub(super) fn translation(x: f32, y: f32) -> Self {
        Self { e: x, f: y, ..Self::IDENTITY }
    }

    /// First `self`, then `after`.
    pub(super) fn then(self, after: Self) -> Self {
        Self {
            a: self.a * after.a + self.b * after.c,
            b: self.a * after.b + self.b * after.d,
            c: self.c * after.a + self.d * after.c,
            d: self.c * after.b + self.d * after.d,
            e: self.e * after.a + self.f * after.c + after.e,
            f: self.e * after.b + self.f * after.d + after.f,
        }
    }

    /// How long an upright line of length 1 becomes.
    pub(super) fn height(self) -> f32 {
        self.c.hypot(self.d)
    }

    /// Which way a level line goes, as a vector of length 1.
    pub(super) fn direction(self) -> (f32, f32) {
        let length = self.a.hypot(self.b);
        if length > 0.0 { (self.a / length, self.b / length) } else { (1.0, 0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformations_follow_one_another() {
        let doubled = Matrix { a: 2.0, d: 2.0, ..Matrix::IDENTITY };
        let moved = Matrix::translation(3.0, 4.0);
        assert_eq!(moved.then(doubled), Matrix { e: 6.0, f: 8.0, ..doubled });
        assert_eq!(doubled.then(moved), Matrix { e: 3.0, f: 4.0, ..doubled });
        assert_eq!((doubled.height(), doubled.direction()), (2.0, (1.0, 0.0)));
    }
}
