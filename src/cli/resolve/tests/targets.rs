//! Which source is on which listener, under which policy.

use super::*;
use crate::config::Source;

fn listeners(flags: &[&str]) -> Vec<(String, String)> {
    let config = resolve(flags).unwrap();
    config
        .targets
        .iter()
        .map(|target| (target.listen.to_string(), target.name()))
        .collect()
}

fn pair(listen: &str, name: &str) -> (String, String) {
    (listen.to_owned(), name.to_owned())
}

#[test]
fn each_service_has_a_listener_of_its_own() {
    let expected = [
        pair("127.0.0.1:8000", "shop/cart:http"),
        pair("127.0.0.1:9001", "pay/api:80"),
        pair("[::1]:9002", "shop/stock"),
    ];
    let list = "cart:http,9001=pay/api:80,[::1]:9002=stock";
    assert_eq!(listeners(&["--service", list]), expected);
    let repeated = [
        "--service",
        "cart:http",
        "--service",
        "9001=pay/api:80",
        "--service",
        "[::1]:9002=stock",
    ];
    assert_eq!(listeners(&repeated), expected);
}

#[test]
fn sources_of_different_kinds_go_side_by_side() {
    let config = resolve(&[
        "--service",
        "9001=cart",
        "--endpoint-slices",
        "/etc/s.yaml#pay/api:80",
    ])
    .unwrap();
    assert_eq!(config.targets.len(), 2);
    assert_eq!(
        config.targets[1].source,
        Source::File {
            path: "/etc/s.yaml".into(),
            service: Some(FileSelector {
                namespace: Some("pay".to_owned()),
                name: "api".to_owned(),
                port: PortRef::Number(80),
            }),
        }
    );
    let config = resolve_in(None, &["--endpoint", "10.0.0.1:80,10.0.0.2:80"]).unwrap();
    assert_eq!(config.targets[0].name(), "fixed");
}

#[test]
fn any_free_port_may_be_asked_for_more_than_once() {
    let list = "127.0.0.1:0=cart,127.0.0.1:0=pay";
    let config = resolve(&["--service", list, "--admin", "127.0.0.1:0"]).unwrap();
    assert_eq!(config.targets.len(), 2);
}

#[test]
fn a_policy_may_be_for_one_service() {
    let flags = [
        "--service",
        "1=cart,2=n/pay:http,3=n/pay:grpc,4=mail",
        "--policy",
        "shop/cart=hash:header=tenant,n/pay=weighted:orca:blackout=1m:update=2s,n/pay:grpc=least-request:choices=3",
        "--policy",
        "peak-ewma",
    ];
    let policies: Vec<String> = resolve(&flags)
        .unwrap()
        .targets
        .iter()
        .map(|target| target.policy.to_string())
        .collect();
    let wanted = [
        "hash:header=tenant",
        "weighted:orca:blackout=1m:expiry=3m:error-penalty=1:update=2s",
        "least-request:choices=3",
        "peak-ewma:decay=10s",
    ];
    assert_eq!(policies, wanted);
    let config = resolve(&["--service", "1=cart,2=pay", "--policy", "pay=random"]).unwrap();
    assert_eq!(config.targets[0].policy, Policy::RoundRobin);
    assert_eq!(config.targets[1].policy, Policy::Random);
}

#[test]
fn ipv4_and_ipv6_loopback_do_not_overlap() {
    assert!(resolve(&["--service", "[::1]:8000=cart,127.0.0.1:8000=pay"]).is_ok());
    assert!(resolve(&["--service", "0.0.0.0:8000=cart,[::1]:8000=pay"]).is_ok());
}

#[test]
fn weights_are_for_the_policy_that_heeds_them_and_0_is_for_all() {
    for flags in [
        &["--endpoint", "10.0.0.1:80=3", "--policy", "weighted"][..],
        &["--endpoint", "10.0.0.1:80=0,10.0.0.2:80"],
        &["--endpoint", "10.0.0.1:80=1"],
    ] {
        assert!(resolve(flags).is_ok(), "{flags:?}");
    }
}
