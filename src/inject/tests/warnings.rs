//! What is told of pods whose names do not lead where their authors may think.

use proptest::prelude::*;

use super::*;

fn told(pod: &Value) -> Vec<String> {
    let mut injected = pod.clone();
    inject(&mut injected).unwrap();
    let told = warnings(&injected, None, &Installation::default());
    // Whether it is asked before or after, and however often.
    assert_eq!(warnings(pod, None, &Installation::default()), told);
    told
}

fn capturing(app: &Value) -> Value {
    let mut pod = pod(&[("service", "cart:80,pay/pay:8080"), ("capture", "true")]);
    pod["spec"]["containers"] = json!([app]);
    pod
}

#[test]
fn a_name_with_a_dot_at_its_end_is_told_with_its_place_and_the_mend() {
    let pod = capturing(&json!({
        "name": "app",
        "env": [
            {"name": "CART_URL", "value": "http://cart.shop.svc.cluster.local.:80/v1"},
            {"name": "OTHER", "value": "cart.shop.svc.cluster.local"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "command": ["/app", "--to=pay.pay.svc.cluster.local."],
        "args": ["Cart.shop.svc.", "cart.shop."],
    }));
    assert_eq!(
        told(&pod),
        [
            "container app has cart.shop.svc.cluster.local. in variable CART_URL: leave the dot at its end away, or use \
             PODROBIN_CART_URL, as with it most resolvers ask DNS and go past the sidecar",
            "container app has pay.pay.svc.cluster.local. in its command: leave the dot at its end away, or use \
             PODROBIN_PAY_URL, as with it most resolvers ask DNS and go past the sidecar",
            "container app has Cart.shop.svc. in its args: leave the dot at its end away, or use PODROBIN_CART_URL, as \
             with it most resolvers ask DNS and go past the sidecar",
        ]
    );
}

#[test]
fn a_name_that_is_part_of_another_or_of_a_sentence_is_not_told() {
    for text in [
        "cart.shop.svc.cluster.local",
        "cart.shop.svc.cluster.local.example",
        "cart.shop.svc.cluster.local..",
        "cart.shop.svc.cluster.local._",
        "my-cart.shop.svc.cluster.local.",
        "_grpc._tcp.cart.shop.svc.cluster.local.",
        "äcart.shop.svc.cluster.local.",
        "cart.other.svc.cluster.local.",
        "pay.shop.svc.cluster.local.",
        "Put it into your cart. And pay.",
        "",
    ] {
        let pod = capturing(&json!({"name": "app", "args": [text]}));
        assert_eq!(told(&pod), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn only_capture_puts_names_in_the_hosts_file() {
    let app = json!({"name": "app", "args": ["cart.shop.svc.cluster.local."]});
    assert_eq!(told(&capturing(&app)).len(), 1);
    for annotations in [
        &[("service", "cart:80")][..],
        &[("service", "cart:80"), ("inject", "false")],
        &[],
    ] {
        let mut pod = pod(annotations);
        pod["spec"]["containers"] = json!([app]);
        assert_eq!(told(&pod), Vec::<String>::new(), "{annotations:?}");
    }
    // No pod with a sidecar.
    let mut refused = capturing(&app);
    refused["metadata"]["annotations"]["podrobin.io/policy"] = json!("fair");
    assert_eq!(warnings(&refused, None, &Installation::default()).len(), 0);
}

#[test]
fn the_variable_is_named_only_where_it_leads_to_that_very_service() {
    let mut pod = pod(&[("service", "cart:80,pay/cart:80"), ("capture", "true")]);
    pod["spec"]["containers"][0]["args"] = json!(["cart.pay.svc.cluster.local."]);
    let told = told(&pod);
    assert_eq!(told.len(), 1);
    assert!(!told[0].contains("PODROBIN_CART_URL"), "{told:?}");
}

#[test]
fn init_containers_are_told_of_where_the_sidecar_is_there_before_them() {
    let mut pod = capturing(&json!({"name": "app"}));
    pod["spec"]["initContainers"] =
        json!([{"name": "migrate", "args": ["cart.shop.svc.cluster.local."]}]);
    assert!(
        told(&pod)[0]
            .starts_with("container migrate has cart.shop.svc.cluster.local. in its args: ")
    );
    // There DNS is what they need.
    pod["metadata"]["annotations"]["podrobin.io/sidecar"] = json!("plain");
    assert_eq!(told(&pod), Vec::<String>::new());
    pod["spec"]["initContainers"][0]["args"] = json!(["http://cart.shop.svc.cluster.local/"]);
    assert_eq!(
        told(&pod),
        [
            "init container migrate has cart.shop.svc.cluster.local in its args, which leads to the sidecar, and a plain \
             one is not there yet: use podrobin.io/sidecar: \"native\", or let a container call it"
        ]
    );
    pod["metadata"]["annotations"]["podrobin.io/sidecar"] = json!("native");
    assert_eq!(told(&pod), Vec::<String>::new());
}

#[test]
fn many_warnings_and_long_ones_are_bounded_and_on_one_line() {
    let variables: Vec<Value> = (0..100)
        .map(|n| json!({"name": format!("V{n}\n{}", "x".repeat(1000)), "value": "cart.shop."}))
        .collect();
    let told = told(&capturing(&json!({"name": "app", "env": variables})));
    assert_eq!(told.len(), 10);
    assert!(
        told.iter()
            .all(|text| text.chars().count() <= 501 && !text.contains('\n'))
    );
}

#[test]
fn the_sidecars_own_variables_are_its_installations() {
    let installation = Installation {
        extra_env: vec![("X".to_owned(), "cart.shop.svc.".to_owned())],
        ..Installation::default()
    };
    for sidecar in [SidecarMode::Native, SidecarMode::Plain] {
        let installation = Installation {
            sidecar,
            ..installation.clone()
        };
        let mut pod = capturing(&json!({"name": "app"}));
        inject_pod(&mut pod, None, &installation).unwrap();
        assert_eq!(warnings(&pod, None, &installation).len(), 0);
    }
}

proptest! {
    /// A whole name with its dot is told, in whatever it stands; with a letter of a name on either side it is another.
    #[test]
    fn a_name_is_told_where_it_is_whole_and_nowhere_else(
        name in prop::sample::select(vec![
            "cart.shop", "cart.shop.svc", "cart.shop.svc.cluster.local", "PAY.pay", "pay.pay.svc.cluster.local",
        ]),
        before in "[-a-z0-9._/:=@ ]?",
        after in "[-a-z0-9._/:=@ ]?",
    ) {
        let in_name = |text: &str| text.contains(|c: char| c.is_alphanumeric() || "-._".contains(c));
        let text = format!("x {before}{name}.{after} y");
        let expected = !in_name(&before) && !in_name(&after);
        let pod = capturing(&json!({"name": "app", "env": [{"name": "A", "value": text}]}));
        prop_assert_eq!(told(&pod).len(), usize::from(expected), "{}", text);
    }
}
