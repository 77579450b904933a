//! Templates of set identifiers: one text for a side whose records have another set identifier at every name.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::identifiers::SetIdentifier;
use super::sides::{Side, Sides};
use crate::text::deserialize_from_str;

/// The set identifier of a side, or a template for it: a `*` stands for any text that is not empty, so that it matches
/// other set identifiers at other names. `*-blue` is `app-blue` at one name and `api-blue` at another. A text with no
/// `*`, or with several, is no template and matches only itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SetIdentifierTemplate(String);

impl SetIdentifierTemplate {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of `*` in it.
    pub fn stars(&self) -> usize {
        self.0.matches('*').count()
    }

    /// The set identifier with the same text.
    pub fn literal(&self) -> SetIdentifier {
        SetIdentifier(self.0.clone())
    }

    /// Whether `identifier` has the same text, or one that the `*` permits.
    pub fn matches(&self, identifier: &SetIdentifier) -> bool {
        self.0 == identifier.as_str() || self.star_in(identifier).is_some()
    }

    /// The bytes of `identifier` that the `*` stands for; none if this is no template, or does not match.
    pub(crate) fn star_in(&self, identifier: &SetIdentifier) -> Option<Range<usize>> {
        let (before, after) = self.parts()?;
        let text = identifier.as_str().strip_prefix(before)?;
        let text = text.strip_suffix(after)?;
        (!text.is_empty()).then(|| before.len()..before.len() + text.len())
    }

    /// The template of `identifier` in which a `*` stands for these bytes of it; none if they are no part of it.
    pub(crate) fn with_star_at(identifier: &SetIdentifier, star: Range<usize>) -> Option<Self> {
        let text = identifier.as_str();
        let (before, after) = (text.get(..star.start)?, text.get(star.end..)?);
        let template = Self(format!("{before}*{after}"));
        (!star.is_empty() && template.stars() == 1).then_some(template)
    }

    /// The set identifier in which the `*` stands for `text`.
    fn with_text(&self, text: &str) -> Result<SetIdentifier, String> {
        match self.parts() {
            Some((before, after)) => format!("{before}{text}{after}").parse(),
            None => Ok(self.literal()),
        }
    }

    fn parts(&self) -> Option<(&str, &str)> {
        self.0.split_once('*').filter(|_| self.stars() == 1)
    }
}

impl From<&SetIdentifier> for SetIdentifierTemplate {
    fn from(identifier: &SetIdentifier) -> Self {
        Self(identifier.as_str().to_owned())
    }
}

impl fmt::Display for SetIdentifierTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SetIdentifierTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A `*` stands for one character at least, so a template is no longer than what it matches.
        Ok(Self::from(&text.parse()?))
    }
}

deserialize_from_str!(SetIdentifierTemplate);

/// What the `*` of each side stands for at each name of a migration, in the order of the names. In this form the set
/// identifiers of thousands of names fit into the 256 KiB of a state's input.
///
/// In JSON `{"both": ["app", "api"]}` if the texts of both sides are the same ones, otherwise `from` and `to` with the
/// texts of one side each, and `{}` if both sides have the same set identifier at every name.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateTexts {
    #[serde(skip_serializing_if = "Option::is_none")]
    both: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Vec<String>>,
}

impl TemplateTexts {
    /// The texts with which `templates` become these set identifiers, which match them.
    pub fn new(
        templates: Sides<&SetIdentifierTemplate>,
        identifiers: &[Sides<&SetIdentifier>],
    ) -> Self {
        let texts = |side: Side| -> Option<Vec<String>> {
            let template = templates.of(side);
            let text = |identifier: &SetIdentifier| {
                let star = template.star_in(identifier)?;
                identifier.as_str().get(star).map(str::to_owned)
            };
            let mut of_side = identifiers.iter().map(|sides| *sides.of(side));
            let is_template = of_side.any(|it| it.as_str() != template.as_str());
            let of_side = identifiers.iter().map(|sides| text(sides.of(side)));
            of_side.collect::<Option<_>>().filter(|_| is_template)
        };
        match (texts(Side::From), texts(Side::To)) {
            (Some(from), Some(to)) if from == to => Self {
                both: Some(from),
                ..Self::default()
            },
            (from, to) => Self {
                both: None,
                from,
                to,
            },
        }
    }

    /// Whether both sides have the same set identifier at every name.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The set identifiers of `names` names, in their order.
    ///
    /// # Errors
    /// If there are not as many texts, or one gives no set identifier.
    pub fn identifiers(
        &self,
        templates: Sides<&SetIdentifierTemplate>,
        names: usize,
    ) -> Result<Vec<Sides<SetIdentifier>>, String> {
        let of_side = |texts: &Option<Vec<String>>, side: Side| {
            let template = templates.of(side);
            match texts.as_ref().or(self.both.as_ref()) {
                None => Ok(vec![template.literal(); names]),
                Some(texts) if texts.len() == names => {
                    texts.iter().map(|text| template.with_text(text)).collect()
                }
                Some(texts) => Err(format!(
                    "expected a text for each of {names} names, found {}",
                    texts.len()
                )),
            }
        };
        let from = of_side(&self.from, Side::From)?;
        let to = of_side(&self.to, Side::To)?;
        let sides = from.into_iter().zip(to);
        Ok(sides.map(|(from, to)| Sides { from, to }).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What the `*` of a template stands for in a set identifier.
    #[track_caller]
    fn check(template: &str, identifier: &str, expect: Option<&str>) {
        let template: SetIdentifierTemplate = template.parse().unwrap();
        let star = template.star_in(&identifier.parse().unwrap());
        assert_eq!(star.map(|star| &identifier[star]), expect);
    }

    #[test]
    fn a_star_stands_for_any_text_that_is_not_empty() {
        check("*-blue", "app-team-blue", Some("app-team"));
        check("*-blue", "-blue", None);
        check("*-blue", "blue", None);
        check("*-blue", "app-blue-2", None);
        check("*-blue", "app-Blue", None);
        check("eks-*", "eks-blue", Some("blue"));
        check("eks-*-blue", "eks-app-blue", Some("app"));
        // The two parts may not overlap.
        check("eks-*-blue", "eks-blue", None);
        check("*", "blue", Some("blue"));
        check("*-blue", "*-blue", Some("*"));
        check("blue", "blue", None);
        check("*-*", "a-b", None);
    }

    fn texts(templates: [&str; 2], identifiers: &[[&str; 2]]) -> (TemplateTexts, bool) {
        let parse = |text: &str| text.parse::<SetIdentifier>().unwrap();
        let [from, to] = templates.map(|text| text.parse::<SetIdentifierTemplate>().unwrap());
        let templates = Sides {
            from: &from,
            to: &to,
        };
        let identifiers: Vec<_> = identifiers
            .iter()
            .map(|[from, to]| Sides {
                from: parse(from),
                to: parse(to),
            })
            .collect();
        let borrowed: Vec<_> = identifiers.iter().map(Sides::as_ref).collect();
        let texts = TemplateTexts::new(templates, &borrowed);
        let read = texts.identifiers(templates, identifiers.len());
        (texts, read == Ok(identifiers))
    }

    #[test]
    fn the_texts_of_templates_give_the_set_identifiers_again() {
        for (templates, identifiers, json) in [
            (["blue", "green"], [["blue", "green"]; 2], json!({})),
            // A `*` that stands for itself.
            (["*-blue", "green"], [["*-blue", "green"]; 2], json!({})),
            (
                ["*-blue", "*-green"],
                [["a-blue", "a-green"], ["b-blue", "b-green"]],
                json!({"both": ["a", "b"]}),
            ),
            (
                ["*-blue", "*-green"],
                [["a-blue", "a-green"], ["b-blue", "c-green"]],
                json!({"from": ["a", "b"], "to": ["a", "c"]}),
            ),
            (
                ["blue", "*-green"],
                [["blue", "a-green"], ["blue", "b-green"]],
                json!({"to": ["a", "b"]}),
            ),
        ] {
            let (texts, is_read) = texts(templates, &identifiers);
            assert!(is_read, "{texts:?}");
            assert_eq!(serde_json::to_value(&texts).unwrap(), json);
            assert_eq!(
                serde_json::from_value::<TemplateTexts>(json).unwrap(),
                texts
            );
        }
    }

    #[test]
    fn texts_that_are_not_those_of_the_names_are_refused() {
        let template: SetIdentifierTemplate = "*-blue".parse().unwrap();
        let templates = Sides {
            from: &template,
            to: &template,
        };
        for (texts, problem) in [
            (
                json!({"both": ["a"]}),
                "expected a text for each of 2 names, found 1",
            ),
            (
                json!({"from": ["a", "x".repeat(128)]}),
                "expected a set identifier of 1 to 128 characters, found 133 characters",
            ),
        ] {
            let texts: TemplateTexts = serde_json::from_value(texts).unwrap();
            assert_eq!(texts.identifiers(templates, 2), Err(problem.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn a_template_is_found_again_by_the_bytes_of_its_star(
            before in "[^*]{0,5}",
            text in ".{1,9}",
            after in "[^*]{0,5}",
        ) {
            let template: SetIdentifierTemplate = format!("{before}*{after}").parse().unwrap();
            let identifier: SetIdentifier = format!("{before}{text}{after}").parse().unwrap();
            let star = template.star_in(&identifier).unwrap();
            prop_assert_eq!(&identifier.as_str()[star.clone()], &text);
            prop_assert_eq!(SetIdentifierTemplate::with_star_at(&identifier, star), Some(template.clone()));
            prop_assert_eq!(template.with_text(&text), Ok(identifier));
        }
    }
}
