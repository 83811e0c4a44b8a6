//! AdmissionReview, version admission.k8s.io/v1: what the API server asks, and the form of an answer.
//!
//! kube's types of the same read the object as a typed one, and what a type does not know is lost; a patch has to be
//! made from the very JSON that it will be applied to.

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Why a body is no question. Never with anything of the body: a pod has secrets in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the body is not JSON, at line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    #[error(
        "the body is not an AdmissionReview: a field is missing or of another type, at line {line}, column {column}"
    )]
    Type { line: usize, column: usize },
    #[error("the body ends too early")]
    Short,
    #[error(
        "the body is not an AdmissionReview of admission.k8s.io/v1, which is all this webhook speaks: set admissionReviewVersions to [v1]"
    )]
    OtherVersion,
    #[error("the AdmissionReview has no request")]
    NoRequest,
    #[error("the request has no uid")]
    NoUid,
    #[error("the request is to create a Pod, and has no object")]
    NoObject,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

/// What is asked. What is not needed is not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub uid: String,
    pub kind: GroupVersionKind,
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Of a pod made by a controller only the request tells it, not the object.
    #[serde(default)]
    pub namespace: Option<String>,
    pub operation: String,
    #[serde(default)]
    pub object: Option<Value>,
    #[serde(default)]
    pub dry_run: Option<bool>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct GroupVersionKind {
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub version: String,
    pub kind: String,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    pub uid: String,
    pub allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Why something is not allowed; whoever wanted it sees the message.
#[derive(Debug, Serialize)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response,
}

impl Request {
    /// # Errors
    /// A body that is no question of this version.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let question: Question = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        if question.api_version != API_VERSION || question.kind != KIND {
            return Err(Malformed::OtherVersion);
        }
        let request = question.request.ok_or(Malformed::NoRequest)?;
        if request.uid.is_empty() {
            return Err(Malformed::NoUid);
        }
        Ok(request)
    }

    /// Whether a pod is to be made.
    pub fn creates_pod(&self) -> bool {
        let kind = &self.kind;
        let is_pod = kind.group.is_empty() && kind.version == "v1" && kind.kind == "Pod";
        let of_subresource = self
            .sub_resource
            .as_deref()
            .is_some_and(|name| !name.is_empty());
        is_pod && !of_subresource && self.operation == "CREATE"
    }
}

impl Response {
    /// # Errors
    /// None that is known of: all of it is text.
    pub fn write(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Answer {
            api_version: API_VERSION,
            kind: KIND,
            response: self,
        })
    }
}

fn malformed(error: &serde_json::Error) -> Malformed {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => Malformed::Type { line, column },
        Category::Eof => Malformed::Short,
        Category::Syntax | Category::Io => Malformed::Syntax { line, column },
    }
}
