//! What the built program takes of memory, and says, while its API server does its worst.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use podrobin::demo::api::Api;
use serde_json::{Value, json};

use super::flaky::{Ask, Fault, Flaky};
use super::scene::{event, gone, service, slice};
use crate::support::log::field;
use crate::support::{Cluster, Sidecar, eventually, within};

const MIB: u64 = 1 << 20;

/// A sidecar that has listed two pods, and its API server.
async fn sidecar(
    script: impl Fn(Ask, usize) -> Fault + Send + Sync + 'static,
) -> (Sidecar, Cluster) {
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    api.apply_slice(&slice("cart-a", &["10.0.0.1", "10.0.0.2"]))
        .unwrap();
    let flaky = Flaky::new(api.clone(), script);
    let cluster = Cluster::behind(api, |listener| flaky.serve(listener)).await;
    let sidecar = Sidecar::of_services(&cluster, "shop/cart:http")
        .start()
        .await;
    (sidecar, cluster)
}

/// Waits until the first two pods are all that is known, for this reason; the most memory it took in MiB.
async fn peak(sidecar: &Sidecar, told: &str) -> u64 {
    let said = |line: &Value| line.to_string().contains(told);
    sidecar.log.until(told, 1, said).await;
    let state = sidecar.state().await;
    let listed = state["endpoints"].as_array().unwrap().len();
    assert_eq!(listed, 2, "the last list serves on");
    let peak = sidecar.peak() / MIB;
    println!("{told}: {peak} MiB");
    peak
}

/// Answers the second list so.
fn relist(fault: impl Fn() -> Fault + Send + Sync + 'static) -> impl Fn(Ask, usize) -> Fault {
    move |ask, nth| match (ask, nth) {
        (Ask::Watch, _) => gone(),
        (Ask::List, 1..) => fault(),
        _ => Fault::Pass,
    }
}

/// An array without end, in chunks of 64 KiB.
fn array_of(head: &'static str, element: &'static str) -> Fault {
    let chunk = Bytes::from(element.repeat((64 << 10) / element.len()));
    Fault::Flood(Arc::new(move |nth| match nth {
        0 => Bytes::from_static(head.as_bytes()),
        _ => chunk.clone(),
    }))
}

/// The same with an end, `bytes` long, so that it is read for what it says.
fn whole_array(head: &str, element: &str, tail: &str, bytes: usize) -> Bytes {
    let elements = vec![element; bytes / (element.len() + 1)].join(",");
    format!("{head}{elements}{tail}").into()
}

/// A page is in memory twice while it is made one text of.
#[tokio::test]
async fn a_page_without_end_takes_bounded_memory() {
    let page = || array_of("{\"items\":[", "{\"metadata\":{\"name\":\"a\"}},");
    let (sidecar, _cluster) = sidecar(relist(page)).await;
    let peak = peak(&sidecar, "a list with a page of more than 33554432 bytes").await;
    assert!(peak < 110, "{peak} MiB");
}

#[tokio::test]
async fn a_line_without_end_takes_bounded_memory() {
    let (sidecar, _cluster) = sidecar(|ask, _| match ask {
        Ask::Watch => array_of("{\"type\":\"ADDED\",\"object\":{\"endpoints\":[", "{},"),
        _ => Fault::Pass,
    })
    .await;
    let peak = peak(&sidecar, "a watch event of more than 4194304 bytes").await;
    assert!(peak < 60, "{peak} MiB");
}

/// Each entry is three bytes long, and some hundred in the API's own types.
#[tokio::test]
async fn hollow_entries_take_no_more_memory_than_their_text() {
    const HEAD: &str =
        r#"{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{},"endpoints":["#;
    let bytes = 2 << 20;
    let hollow = whole_array(HEAD, "{}", r#"],"ports":[{},{}]}]}"#, bytes);
    let (sidecar, _cluster) = sidecar(relist(move || Fault::Whole(hollow.clone()))).await;
    let peak = peak(&sidecar, "an EndpointSlice without a name").await;
    assert!(peak < 110, "{peak} MiB");
}

#[tokio::test]
async fn slices_without_end_take_bounded_memory() {
    let endpoints: Vec<Value> = (0..1_000)
        .map(|n| {
            let address = format!("10.0.{}.{}", n / 250, n % 250);
            json!({"addresses": [address], "zone": "z".repeat(1_000)})
        })
        .collect();
    let object = json!({
        "metadata": {"name": "NAME", "resourceVersion": "9"},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "other", "port": 80}],
    });
    let line = event("ADDED", &object);
    let (sidecar, _cluster) = sidecar(move |ask, _| match ask {
        Ask::Watch => {
            let line = line.clone();
            Fault::Flood(Arc::new(move |nth| {
                line.replace("NAME", &format!("new-{nth}")).into()
            }))
        }
        _ => Fault::Pass,
    })
    .await;
    let peak = peak(&sidecar, "its EndpointSlices take more than 67108864 bytes").await;
    assert!(peak < 160, "{peak} MiB");
}

/// The bound that a Service of any size stays under by half.
#[tokio::test]
async fn a_service_of_a_hundred_thousand_endpoints_works() {
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    let (sidecar, cluster) = {
        for n in 0..1_000 {
            let endpoints: Vec<Value> = (0..100).map(|pod| endpoint(n * 100 + pod)).collect();
            let mut slice = slice(&format!("cart-{n}"), &[]);
            slice.endpoints = serde_json::from_value(json!(endpoints)).unwrap();
            api.apply_slice(&slice).unwrap();
        }
        let served = api.clone();
        let cluster = Cluster::behind(api, |listener| served.serve(listener)).await;
        let sidecar = Sidecar::of_services(&cluster, "shop/cart:http")
            .start_unready()
            .await;
        (sidecar, cluster)
    };
    // In the log: the page of metrics has 100,000 pods too, and takes its time to be read.
    let listed = async |count: u32| {
        let said =
            |line: &Value| field(line, "message") == "endpoints changed" && line["ready"] == count;
        // A build without optimization takes its time.
        within(Duration::from_secs(60), "the list", async {
            while sidecar.log.matching(said).is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    };
    listed(100_000).await;
    let peak = sidecar.peak() / MIB;
    println!(
        "100,000 endpoints: {} MiB, at most {peak} MiB",
        sidecar.resident() / MIB
    );
    assert!(peak < 400, "{peak} MiB");
    cluster.api.delete_slice("shop", "cart-7");
    listed(99_900).await;
}

fn endpoint(number: usize) -> Value {
    let (high, middle, low) = (number / 62_500, number / 250 % 250, number % 250);
    let mut uid = String::new();
    write!(uid, "{number:08x}-5b1e-4d4e-9c57-0242ac120002").unwrap();
    json!({
        "addresses": [format!("10.{high}.{middle}.{low}")],
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "nodeName": format!("ip-10-0-{}-{}.eu-central-1.compute.internal", number % 200, number % 7),
        "zone": format!("eu-central-1{}", ["a", "b", "c"][number % 3]),
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": format!("cart-5d4f8c7b9-{number:05x}"), "uid": uid},
    })
}

/// However often it comes again, and whatever else changes.
#[tokio::test]
async fn what_is_left_out_is_said_once() {
    let bad = |name: &str, address: &str| {
        let mut slice = slice(name, &[address]);
        slice.ports.as_mut().unwrap()[0].port = Some(0);
        slice
    };
    let (sidecar, cluster) = sidecar(|_, _| Fault::Pass).await;
    for address in ["10.0.1.1", "10.0.1.2", "10.0.1.3"] {
        cluster.api.apply_slice(&bad("cart-b", address)).unwrap();
        cluster.api.apply_slice(&bad("cart-c", address)).unwrap();
        let good = slice("cart-z", &[address]);
        cluster.api.apply_slice(&good).unwrap();
        eventually(address, async || {
            let state = sidecar.state().await.to_string();
            state.contains(address).then_some(())
        })
        .await;
    }
    let said = |line: &Value| field(line, "message").contains("ignored port");
    let lines = sidecar.log.matching(said);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = field(&lines[0], "message");
    assert_eq!(
        line,
        "slice \"cart-b\": ignored port \"http\", as its number is not in 1 to 65535"
    );
    // It is gone, and so another one is the first.
    cluster.api.delete_slice("shop", "cart-b");
    sidecar.log.until("the next", 2, said).await;
}
