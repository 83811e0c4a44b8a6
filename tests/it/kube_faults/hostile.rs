//! Answers meant to do harm: too large in ways of their own, nested too deep, or never the same.

use std::sync::Arc;

use bytes::Bytes;
use podrobin::config::PortRef;
use podrobin::demo::api::Api;
use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;
use serde_json::{Value, json};

use super::flaky::{Ask, Fault};
use super::scene::{LIMIT, Scene, event, gone, http, quick, service, slice};

const TWO: [&str; 2] = ["10.0.0.1", "10.0.0.2"];

/// A slice as a list holds it.
fn item(name: &str, fields: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","resourceVersion":"9"}},"addressType":"IPv4",
        "ports":[{{"name":"http","port":80}}]{fields}}}"#
    )
}

fn list(items: &str) -> Bytes {
    format!(r#"{{"metadata":{{"resourceVersion":"9"}},"items":[{items}]}}"#).into()
}

/// Two pods, then new lists that are answered with `fault` until it has been told.
async fn relisted(tuning: Tuning, fault: impl Fn() -> Fault + Send + Sync + 'static) -> Scene {
    let mut scene = Scene::with_two_pods(tuning, move |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => gone(),
        (Ask::List, 1..) => fault(),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, TWO);
    scene
}

/// The status says `text`, the list stays, and all is well once the API server is.
async fn survived(scene: &mut Scene, text: &str) {
    let status = scene.error(text).await;
    assert_eq!(status.phase, Phase::Stale);
    scene.flaky.play(|_, _| Fault::Pass);
    scene.phase(Phase::Live).await;
    scene.nothing_new();
    scene
        .api
        .apply_slice(&slice("cart-b", &["10.0.0.3"]))
        .unwrap();
    scene.until(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]).await;
}

#[tokio::test]
async fn a_page_without_end_is_refused_and_the_last_list_serves_on() {
    let tuning = Tuning {
        page_bytes: 100_000,
        // Its size is to be the reason, not its time.
        body: LIMIT,
        ..quick()
    };
    let mut scene = relisted(tuning, || {
        Fault::Flood(Arc::new(|nth| match nth {
            0 => Bytes::from_static(b"{\"items\":["),
            _ => Bytes::from_static(b"{\"metadata\":{\"name\":\"a\"}},"),
        }))
    })
    .await;
    survived(&mut scene, "a list with a page of more than 100000 bytes").await;
}

#[tokio::test]
async fn pages_that_are_small_but_never_end_are_refused() {
    let tuning = Tuning {
        list_bytes: 10_000,
        page_bytes: 1_000,
        ..quick()
    };
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    let page = |ask, _| match ask {
        Ask::List | Ask::Page => Fault::Whole(
            format!(
                r#"{{"metadata":{{"resourceVersion":"9","continue":"more"}},"items":[{}]}}"#,
                item("a", "")
            )
            .into(),
        ),
        _ => Fault::Pass,
    };
    let mut scene = Scene::start(api, http(), tuning, page).await;
    scene.error("a list of more than 10000 bytes").await;
    scene.nothing_new();
}

#[tokio::test]
async fn a_list_nested_too_deep_is_survived() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let fields = format!(r#","endpoints":{deep}"#);
    let mut scene = relisted(quick(), move || {
        Fault::Whole(list(&item("cart-a", &fields)))
    })
    .await;
    survived(&mut scene, "cannot be read").await;
}

/// What does not matter is not looked into.
#[tokio::test]
async fn nesting_where_nothing_is_read_does_no_harm() {
    let deep = format!(
        r#","endpoints":[{{"addresses":["10.0.0.7"],"deprecatedTopology":{}{}}}]"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let listed = item("cart-a", &deep);
    let watched: Value = serde_json::from_str(&item("cart-b", "")).unwrap();
    let line = event("ADDED", &watched).replace(
        r#""metadata":{"#,
        &format!(
            r#""metadata":{{"managedFields":[{{"fieldsV1":{}1{}}}],"#,
            r#"{"f":"#.repeat(100_000),
            "}".repeat(100_000)
        ),
    );
    let mut scene = Scene::with_two_pods(quick(), move |ask, _| match ask {
        Ask::List => Fault::Whole(list(&listed)),
        Ask::Watch => Fault::Hang(line.clone().into()),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.7"]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn a_list_that_is_no_text_is_survived() {
    let mut scene = relisted(quick(), || {
        Fault::Whole(Bytes::from_static(
            b"{\"metadata\":{},\"items\":[],\"x\":\"\xff\xfe\"}",
        ))
    })
    .await;
    survived(&mut scene, "cannot be read").await;
}

/// Each is small, and none is ever deleted.
#[tokio::test]
async fn slices_without_end_are_refused_and_the_last_list_serves_on() {
    let tuning = Tuning {
        slice_bytes: 20_000,
        ..quick()
    };
    let mut scene = Scene::with_two_pods(tuning, move |ask, _| match ask {
        Ask::Watch => Fault::Flood(Arc::new(|nth| {
            let object: Value = serde_json::from_str(&item(&format!("new-{nth}"), "")).unwrap();
            event("ADDED", &object).into()
        })),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, TWO);
    survived(&mut scene, "its EndpointSlices take more than 20000 bytes").await;
    assert!(scene.flaky.count(Ask::List) > 1);
}

#[tokio::test]
async fn a_list_of_slices_that_take_too_much_memory_is_refused() {
    let tuning = Tuning {
        slice_bytes: 20_000,
        ..quick()
    };
    let mut scene = relisted(tuning, || {
        let items: Vec<String> = (0..500).map(|n| item(&format!("new-{n}"), "")).collect();
        Fault::Whole(list(&items.join(",")))
    })
    .await;
    survived(&mut scene, "its EndpointSlices take more than 20000 bytes").await;
}

#[tokio::test]
async fn a_service_without_end_is_refused() {
    let tuning = Tuning {
        object_bytes: 10_000,
        ..quick()
    };
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    let mut scene = Scene::start(api, PortRef::Number(80), tuning, |ask, _| match ask {
        Ask::Service => Fault::Flood(Arc::new(|nth| match nth {
            0 => Bytes::from_static(b"{\"spec\":{\"ports\":["),
            _ => Bytes::from_static(b"{\"port\":80},"),
        })),
        _ => Fault::Pass,
    })
    .await;
    scene.error("an object of more than 10000 bytes").await;
    scene.flaky.play(|_, _| Fault::Pass);
    assert_eq!(scene.addresses().await, [""; 0]);
}

/// The status says the most; what the body says is told as far as it was read.
#[tokio::test]
async fn a_refusal_without_end_is_told_as_the_refusal_it_is() {
    let mut scene = Scene::with_two_pods(quick(), |ask, _| match ask {
        Ask::List => Fault::FloodWith(403, Arc::new(|_| "no! ".repeat(1_000).into())),
        _ => Fault::Pass,
    })
    .await;
    scene.error("may not get,list,watch endpointslices").await;
    scene.flaky.play(|_, _| Fault::Pass);
    assert_eq!(scene.addresses().await, TWO);
}

#[tokio::test]
async fn false_endpoints_and_ports_are_left_out_and_the_others_used() {
    let fields = r#","endpoints":[{"addresses":["0.0.0.0"]},{"addresses":["::"]},{"addresses":["224.0.0.1"]},
        {"addresses":["255.255.255.255"]},{"addresses":["169.254.169.254"]},{"addresses":[]},{},
        {"addresses":["10.0.0.5"]},{"addresses":["10.0.0.5"]}]"#;
    let bad_port = |number: &str| {
        format!(
            r#"{{"metadata":{{"name":"bad{number}"}},"addressType":"IPv4",
            "ports":[{{"name":"http","port":{number}}}],"endpoints":[{{"addresses":["10.0.0.6"]}}]}}"#
        )
    };
    let items = ["0", "-1", "65536", "99999999999999999999"]
        .map(bad_port)
        .join(",");
    let items = format!("{},{items}", item("good", fields));
    let mut scene = Scene::with_two_pods(quick(), move |ask, _| match ask {
        Ask::List => Fault::Whole(list(&items)),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.5"]);
}
