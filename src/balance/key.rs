//! What of a request is hashed.

use std::net::IpAddr;

use http::header::{COOKIE, HeaderMap};
use http::request::Parts;

use crate::config::HashKey;
use crate::stable_hash::stable_hash;

/// The key of a request that came from `source`; `None` where it has none, or an empty one.
pub fn key(what: &HashKey, head: &Parts, source: IpAddr) -> Option<u64> {
    let hash = |bytes: &[u8]| (!bytes.is_empty()).then(|| stable_hash(bytes, 0));
    match what {
        HashKey::Header(name) => hash(head.headers.get(name)?.as_bytes()),
        HashKey::Cookie(name) => hash(cookie(&head.headers, name.as_bytes())?),
        HashKey::Path => hash(head.uri.path().as_bytes()),
        HashKey::Source => match source.to_canonical() {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        },
    }
}

/// The first cookie of this name, as it is written.
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..equals] == *name).then(|| &pair[equals + 1..])
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let request = headers
            .iter()
            .fold(Request::get("/cart/7?page=2"), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.body(()).unwrap().into_parts().0
    }

    fn key_of(what: &str, head: &Parts, source: &str) -> Option<u64> {
        let policy: crate::config::Policy = format!("hash:{what}").parse().unwrap();
        let crate::config::Policy::Hash(what) = policy else {
            panic!("{policy}");
        };
        key(&what, head, source.parse().unwrap())
    }

    #[test]
    fn each_key_is_read_from_its_place() {
        let head = head(&[
            ("x-user", "ada"),
            ("cookie", "a=1; session=s7 ;b="),
            ("cookie", "c=3"),
        ]);
        let of = |what| key_of(what, &head, "10.0.0.7");
        let hash = |text: &str| Some(stable_hash(text.as_bytes(), 0));
        assert_eq!(of("header=X-User"), hash("ada"));
        assert_eq!(of("cookie=session"), hash("s7"));
        assert_eq!(of("cookie=c"), hash("3"));
        assert_eq!(of("path"), hash("/cart/7"));
        assert!(of("source").is_some());
        assert_eq!(of("source"), key_of("source", &head, "::ffff:10.0.0.7"));
        assert_ne!(of("source"), key_of("source", &head, "10.0.0.8"));
        for none in [
            "header=x-other",
            "cookie=Session",
            "cookie=b",
            "cookie=sess",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
