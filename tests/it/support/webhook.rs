//! `podrobin webhook` as a process, and an API server's side of it.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::{Authority, Leaf, Mount};
use super::sidecar::Plan;
use super::{Sidecar, soon};

/// The name of its Service.
pub const NAME: &str = "podrobin-webhook.podrobin.svc";

/// Killed when it is dropped.
#[derive(Debug)]
pub struct Webhook {
    pub process: Sidecar,
    /// Its certificate's files, where no scene changes them.
    _mount: Option<Mount>,
}

/// A connection kept open, as API servers do.
#[derive(Debug)]
pub struct Caller {
    sender: SendRequest<Full<Bytes>>,
    /// What the webhook has shown.
    pub certificate: Vec<u8>,
}

/// A Secret of type kubernetes.io/tls.
pub fn secret(leaf: &Leaf) -> Vec<(&'static str, String)> {
    vec![("tls.crt", leaf.pem()), ("tls.key", leaf.key_pem())]
}

impl Webhook {
    pub fn plan(mount: &Mount) -> Plan {
        let path = |name: &str| mount.path(name).display().to_string();
        Plan::webhook()
            .with("--tls-cert", &path("tls.crt"))
            .with("--tls-key", &path("tls.key"))
            .with_variable("PODROBIN_WEBHOOK_LINGER", "0")
    }

    pub async fn start(plan: Plan) -> Self {
        Self {
            process: plan.start().await,
            _mount: None,
        }
    }

    /// With a certificate of its own and nothing else to say.
    pub async fn simple(authority: &Authority) -> Self {
        let mount = Self::mount(authority);
        let plan = Self::plan(&mount);
        Self {
            _mount: Some(mount),
            ..Self::start(plan).await
        }
    }

    /// A Secret with a certificate for its name.
    pub fn mount(authority: &Authority) -> Mount {
        Mount::of(&secret(&authority.issue(NAME)))
    }

    pub async fn try_tls(&self, authority: &Authority) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.process.proxy).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        soon("a handshake", connecting).await
    }

    pub async fn tls(&self, authority: &Authority) -> TlsStream<TcpStream> {
        self.try_tls(authority).await.unwrap()
    }

    pub async fn caller(&self, authority: &Authority) -> Caller {
        let stream = self.tls(authority).await;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Caller {
            sender,
            certificate,
        }
    }

    pub async fn metric(&self, name: &str) -> f64 {
        self.process.metric(name, &[]).await
    }

    pub async fn reviews(&self, outcome: &str) -> f64 {
        let label = format!("outcome=\"{outcome}\"");
        self.process
            .metric("podrobin_webhook_reviews_total", &[&label])
            .await
    }
}

impl Caller {
    /// Status and body of the answer to these bytes.
    pub async fn try_post(&mut self, body: impl Into<Bytes>) -> hyper::Result<(StatusCode, Bytes)> {
        let request = Request::post("/mutate?timeout=5s")
            .header("host", NAME)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        soon("an answer", async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, body))
        })
        .await
    }

    pub async fn post(&mut self, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
        self.try_post(body).await.unwrap()
    }

    /// The `response` of the answer to a review of this pod.
    pub async fn review(&mut self, pod: &Value) -> Value {
        let (status, body) = self.post(review(pod).to_string()).await;
        assert_eq!(status, 200, "{body:?}");
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], "u-1");
        answer["response"].clone()
    }

    /// Whether the webhook has closed the connection.
    pub async fn closed(&mut self) {
        soon("the webhook's close", async {
            while self.sender.ready().await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// What an API server asks about a new pod in namespace `shop`.
pub fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "somebody", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// A pod made by a ReplicaSet, with these annotations.
pub fn pod(annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<_, _> = annotations
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-7d9f-", "annotations": annotations},
        "spec": {
            "containers": [{
                "name": "app",
                "image": "app:1",
                "env": [{"name": "PASSWORD", "value": "s3cret"}],
            }],
        },
    })
}

/// The pod after the patch of a response.
pub fn patched(pod: &Value, response: &Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let patch = STANDARD.decode(response["patch"].as_str().unwrap());
    let patch: json_patch::Patch = serde_json::from_slice(&patch.unwrap()).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}
