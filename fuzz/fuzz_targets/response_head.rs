//! Bytes of a response's head -> what may pass, what the client gets of it, and how long the connection is kept.
#![no_main]

use http::header;
use invariants::heads;
use libfuzzer_sys::fuzz_target;
use podrobin::proxy::headers;

fuzz_target!(|bytes: &[u8]| {
    let Some(mut fields) = heads::response(bytes) else {
        return;
    };
    let before = fields.clone();
    let raw = heads::raw_fields(bytes);

    let codings = heads::values(&raw, "transfer-encoding");
    let plain = match codings.as_slice() {
        [] => true,
        [coding] => coding.eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    assert_eq!(headers::is_plainly_coded(&fields), plain);

    if let Some(seconds) = headers::keep_alive_timeout(&fields) {
        let said = heads::values(&raw, "keep-alive").join(&b","[..]);
        let said = String::from_utf8_lossy(&said).to_ascii_lowercase();
        assert!(said.contains("timeout"));
        assert!(said.contains(&seconds.to_string()), "{seconds} of {said:?}");
    }

    headers::for_client(&mut fields);
    heads::check_hop(&fields);
    assert!(!fields.contains_key(header::TRANSFER_ENCODING));
    assert!(!fields.contains_key(header::TE));
    if !codings.is_empty() {
        assert!(!fields.contains_key(header::CONTENT_LENGTH));
    }
    assert_eq!(heads::lines(&fields), heads::kept(&before, false));
    let once = fields.clone();
    headers::for_client(&mut fields);
    assert_eq!(fields, once);
});
