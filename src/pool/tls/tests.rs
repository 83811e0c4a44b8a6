use std::sync::Arc;

use rustls::{InvalidMessage, OtherError, PeerIncompatible};

use super::*;

fn told(error: Error, name: &str, has_certificate: bool) -> String {
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    let name = ServerName::try_from(name).unwrap();
    tls_error(&error, &name, has_certificate).to_string()
}

#[test]
fn what_is_wrong_is_said_in_plain_words() {
    use AlertDescription as A;
    use CertificateError as C;
    let of_ca = io::Error::other("CaUsedAsEndEntity");
    for (error, expected) in [
        (C::UnknownIssuer.into(), "none of the CAs in --upstream-ca"),
        (C::Expired.into(), "has expired"),
        (C::NotValidYet.into(), "not valid yet"),
        (C::NotValidForName.into(), "not for cart.shop.svc"),
        (C::BadSignature.into(), "none of the CAs in --upstream-ca"),
        (C::InvalidPurpose.into(), "cannot be accepted"),
        (C::Other(OtherError(Arc::new(of_ca))).into(), "is a CA's"),
        (
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "does not speak TLS",
        ),
        (
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            "in common",
        ),
        (Error::AlertReceived(A::ProtocolVersion), "in common"),
        (
            Error::AlertReceived(A::NoApplicationProtocol),
            "--upstream-protocol",
        ),
        (
            Error::AlertReceived(A::CertificateRequired),
            "--upstream-client-key",
        ),
        (Error::AlertReceived(A::InternalError), "the alert 80"),
        (Error::DecryptError, "broke the TLS handshake"),
    ] {
        let said = told(error, "cart.shop.svc", false);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_alert_about_a_certificate_is_about_ours() {
    let alert = || Error::AlertReceived(AlertDescription::UnknownCA);
    assert!(told(alert(), "a", false).contains("wants a client certificate"));
    assert!(told(alert(), "a", true).contains("does not accept"));
}

#[test]
fn no_address_is_told() {
    let wrong = CertificateError::NotValidForNameContext {
        expected: ServerName::try_from("10.1.2.3").unwrap(),
        presented: vec!["10.4.5.6".to_owned()],
    };
    let said = told(wrong.into(), "10.1.2.3", false);
    assert!(!said.contains("10."), "{said}");
}

#[test]
fn only_what_is_about_our_certificate_is_taken_for_its_refusal() {
    let heard = |error: Error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        refusal_of_certificate(&error, true)
    };
    assert_eq!(
        heard(Error::AlertReceived(AlertDescription::CertificateExpired)),
        Some(Alert::CertificateRefused)
    );
    assert_eq!(
        heard(Error::AlertReceived(AlertDescription::InternalError)),
        None
    );
    assert_eq!(heard(Error::DecryptError), None);
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    assert_eq!(refusal_of_certificate(&reset, true), None);
}
