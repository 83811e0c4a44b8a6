//! Requests to answers, as kube-apiserver gives them.

use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{Method, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};

use super::request::{Params, Path};
use super::store::{Gone, Kind, Scope};
use super::watching;
use super::{Api, ApiBody};

/// Answers beyond this many bytes go out in chunks of it.
const CHUNK: usize = 2_048;

/// A failure, as the `Status` that tells it.
pub(super) struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: String,
}

pub(super) fn answer(api: &Api, method: &Method, uri: &Uri) -> Response<ApiBody> {
    read(api, method, uri).unwrap_or_else(|failure| json_response(failure.code, &failure.status()))
}

fn read(api: &Api, method: &Method, uri: &Uri) -> Result<Response<ApiBody>, Failure> {
    let path = Path::parse(uri.path())?;
    if method != Method::GET {
        return Err(Failure {
            code: StatusCode::METHOD_NOT_ALLOWED,
            reason: "MethodNotAllowed",
            message: "this API can only be read".to_owned(),
        });
    }
    if let Some(name) = path.name {
        return get(api, path.kind, &path.namespace, &name);
    }
    let params = Params::parse(uri.query().unwrap_or_default())?;
    let scope = Scope {
        kind: path.kind,
        namespace: path.namespace,
        selector: params.selector.clone(),
    };
    if params.watch {
        let events = watching::events(api, scope, &params)?;
        return Ok(respond(
            StatusCode::OK,
            StreamBody::new(events).boxed_unsync(),
        ));
    }
    list(api, &scope, &params)
}

fn get(api: &Api, kind: Kind, namespace: &str, name: &str) -> Result<Response<ApiBody>, Failure> {
    let object = api.store().get(kind, namespace, name);
    let object = object.ok_or_else(|| Failure {
        code: StatusCode::NOT_FOUND,
        reason: "NotFound",
        message: format!("{} \"{name}\" not found", kind.plural()),
    })?;
    Ok(json_response(StatusCode::OK, &with_kind(&object, kind)))
}

fn list(api: &Api, scope: &Scope, params: &Params) -> Result<Response<ApiBody>, Failure> {
    let store = api.store();
    let (version, after) = match params.page.as_deref() {
        None => (store.version(), None),
        Some(token) => {
            let (version, name) = token
                .split_once('/')
                .and_then(|(version, name)| Some((version.parse().ok()?, name)))
                .ok_or_else(|| Failure::bad_request("invalid continue token".to_owned()))?;
            // A further page of a list that has changed cannot be given: there is no copy of what was.
            match store.events(scope, version) {
                Ok(events) if events.is_empty() => (version, Some(name)),
                Ok(_) | Err(_) => return Err(Failure::page_expired()),
            }
        }
    };
    // As kube-apiserver: a list of any version at all (0) comes from its cache, whole.
    let limit = params
        .limit
        .filter(|_| params.version != Some(0))
        .unwrap_or(usize::MAX);
    let (items, more) = store.page(scope, after, limit);
    drop(store);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if more && let Some(last) = items.last() {
        let name = last["metadata"]["name"].as_str().unwrap_or_default();
        metadata["continue"] = json!(format!("{version}/{name}"));
    }
    let items: Vec<Value> = items.iter().map(|item| without_kind(item)).collect();
    let list = json!({
        "kind": format!("{}List", scope.kind.name()),
        "apiVersion": scope.kind.api_version(),
        "metadata": metadata,
        "items": items,
    });
    Ok(json_response(StatusCode::OK, &list))
}

/// An object that stands alone says what it is; an item of a list does not.
pub(super) fn with_kind(object: &Value, kind: Kind) -> Value {
    let mut object = object.clone();
    object["kind"] = json!(kind.name());
    object["apiVersion"] = json!(kind.api_version());
    object
}

fn without_kind(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

fn json_response(code: StatusCode, body: &Value) -> Response<ApiBody> {
    let body = body.to_string();
    let body = if body.len() > CHUNK {
        let frames = chunks(body.as_bytes()).into_iter().map(frame);
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    } else {
        Full::from(body).boxed_unsync()
    };
    respond(code, body)
}

fn respond(code: StatusCode, body: ApiBody) -> Response<ApiBody> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

pub(super) fn chunks(bytes: &[u8]) -> VecDeque<Bytes> {
    bytes.chunks(CHUNK).map(Bytes::copy_from_slice).collect()
}

pub(super) fn frame(bytes: Bytes) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(bytes))
}

impl Failure {
    pub(super) fn bad_request(message: String) -> Self {
        Self {
            code: StatusCode::BAD_REQUEST,
            reason: "BadRequest",
            message,
        }
    }

    pub(super) fn no_such_path() -> Self {
        Self {
            code: StatusCode::NOT_FOUND,
            reason: "NotFound",
            message: "the server could not find the requested resource".to_owned(),
        }
    }

    fn page_expired() -> Self {
        Self {
            code: StatusCode::GONE,
            reason: "Expired",
            message: "The provided continue parameter is too old".to_owned(),
        }
    }

    pub(super) fn version_expired(gone: &Gone, version: u64) -> Self {
        Self {
            code: StatusCode::GONE,
            reason: "Expired",
            message: format!("too old resource version: {version} ({})", gone.compacted),
        }
    }

    pub(super) fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        })
    }
}
