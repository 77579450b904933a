//! The two sides of a migration.

/// One value for each side of a migration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sides<T> {
    /// Of the side that serves when the migration begins.
    pub from: T,
    /// Of the side that serves when the migration has completed.
    pub to: T,
}

impl<T> Sides<T> {
    /// Both, `from` first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.from, &self.to].into_iter()
    }
}
