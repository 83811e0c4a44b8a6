//! The in-memory Kubernetes API, with a kubeconfig that leads the built binary to it.

use std::path::PathBuf;

use podrobin::demo::api::Api;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::slices::Entry;

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    pub api: Api,
    directory: TempDir,
    serving: JoinHandle<()>,
}

impl Cluster {
    /// An API that holds nothing yet.
    pub async fn start() -> Self {
        let api = Api::new();
        Self::behind(api.clone(), |listener| api.serve(listener)).await
    }

    /// An API that `serve` answers for, as it pleases.
    pub async fn behind<F>(api: Api, serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let cluster = Self {
            serving: tokio::spawn(serve(listener)),
            directory: tempfile::tempdir().unwrap(),
            api,
        };
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": server}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
            "current-context": "here",
        });
        std::fs::write(cluster.kubeconfig(), kubeconfig.to_string()).unwrap();
        cluster
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A Service of namespace `shop` with one port, `http`.
    pub fn add_service(&self, name: &str) {
        let service = json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        });
        let service = serde_json::from_value(service).unwrap();
        self.api.apply_service(&service).unwrap();
    }

    pub fn add(&self, entry: impl Into<Entry>) {
        self.api.apply_slice(&entry.into().slice()).unwrap();
    }

    pub fn remove(&self, entry: impl Into<Entry>) {
        let name = entry.into().slice().metadata.name.unwrap();
        assert!(self.api.delete_slice("shop", &name), "{name}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
