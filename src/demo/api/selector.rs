//! Label selectors, the equality-based kind: `a=b,c!=d,e,!f`.

use serde_json::Value;

/// All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Is(String, String),
    IsNot(String, String),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// `None` for what is no selector of this kind (`in`, `notin`).
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Requirement::parse)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Whether an object's labels are selected.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|requirement| match requirement {
            Requirement::Is(key, value) => labels[key] == value.as_str(),
            Requirement::IsNot(key, value) => labels[key] != value.as_str(),
            Requirement::Exists(key) => !labels[key].is_null(),
            Requirement::Absent(key) => labels[key].is_null(),
        })
    }
}

impl Requirement {
    fn parse(text: &str) -> Option<Self> {
        let own = |text: &str| text.trim().to_owned();
        if let Some((key, value)) = text.split_once("!=") {
            return Some(Self::IsNot(own(key), own(value)));
        }
        if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return Some(Self::Is(own(key), own(value)));
        }
        if text.contains(char::is_whitespace) {
            return None;
        }
        Some(match text.strip_prefix('!') {
            Some(key) => Self::Absent(own(key)),
            None => Self::Exists(own(text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str) -> bool {
        let object = serde_json::json!({"metadata": {"labels": {"app": "cart", "tier": "back"}}});
        Selector::parse(selector).unwrap().matches(&object)
    }

    #[test]
    fn requirements_must_all_hold() {
        for selector in [
            "",
            "app=cart",
            "app==cart,tier=back",
            "app,!zone",
            "zone!=a",
        ] {
            assert!(selects(selector), "{selector}");
        }
        for selector in [
            "app=pay",
            "app=cart,tier=front",
            "zone",
            "!app",
            "app!=cart",
        ] {
            assert!(!selects(selector), "{selector}");
        }
    }

    #[test]
    fn an_object_without_labels_has_none() {
        let bare = serde_json::json!({"metadata": {}});
        assert!(!Selector::parse("app=cart").unwrap().matches(&bare));
        assert!(Selector::parse("!app").unwrap().matches(&bare));
    }

    #[test]
    fn set_based_selectors_are_not_understood() {
        assert_eq!(Selector::parse("app in (a, b)"), None);
    }
}
