use futures::FutureExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";

fn slice(name: &str) -> EndpointSlice {
    let slice = json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "cart"}},
        "addressType": "IPv4",
        "endpoints": [],
    });
    serde_json::from_value(slice).unwrap()
}

fn api(names: &[&str]) -> Api {
    let api = Api::new();
    for name in names {
        api.apply_slice(&slice(name)).unwrap();
    }
    api
}

fn get(api: &Api, path_and_query: &str) -> Response<ApiBody> {
    api.answer(&Request::get(path_and_query).body(()).unwrap())
}

async fn json_of(response: Response<ApiBody>) -> Value {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

async fn list(api: &Api, query: &str) -> Value {
    json_of(get(api, &format!("{SLICES}?{query}"))).await
}

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// A watch, read line by line.
struct Lines {
    body: ApiBody,
    read: Vec<u8>,
}

impl Lines {
    fn open(api: &Api, query: &str) -> Self {
        let response = get(api, &format!("{SLICES}?watch=true&{query}"));
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            read: Vec::new(),
        }
    }

    /// The next event; `None` where the watch has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.read.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// Nothing is there to be read.
    fn is_silent(&mut self) -> bool {
        self.read.is_empty() && self.body.frame().now_or_never().is_none()
    }
}

#[tokio::test]
async fn items_of_a_list_have_no_kind_and_empty_lists_are_null() {
    let list = list(&api(&["a"]), "").await;
    assert_eq!(list["kind"], "EndpointSliceList");
    assert_eq!(list["metadata"]["resourceVersion"], "2");
    let item = &list["items"][0];
    assert_eq!(item.get("kind"), None);
    assert_eq!(item.get("endpoints"), Some(&Value::Null));
    assert_eq!(item.get("ports"), Some(&Value::Null));
}

#[tokio::test]
async fn pages_follow_each_other_and_expire() {
    let api = api(&["a", "b", "c"]);
    let first = list(&api, "limit=2").await;
    assert_eq!(names(&first), ["a", "b"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let page = format!("{SLICES}?limit=2&continue={}", token.replace('/', "%2F"));
    let second = json_of(get(&api, &page)).await;
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second["metadata"].get("continue"), None);
    assert!(api.delete_slice("shop", "a"));
    assert_eq!(get(&api, &page).status(), 410);
}

#[tokio::test]
async fn any_version_will_do_and_then_there_are_no_pages() {
    let list = list(&api(&["a", "b", "c"]), "limit=1&resourceVersion=0").await;
    assert_eq!(names(&list), ["a", "b", "c"]);
}

#[tokio::test]
async fn labels_select() {
    let api = api(&["a"]);
    assert_eq!(names(&list(&api, "labelSelector=app%3Dcart").await), ["a"]);
    assert_eq!(names(&list(&api, "labelSelector=app%3Dpay").await), [""; 0]);
    let bad = get(&api, &format!("{SLICES}?labelSelector=app+in+%28a%29"));
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn a_watch_goes_on_from_its_version() {
    let api = api(&["a"]);
    let mut watch = Lines::open(&api, "resourceVersion=2");
    assert!(watch.is_silent());
    api.apply_slice(&slice("b")).unwrap();
    api.apply_slice(&slice("b")).unwrap();
    api.delete_slice("shop", "b");
    for (kind, version) in [("ADDED", "3"), ("MODIFIED", "4"), ("DELETED", "5")] {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], kind);
        assert_eq!(event["object"]["kind"], "EndpointSlice");
        assert_eq!(event["object"]["metadata"]["resourceVersion"], version);
    }
    assert!(watch.is_silent());
}

#[tokio::test]
async fn a_watch_without_a_version_tells_all_there_is_first() {
    let api = api(&["a", "b"]);
    let mut watch = Lines::open(&api, "allowWatchBookmarks=true");
    assert_eq!(
        watch.next().await.unwrap()["object"]["metadata"]["name"],
        "a"
    );
    assert_eq!(
        watch.next().await.unwrap()["object"]["metadata"]["name"],
        "b"
    );
    let end = watch.next().await.unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    let annotations = &end["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_bear_a_version_and_nothing_else_and_one_comes_before_the_end() {
    let api = api(&["a"]);
    let mut watch = Lines::open(
        &api,
        "resourceVersion=2&allowWatchBookmarks=true&timeoutSeconds=90",
    );
    let began = tokio::time::Instant::now();
    for second in [60, 88] {
        let bookmark = watch.next().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), second);
        assert_eq!(bookmark["type"], "BOOKMARK");
        assert_eq!(
            bookmark["object"]["metadata"],
            json!({"resourceVersion": "2"})
        );
    }
    assert_eq!(watch.next().await, None);
    assert_eq!(began.elapsed().as_secs(), 90);
}

#[tokio::test]
async fn a_version_that_is_compacted_is_refused_within_the_watch() {
    let api = api(&["a", "b"]);
    api.compact();
    let mut watch = Lines::open(&api, "resourceVersion=2");
    let error = watch.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    assert_eq!(error["object"]["code"], 410);
    assert_eq!(
        error["object"]["message"],
        "too old resource version: 2 (3)"
    );
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_version_from_the_future_is_silence() {
    let api = api(&["a"]);
    let mut watch = Lines::open(&api, "resourceVersion=4");
    assert!(watch.is_silent());
    api.apply_slice(&slice("b")).unwrap();
    api.apply_slice(&slice("c")).unwrap();
    assert!(watch.is_silent());
    api.apply_slice(&slice("d")).unwrap();
    assert_eq!(
        watch.next().await.unwrap()["object"]["metadata"]["name"],
        "d"
    );
}

#[tokio::test]
async fn objects_are_read_by_name() {
    let api = api(&["a"]);
    let found = json_of(get(&api, &format!("{SLICES}/a"))).await;
    assert_eq!(found["kind"], "EndpointSlice");
    let missing = get(&api, "/api/v1/namespaces/shop/services/cart");
    assert_eq!(missing.status(), 404);
    let missing = json_of(missing).await;
    assert_eq!(missing["message"], "services \"cart\" not found");
}

#[tokio::test]
async fn nothing_can_be_written() {
    let request = Request::delete(format!("{SLICES}/a")).body(()).unwrap();
    assert_eq!(api(&["a"]).answer(&request).status(), 405);
}

#[test]
fn an_object_without_a_name_is_rejected() {
    let mut nameless = slice("a");
    nameless.metadata.name = None;
    assert_eq!(
        Api::new().apply_slice(&nameless),
        Err(Rejected::Incomplete("name"))
    );
}
