//! JSON to values, with the field's path in each error, and values to JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Error;
use crate::error::{InvalidInput, Unavailable};
use crate::text::shortened;

/// The maximum length of a field's path in a message, in characters.
const LONGEST_PATH: usize = 200;
/// The maximum length of the description of a problem, in characters.
const LONGEST_PROBLEM: usize = 1_500;

/// # Errors
/// [`InvalidInput::Field`] with the path of the field, what was expected and what was found.
pub fn from_json<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        // Both can quote the input, such as the name of an unknown field.
        let path = shortened(&error.path().to_string(), LONGEST_PATH);
        let problem = shortened(&error.into_inner().to_string(), LONGEST_PROBLEM);
        let path = if path == "." {
            "input".to_owned()
        } else {
            path
        };
        Error::from(InvalidInput::Field { path, problem })
    })
}

/// For `#[serde(deserialize_with)]` of a struct that people write: only an object. A derived `Deserialize` would also
/// take a list, whose items are the fields in their order.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

/// The answer of a function as JSON.
pub fn to_json<T: Serialize>(answer: &T) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(|error| {
        Error::from(Unavailable::Unwritable {
            problem: error.to_string(),
        })
    })
}
