//! The two sides of a migration.

use std::fmt;
use std::str::FromStr;

/// One of the two sides.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Side {
    From,
    To,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::From => "from",
            Self::To => "to",
        })
    }
}

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "from" => Ok(Self::From),
            "to" => Ok(Self::To),
            _ => Err(format!("expected from or to, found {text:?}")),
        }
    }
}

/// One value for each side of a migration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sides<T> {
    /// Of the side that serves when the migration begins.
    pub from: T,
    /// Of the side that serves when the migration has completed.
    pub to: T,
}

impl<T> Sides<T> {
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::From => &self.from,
            Side::To => &self.to,
        }
    }

    pub fn as_ref(&self) -> Sides<&T> {
        Sides {
            from: &self.from,
            to: &self.to,
        }
    }

    /// Both, `from` first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.from, &self.to].into_iter()
    }
}
