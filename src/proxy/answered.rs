//! What a pod made of a request, until it is passed on to the client or discarded.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Response, StatusCode, Version};
use http_body::Body;

use super::answer::close_after;
use super::attempt::Attempt;
use super::body::{ResponseBody, Upstreamed};
use super::discard::discard;
use super::pause::Pushback;
use super::replay::AttemptBody;
use super::tunnel::{Switched, switching};
use super::upgrade::Protocols;
use super::verdict::Verdict;
use super::{grpc, headers};
use crate::config::{Failures, GrpcCode};
use crate::pool::{Carrier, Incoming};

/// What a pod made of the request.
#[derive(Debug)]
pub(super) enum Answered {
    Response(Response<Incoming>, Carrier<AttemptBody>),
    Switched(Response<Incoming>, Switched),
}

impl Answered {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Response(response, _) | Self::Switched(response, _) => response.status(),
        }
    }

    pub fn headers(&self) -> &HeaderMap {
        match self {
            Self::Response(response, _) | Self::Switched(response, _) => response.headers(),
        }
    }

    /// What its head says about the pod.
    pub fn verdict(&self, failures: &Failures, is_call: bool) -> Verdict {
        let Self::Response(response, _) = self else {
            return Verdict::default();
        };
        let ended = response.body().is_end_stream();
        let (status, headers) = (response.status(), response.headers());
        Verdict::of_head(failures, status, headers, is_call, ended)
    }

    /// The code that a call's caller takes from its head, where that tells it.
    pub fn code(&self) -> Option<GrpcCode> {
        match self {
            Self::Response(response, _) => grpc::code(response.status(), response.headers()),
            Self::Switched(..) => None,
        }
    }

    /// What the pod said about being asked again.
    pub fn pushback(&self, is_call: bool) -> Pushback {
        match self {
            Self::Response(response, _) => {
                Pushback::read(response.headers(), is_call, SystemTime::now())
            }
            Self::Switched(..) => Pushback::Nothing,
        }
    }

    /// As the client of `version` gets it.
    pub fn pass_on(self, attempt: Attempt, version: Version) -> Response<ResponseBody> {
        match self {
            Self::Response(response, carrier) => respond(response, carrier, attempt, version),
            Self::Switched(response, switched) => switching(response, switched),
        }
    }

    /// Nobody's: another pod is asked.
    pub fn discard(self, attempt: Attempt) {
        if let Self::Response(response, carrier) = self {
            learn_idle_timeout(&response, &attempt);
            discard(response.into_body(), carrier, attempt);
        }
    }
}

fn learn_idle_timeout(response: &Response<Incoming>, attempt: &Attempt) {
    if let Some(seconds) = headers::keep_alive_timeout(response.headers()) {
        let said = Duration::from_secs(seconds);
        attempt.upstream().learn_idle_timeout(said);
    }
}

/// The client's response, with all that must live as long as it does.
fn respond(
    response: Response<Incoming>,
    mut carrier: Carrier<AttemptBody>,
    attempt: Attempt,
    version: Version,
) -> Response<ResponseBody> {
    learn_idle_timeout(&response, &attempt);
    let (mut head, incoming) = response.into_parts();
    // A pod that refuses for want of an upgrade has to name it (RFC 9110 section 15.5.22).
    let wanted = match (head.status, version) {
        (StatusCode::UPGRADE_REQUIRED, Version::HTTP_11) => Protocols::named(&head.headers),
        _ => None,
    };
    headers::for_client(&mut head.headers);
    if let Some(wanted) = wanted {
        wanted.put(&mut head.headers);
    }
    // The pod's version is that of its own hop.
    head.version = version;
    // hyper takes whatever is behind malformed trailers for more of them.
    let doubtful = attempt.body().is_unread() || attempt.body().has_trailers();
    let body = ResponseBody::upstream(Upstreamed {
        incoming,
        upload: carrier.detach_upload(),
        carrier: Some(carrier),
        attempt,
    });
    let mut response = Response::from_parts(head, body);
    if doubtful && version != Version::HTTP_2 {
        close_after(&mut response);
    }
    response
}
