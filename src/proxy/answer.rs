//! Our own answers: what a client is told when no pod's response can be passed on.

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::body::ResponseBody;
use super::grpc;
use crate::error::{Kind, Row};

/// Marks a response as ours, with the flag of the error table.
pub const X_PODROBIN_ERROR: HeaderName = HeaderName::from_static("x-podrobin-error");

/// A failure as it is told to the client: the row of the table, and a sentence without addresses or secrets.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: Kind,
    pub reason: String,
}

/// What a request says of the form of its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// It is a gRPC call.
    pub is_call: bool,
    is_head: bool,
    has_body: bool,
}

impl Asked {
    pub fn by<B: Body>(request: &Request<B>) -> Self {
        Self {
            is_call: grpc::is_call(request.version(), request.headers()),
            is_head: request.method() == Method::HEAD,
            has_body: !request.body().is_end_stream(),
        }
    }
}

impl Failure {
    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }

    /// The sentence; `list_age` says how old the endpoint list is where that may be the cause.
    fn sentence(&self, list_age: Option<&str>) -> String {
        let flag = self.kind.row().flag.as_str();
        let age = list_age.map(|age| format!("; {age}")).unwrap_or_default();
        format!("podrobin {flag}: {}{age}", self.reason)
    }

    /// The response in the form that was asked for.
    pub(super) fn answer(self, asked: Asked, list_age: Option<&str>) -> Response<ResponseBody> {
        if asked.is_call {
            return self.into_grpc(list_age);
        }
        let mut response = self.into_response(list_age);
        if asked.is_head {
            response.body_mut().leave_out();
        }
        if asked.has_body {
            close_after(&mut response);
        }
        response
    }

    /// The response as a gRPC client reads it: a head that is all there is ("trailers-only"), with the table's code.
    fn into_grpc(self, list_age: Option<&str>) -> Response<ResponseBody> {
        let Row { code, flag, .. } = self.kind.row();
        let mut response = Response::new(ResponseBody::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, grpc::CONTENT_TYPE);
        headers.insert(grpc::STATUS, HeaderValue::from(code as u16));
        headers.insert(grpc::MESSAGE, grpc::message(&self.sentence(list_age)));
        headers.insert(X_PODROBIN_ERROR, HeaderValue::from_static(flag.as_str()));
        response
    }

    /// The response as any other client reads it.
    fn into_response(self, list_age: Option<&str>) -> Response<ResponseBody> {
        let Row { status, flag, .. } = self.kind.row();
        let text = self.sentence(list_age) + "\n";
        let length = HeaderValue::from(text.len());
        let mut response = Response::new(ResponseBody::text(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(X_PODROBIN_ERROR, HeaderValue::from_static(flag.as_str()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if cannot_go_on(self.kind) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What the client still sends after this response is nobody's: the connection ends with it.
pub(super) fn close_after(response: &mut Response<ResponseBody>) {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// After these the rest of the connection can't be trusted to be a request.
fn cannot_go_on(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::BadRequest | Kind::UnsupportedCoding | Kind::MethodNotAllowed
    )
}

/// A whole response as bytes, for a connection that is turned away before it is read.
pub fn raw(kind: Kind, reason: &str) -> String {
    let Row { status, flag, .. } = kind.row();
    let flag = flag.as_str();
    let body = format!("podrobin {flag}: {reason}\n");
    let retry = if status == StatusCode::SERVICE_UNAVAILABLE {
        "retry-after: 1\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{retry}x-podrobin-error: {flag}\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
