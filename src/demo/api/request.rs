//! What a request asks for: its path and parameters.

use std::time::Duration;

use super::answer::Failure;
use super::selector::Selector;
use super::store::Kind;

/// What a path names.
pub(super) struct Path {
    pub kind: Kind,
    pub namespace: String,
    /// One object, or all of them.
    pub name: Option<String>,
}

/// The parameters that matter here; others are passed over.
#[derive(Default)]
pub(super) struct Params {
    pub watch: bool,
    pub bookmarks: bool,
    pub version: Option<u64>,
    pub timeout: Option<Duration>,
    pub limit: Option<usize>,
    pub page: Option<String>,
    pub selector: Selector,
}

impl Path {
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (kind, rest) = match parts.as_slice() {
            ["apis", "discovery.k8s.io", "v1", rest @ ..] => (Kind::EndpointSlice, rest),
            ["api", "v1", rest @ ..] => (Kind::Service, rest),
            _ => return Err(Failure::no_such_path()),
        };
        let (namespace, name) = match rest {
            ["namespaces", namespace, plural] if *plural == kind.plural() => (namespace, None),
            ["namespaces", namespace, plural, name] if *plural == kind.plural() => {
                (namespace, Some((*name).to_owned()))
            }
            _ => return Err(Failure::no_such_path()),
        };
        Ok(Self {
            kind,
            namespace: (*namespace).to_owned(),
            name,
        })
    }
}

impl Params {
    pub(super) fn parse(query: &str) -> Result<Self, Failure> {
        let mut params = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decode(value);
            let flag = matches!(value.as_str(), "1" | "true");
            let number = || {
                let bad = |_| Failure::bad_request(format!("invalid {key}: {value:?}"));
                value.parse::<u64>().map_err(bad)
            };
            match key {
                "watch" => params.watch = flag,
                "allowWatchBookmarks" => params.bookmarks = flag,
                "resourceVersion" if !value.is_empty() => params.version = Some(number()?),
                "timeoutSeconds" => params.timeout = Some(Duration::from_secs(number()?)),
                "limit" => {
                    params.limit = usize::try_from(number()?).ok().filter(|limit| *limit > 0);
                }
                "continue" if !value.is_empty() => params.page = Some(value),
                "labelSelector" => {
                    params.selector = Selector::parse(&value).ok_or_else(|| {
                        Failure::bad_request(format!("unsupported {key}: {value:?}"))
                    })?;
                }
                _ => {}
            }
        }
        Ok(params)
    }
}

/// Undoes the escapes of a form value.
fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(*byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(decode("a%2Fb%3dc+d"), "a/b=c d");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn only_the_two_kinds_have_paths() {
        let named = |path| {
            Path::parse(path)
                .map(|path| (path.kind, path.namespace, path.name))
                .ok()
        };
        assert_eq!(
            named("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"),
            Some((Kind::EndpointSlice, "shop".to_owned(), None))
        );
        assert_eq!(
            named("/api/v1/namespaces/shop/services/cart"),
            Some((Kind::Service, "shop".to_owned(), Some("cart".to_owned())))
        );
        assert_eq!(named("/api/v1/namespaces/shop/pods"), None);
        assert_eq!(named("/"), None);
    }
}
