//! Capture: what a pod gets so that a Service's own names lead to the sidecar.

use super::*;

#[test]
fn a_captured_service_is_at_its_own_names_and_port() {
    let pod = injected(pod(&[
        ("service", "cart:80,pay/pay:8080,cart:9090"),
        ("capture", "true"),
    ]));
    assert_eq!(
        value(&pod, SIDECAR, "PODROBIN_SERVICE").unwrap(),
        "127.0.1.1:80=cart:80,127.0.1.2:8080=pay/pay:8080,127.0.1.1:9090=cart:9090"
    );
    assert_eq!(
        pod["spec"]["hostAliases"],
        json!([
            {"ip": "127.0.1.1", "hostnames": ["cart", "cart.shop", "cart.shop.svc", "cart.shop.svc.cluster.local"]},
            // Of another namespace: `pay` alone is what this pod's namespace calls so.
            {"ip": "127.0.1.2", "hostnames": ["pay.pay", "pay.pay.svc", "pay.pay.svc.cluster.local"]},
        ])
    );
    assert_eq!(
        pod["spec"]["securityContext"],
        json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]})
    );
    assert_eq!(
        value(&pod, APP, "PODROBIN_CART_URL").unwrap(),
        "http://127.0.1.1:80"
    );
}

#[test]
fn ports_from_1024_need_no_leave() {
    for annotations in [
        [("service", "cart:1024"), ("capture", "true")],
        [("service", "cart"), ("listen", "1024")],
    ] {
        assert!(
            injected(pod(&annotations))["spec"]
                .get("securityContext")
                .is_none()
        );
    }
    let low = injected(pod(&[("service", "cart"), ("listen", "1023")]));
    assert!(low["spec"]["securityContext"]["sysctls"].is_array());
}

#[test]
fn leave_that_the_pod_gives_itself_stays_with_it() {
    for own in ["0", "80"] {
        let mut before = pod(&[("service", "cart:80"), ("capture", "true")]);
        before["spec"]["securityContext"] = json!({"sysctls": [
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": own},
        ]});
        let mut pod = injected(before.clone());
        assert_eq!(
            pod["spec"]["securityContext"],
            before["spec"]["securityContext"]
        );
        assert!(uninject_pod(&mut pod));
        assert_eq!(pod, before);
    }
}

#[test]
fn the_namespace_is_the_pods_own_or_else_the_doors() {
    let capture = [("service", "cart:8080"), ("capture", "true")];
    let mut own = pod(&capture);
    inject_pod(&mut own, Some("other"), &Installation::default()).unwrap();
    assert_eq!(own["spec"]["hostAliases"][0]["hostnames"][1], "cart.shop");
    let mut without = pod(&capture);
    without["metadata"]
        .as_object_mut()
        .unwrap()
        .shift_remove("namespace");
    inject_pod(&mut without, Some("other"), &Installation::default()).unwrap();
    assert_eq!(
        without["spec"]["hostAliases"][0]["hostnames"][1],
        "cart.other"
    );
}

#[test]
fn the_clusters_domain_can_be_another() {
    let installation = Installation {
        cluster_domain: "corp.example".to_owned(),
        ..Installation::default()
    };
    let mut pod = pod(&[("service", "cart:8080"), ("capture", "true")]);
    inject_pod(&mut pod, None, &installation).unwrap();
    assert_eq!(
        pod["spec"]["hostAliases"][0]["hostnames"][3],
        "cart.shop.svc.corp.example"
    );
}
