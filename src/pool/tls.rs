//! The TLS handshake with a pod, and in plain words what can go wrong with it.

use std::io;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};
use tokio_rustls::TlsConnector;

use super::ConnectError;
use super::pod_io::PodIo;
use super::transport::Transport;
use crate::upstream_tls::Terms;

/// The names of HTTP in the handshake (RFC 7301 section 6).
pub const HTTP1: &[u8] = b"http/1.1";
pub const HTTP2: &[u8] = b"h2";

/// Why there is no TLS with a pod. No text names an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("its certificate is signed by none of the CAs in --upstream-ca")]
    UnknownCa,
    #[error("its certificate has expired")]
    Expired,
    #[error("its certificate is not valid yet")]
    NotValidYet,
    #[error("its certificate is not for {0}, which --upstream-server-name can change")]
    OtherName(String),
    #[error("its certificate is a CA's, which is no pod's")]
    OfCa,
    #[error("its certificate cannot be accepted ({0})")]
    Unacceptable(String),
    #[error("it does not speak TLS")]
    NotTls,
    #[error("it has no version or cipher of TLS in common with podrobin (TLS 1.2 and 1.3)")]
    NothingInCommon,
    #[error(transparent)]
    Alert(#[from] Alert),
    #[error("it ended the connection in the TLS handshake")]
    Ended,
    #[error("it broke the TLS handshake")]
    Broken,
}

/// How a pod said that it will not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alert {
    #[error("it wants a client certificate: give --upstream-client-cert and --upstream-client-key")]
    CertificateWanted,
    #[error("it does not accept the certificate of --upstream-client-cert")]
    CertificateRefused,
    #[error("it speaks no HTTP version that was offered (--upstream-protocol, or its appProtocol)")]
    NoProtocol,
    #[error("it ended the TLS handshake with the alert {0}")]
    Other(u8),
}

/// Makes TLS of a fresh connection, over which the pod then speaks one of `offered`. Whether that is HTTP/2.
pub async fn handshake(
    io: PodIo,
    terms: Terms,
    offered: &[&[u8]],
) -> Result<(Transport, bool), ConnectError> {
    let has_certificate = terms.config.client_auth_cert_resolver.has_certs();
    let connector = TlsConnector::from(terms.config);
    let offered = offered.iter().map(|name| name.to_vec()).collect();
    let stream = connector
        .with_alpn(offered)
        .connect(terms.server_name.clone(), io)
        .await
        .map_err(|error| tls_error(&error, &terms.server_name, has_certificate))
        .map_err(ConnectError::Tls)?;
    // A pod that says nothing speaks HTTP/1.1, as any server did before the question could be asked.
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok((Transport::tls(stream, has_certificate), is_http2))
}

/// Why a handshake with a pod of that name failed.
pub fn tls_error(error: &io::Error, name: &ServerName<'_>, has_certificate: bool) -> TlsError {
    let Some(error) = of_library(error) else {
        return TlsError::Ended;
    };
    match error {
        Error::InvalidCertificate(error) => of_certificate(error, name),
        Error::InvalidMessage(_) => TlsError::NotTls,
        Error::PeerIncompatible(_) => TlsError::NothingInCommon,
        Error::AlertReceived(AlertDescription::ProtocolVersion) => TlsError::NothingInCommon,
        Error::AlertReceived(alert) => read(*alert, has_certificate).into(),
        _ => TlsError::Broken,
    }
}

fn of_certificate(error: &CertificateError, name: &ServerName<'_>) -> TlsError {
    match error {
        // A bad signature is that of another CA of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::UnknownCa,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsError::NotValidYet
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsError::OtherName(match name {
                ServerName::DnsName(name) => name.as_ref().to_owned(),
                _ => "the expected address".to_owned(),
            })
        }
        CertificateError::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
            TlsError::OfCa
        }
        error => TlsError::Unacceptable(error.to_string()),
    }
}

fn of_library(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// What a pod's alert is about. An alert says what was wrong with a certificate, but not whose: there are two.
fn read(alert: AlertDescription, has_certificate: bool) -> Alert {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => Alert::CertificateWanted,
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied => match has_certificate {
            true => Alert::CertificateRefused,
            false => Alert::CertificateWanted,
        },
        A::NoApplicationProtocol => Alert::NoProtocol,
        other => Alert::Other(other.into()),
    }
}

/// The alert of a pod that refuses our certificate after the handshake, if that is what broke a read.
pub fn refusal_of_certificate(error: &io::Error, has_certificate: bool) -> Option<Alert> {
    match of_library(error)? {
        Error::AlertReceived(alert) => match read(*alert, has_certificate) {
            alert @ (Alert::CertificateWanted | Alert::CertificateRefused) => Some(alert),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
