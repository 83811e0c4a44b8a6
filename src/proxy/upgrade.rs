//! Which upgrades pass: what a client may ask for, and what a pod may switch to (RFC 9110 section 7.8).

use http::header::{self, HeaderMap, HeaderValue};
use http::{Version, request};

use super::headers::tokens;
use crate::admission::Permit;

/// A client's wish to switch, with its place among the tunnels there may be.
#[derive(Debug)]
pub struct Upgrade {
    pub offer: Protocols,
    pub place: Permit,
}

/// Protocols of an `Upgrade` header: at least one, in their order, without those that do not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocols(HeaderValue);

/// Names of HTTP itself: in a tunnel its requests would pass by the balancing and by every rule for requests ("h2c
/// smuggling"); `TLS` is HTTP within TLS (RFC 2817).
const HTTP_ITSELF: [&[u8]; 4] = [b"h2c", b"h2", b"http", b"tls"];

impl Protocols {
    /// What a request asks to switch to. HTTP/1.0 has no upgrades, HTTP/2 none of this kind; and a request with a body
    /// is answered in HTTP, as its body would have to be through before the switch.
    pub fn asked(head: &request::Parts, has_no_body: bool) -> Option<Self> {
        let asks = head.version == Version::HTTP_11
            && has_no_body
            && tokens(&head.headers, &header::CONNECTION)
                .any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        asks.then(|| Self::named(&head.headers)).flatten()
    }

    /// What the header names, where any of it passes.
    pub fn named(headers: &HeaderMap) -> Option<Self> {
        let named: Vec<&[u8]> = tokens(headers, &header::UPGRADE)
            .filter(|protocol| passes(protocol))
            .collect();
        if named.is_empty() {
            return None;
        }
        HeaderValue::from_bytes(&named.join(&b", "[..]))
            .ok()
            .map(Self)
    }

    /// Whether a pod that switches does so to what was offered, and says to what.
    pub fn allow(&self, switched: &HeaderMap) -> bool {
        let offered = |protocol: &[u8]| {
            let mut offer = self.0.as_bytes().split(|byte| *byte == b',');
            offer.any(|offered| offered.trim_ascii().eq_ignore_ascii_case(protocol))
        };
        let mut chosen = tokens(switched, &header::UPGRADE).peekable();
        chosen.peek().is_some() && chosen.all(offered)
    }

    /// Says so on the next hop.
    pub fn put(&self, headers: &mut HeaderMap) {
        let options = if headers.contains_key(header::TE) {
            "te, upgrade"
        } else {
            "upgrade"
        };
        headers.insert(header::CONNECTION, HeaderValue::from_static(options));
        headers.insert(header::UPGRADE, self.0.clone());
    }
}

/// `protocol-name ["/" protocol-version]`, and not HTTP itself.
fn passes(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |byte| *byte == b'/');
    let name = parts.next().unwrap_or_default();
    let version = parts.next();
    is_token(name)
        && version.is_none_or(is_token)
        && !HTTP_ITSELF
            .iter()
            .any(|http| name.eq_ignore_ascii_case(http))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn head(version: Version, lines: &[(&'static str, &str)]) -> request::Parts {
        let mut request = Request::builder().version(version);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn asked(lines: &[(&'static str, &str)]) -> Option<String> {
        let asked = Protocols::asked(&head(Version::HTTP_11, lines), true)?;
        Some(asked.0.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_fields_over_http_1_1_without_a_body() {
        let both = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        assert_eq!(asked(&both).as_deref(), Some("websocket"));
        assert_eq!(asked(&both[..1]), None);
        assert_eq!(asked(&both[1..]), None);
        assert_eq!(Protocols::asked(&head(Version::HTTP_10, &both), true), None);
        assert_eq!(Protocols::asked(&head(Version::HTTP_2, &both), true), None);
        assert_eq!(
            Protocols::asked(&head(Version::HTTP_11, &both), false),
            None
        );
    }

    #[test]
    fn protocols_that_do_not_pass_are_left_out_of_what_is_asked() {
        for (upgrade, passes) in [
            ("websocket", Some("websocket")),
            ("WebSocket", Some("WebSocket")),
            ("a/1,b", Some("a/1, b")),
            (" , websocket,, ", Some("websocket")),
            ("h2c", None),
            ("H2C", None),
            ("h2c/1", None),
            ("h2", None),
            ("HTTP/2.0", None),
            ("TLS/1.2", None),
            ("h2c, websocket", Some("websocket")),
            ("websocket,\th2c", Some("websocket")),
            ("h2cx", Some("h2cx")),
            ("web socket", None),
            ("h2c;q=1", None),
            ("a/", None),
            ("/1", None),
            ("a/1/2", None),
            ("\"websocket\"", None),
            ("", None),
        ] {
            let asked = asked(&[("connection", "upgrade"), ("upgrade", upgrade)]);
            assert_eq!(asked.as_deref(), passes, "{upgrade:?}");
        }
        let lines = [
            ("connection", "x"),
            ("connection", "HTTP2-Settings, UPGRADE"),
            ("upgrade", "a"),
            ("upgrade", "h2c"),
            ("upgrade", "b"),
        ];
        assert_eq!(asked(&lines).as_deref(), Some("a, b"));
    }

    #[test]
    fn a_pod_may_switch_to_what_was_offered_alone() {
        let offer = Protocols(HeaderValue::from_static("websocket, a/1"));
        for (upgrade, allowed) in [
            (&["websocket"][..], true),
            (&["WebSocket"], true),
            (&["a/1"], true),
            (&["a/1, websocket"], true),
            (&["a/1", "websocket"], true),
            (&["a"], false),
            (&["a/2"], false),
            (&["h2c"], false),
            (&["websocket, h2c"], false),
            (&["websocket", "x"], false),
            (&[""], false),
            (&[], false),
        ] {
            let lines: Vec<_> = upgrade.iter().map(|value| ("upgrade", *value)).collect();
            let switched = head(Version::HTTP_11, &lines).headers;
            assert_eq!(offer.allow(&switched), allowed, "{upgrade:?}");
        }
    }

    #[test]
    fn the_next_hop_is_told_beside_its_trailers() {
        let offer = Protocols(HeaderValue::from_static("websocket"));
        let mut headers = head(
            Version::HTTP_11,
            &[("connection", "te"), ("te", "trailers")],
        )
        .headers;
        offer.put(&mut headers);
        assert_eq!(headers[header::CONNECTION], "te, upgrade");
        assert_eq!(headers[header::UPGRADE], "websocket");
        headers.remove(header::TE);
        offer.put(&mut headers);
        assert_eq!(headers[header::CONNECTION], "upgrade");
    }

    proptest! {
        /// However it is written, HTTP is never asked of a pod, nor taken for what was asked.
        #[test]
        fn http_itself_never_passes(
            name in "(?i)(h2c|h2|http|tls)",
            version in "(/[a-z0-9.]{0,4})?",
            before in "[a-z ,\t/]{0,12}",
            after in "([ \t]*,[a-z ,\t/]{0,12})?",
        ) {
            let value = format!("{before},{name}{version}{after}");
            if let Some(asked) = asked(&[("connection", "upgrade"), ("upgrade", &value)]) {
                let names = asked.split(", ").map(|one| one.split('/').next().unwrap());
                for asked in names {
                    prop_assert!(!asked.eq_ignore_ascii_case(&name), "{value:?} asks {asked:?}");
                }
            }
        }
    }
}
