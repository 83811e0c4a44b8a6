//! How a pod is to be spoken to: what it asks for by `appProtocol`, and what the flags say.

use crate::config::{TlsWhen, UpstreamProtocol};
use crate::endpoint::AppProtocol;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
}

/// How a pod is to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub over_tls: bool,
    /// `None`: the pod chooses, in the TLS handshake.
    pub spoken: Option<Spoken>,
}

impl Manner {
    /// By what the pod asks for, and by the flags, which win.
    pub fn of(asked: AppProtocol, when: TlsWhen, protocol: UpstreamProtocol) -> Self {
        let (tls_asked, asked) = match asked {
            AppProtocol::Http1 => (false, None),
            AppProtocol::Http2 => (false, Some(Spoken::Http2)),
            AppProtocol::Tls => (true, None),
            AppProtocol::TlsHttp1 => (true, Some(Spoken::Http1)),
            AppProtocol::TlsHttp2 => (true, Some(Spoken::Http2)),
        };
        let over_tls = match when {
            TlsWhen::Auto => tls_asked,
            TlsWhen::On => true,
            TlsWhen::Off => false,
        };
        let spoken = match protocol {
            UpstreamProtocol::Http1 => Some(Spoken::Http1),
            UpstreamProtocol::Http2 => Some(Spoken::Http2),
            UpstreamProtocol::Auto if over_tls => asked,
            UpstreamProtocol::Auto => asked.or(Some(Spoken::Http1)),
        };
        Self { over_tls, spoken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner(
        asked: AppProtocol,
        when: TlsWhen,
        protocol: UpstreamProtocol,
    ) -> (bool, Option<Spoken>) {
        let Manner { over_tls, spoken } = Manner::of(asked, when, protocol);
        (over_tls, spoken)
    }

    #[test]
    fn a_pod_gets_what_it_asks_for() {
        for (asked, expected) in [
            (AppProtocol::Http1, (false, Some(Spoken::Http1))),
            (AppProtocol::Http2, (false, Some(Spoken::Http2))),
            (AppProtocol::Tls, (true, None)),
            (AppProtocol::TlsHttp1, (true, Some(Spoken::Http1))),
            (AppProtocol::TlsHttp2, (true, Some(Spoken::Http2))),
        ] {
            assert_eq!(
                manner(asked, TlsWhen::Auto, UpstreamProtocol::Auto),
                expected
            );
        }
    }

    #[test]
    fn the_flags_win() {
        let all = [
            AppProtocol::Http1,
            AppProtocol::Http2,
            AppProtocol::Tls,
            AppProtocol::TlsHttp1,
            AppProtocol::TlsHttp2,
        ];
        for asked in all {
            for (when, over_tls) in [(TlsWhen::On, true), (TlsWhen::Off, false)] {
                for (protocol, spoken) in [
                    (UpstreamProtocol::Http1, Spoken::Http1),
                    (UpstreamProtocol::Http2, Spoken::Http2),
                ] {
                    assert_eq!(manner(asked, when, protocol), (over_tls, Some(spoken)));
                }
                assert_eq!(manner(asked, when, UpstreamProtocol::Auto).0, over_tls);
            }
        }
    }

    #[test]
    fn the_pod_chooses_only_where_it_can_say_so() {
        let auto = UpstreamProtocol::Auto;
        assert_eq!(manner(AppProtocol::Http1, TlsWhen::On, auto), (true, None));
        assert_eq!(
            manner(AppProtocol::Http2, TlsWhen::On, auto),
            (true, Some(Spoken::Http2))
        );
        assert_eq!(
            manner(AppProtocol::Tls, TlsWhen::Off, auto),
            (false, Some(Spoken::Http1))
        );
    }
}
