//! Which port, by name, and what is spoken there.

use super::*;

fn slice_with(ports: Value, address: &str) -> Value {
    let mut slice = slice(json!([ready(address)]));
    slice["ports"] = ports;
    slice
}

#[test]
fn a_port_is_found_by_its_name() {
    let both = json!([{"name": "http", "port": 80}, {"name": "metrics", "port": 90}]);
    let all = slices([slice_with(both, "10.0.0.1")]);
    assert_eq!(used(&fold(&all, &port("http"))), ["10.0.0.1:80"]);
    assert_eq!(used(&fold(&all, &port("metrics"))), ["10.0.0.1:90"]);
}

#[test]
fn no_name_is_the_empty_name() {
    let all = slices([
        slice_with(json!([{"port": 80}]), "10.0.0.1"),
        slice_with(json!([{"name": "", "port": 80}]), "10.0.0.2"),
    ]);
    assert_eq!(used(&fold(&all, &port(""))).len(), 2);
    assert_eq!(used(&fold(&all, &Selection::default())).len(), 2);
}

#[test]
fn without_a_name_the_only_port_is_taken() {
    let named = slice_with(json!([{"name": "http", "port": 80}]), "10.0.0.1");
    assert_eq!(used(&fold_all([named])), ["10.0.0.1:80"]);
}

#[test]
fn without_a_name_several_ports_are_named_and_none_is_taken() {
    let fold = fold_all([
        slice_with(json!([{"name": "http", "port": 80}]), "10.0.0.1"),
        slice_with(json!([{"port": 90}]), "10.0.0.2"),
    ]);
    assert!(fold.endpoints.is_empty());
    assert_eq!(
        only_note(&fold),
        "the Service has several ports: add the one to use as `:PORT`, out of one without a name, \"http\""
    );
}

#[test]
fn each_slice_has_its_own_number() {
    let fold = fold_all([
        slice_with(json!([{"port": 8080}]), "10.0.0.1"),
        slice_with(json!([{"port": 9090}]), "10.0.0.2"),
    ]);
    assert_eq!(used(&fold), ["10.0.0.1:8080", "10.0.0.2:9090"]);
}

#[test]
fn a_port_that_some_slices_lack_is_no_fault() {
    let all = slices([
        slice_with(json!([{"name": "http", "port": 80}]), "10.0.0.1"),
        slice_with(json!([{"name": "metrics", "port": 90}]), "10.0.0.2"),
        with(slice(json!([])), json!({"ports": []})),
    ]);
    let fold = fold(&all, &port("http"));
    assert_eq!(used(&fold), ["10.0.0.1:80"]);
    assert!(fold.notes.is_empty());
}

#[test]
fn a_port_that_no_slice_has_is_noted_with_those_there_are() {
    let ports = json!([{"name": "web", "port": 80}, {"name": "metrics", "port": 90}]);
    let fold = fold(&slices([slice_with(ports, "10.0.0.1")]), &port("http"));
    assert!(fold.endpoints.is_empty());
    assert_eq!(
        only_note(&fold),
        "the Service has no TCP port \"http\", only \"metrics\", \"web\""
    );
}

#[test]
fn a_number_that_is_no_port_is_ignored_with_one_note() {
    for number in [json!(null), json!(0), json!(-1), json!(65536)] {
        let broken = || slice_with(json!([{"port": number}]), "10.0.0.1");
        let fold = fold_all([
            broken(),
            broken(),
            slice_with(json!([{"port": 65535}]), "10.0.0.2"),
        ]);
        assert_eq!(used(&fold), ["10.0.0.2:65535"], "{number}");
        assert_eq!(
            only_note(&fold),
            "slice \"a\": ignored port \"\", as its number is not in 1 to 65535"
        );
    }
}

/// Each of them would be a further address of every endpoint.
#[test]
fn of_ports_with_one_name_the_least_number_is_used() {
    let two = |first: Value, second: Value| {
        let ports = json!([{"port": first}, {"port": second}, {"port": first}]);
        fold_all([slice_with(ports, "10.0.0.1")])
    };
    for fold in [
        two(json!(80), json!(81)),
        two(json!(81), json!(80)),
        two(json!(80), json!(0)),
    ] {
        assert_eq!(used(&fold), ["10.0.0.1:80"]);
        assert_eq!(
            only_note(&fold),
            "slice \"a\": ignored all but one of the ports named \"\""
        );
    }
    assert!(two(json!(80), json!(80)).notes.is_empty());
}

#[test]
fn a_port_of_another_protocol_is_not_there() {
    let ports = json!([
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "http", "port": 80, "protocol": null},
    ]);
    let all = slices([slice_with(ports, "10.0.0.1")]);
    assert_eq!(used(&fold(&all, &Selection::default())), ["10.0.0.1:80"]);
    assert!(fold(&all, &port("dns")).endpoints.is_empty());
}

#[test]
fn what_is_spoken_comes_from_app_protocol() {
    let spoken = |app_protocol: Value| {
        let ports = json!([{"port": 80, "appProtocol": app_protocol}]);
        fold_all([slice_with(ports, "10.0.0.1")]).endpoints[0].protocol
    };
    for name in ["", "http", "HTTP", "kubernetes.io/ws", "example.com/mine"] {
        assert_eq!(spoken(json!(name)), AppProtocol::Http1, "{name}");
    }
    assert_eq!(spoken(json!(null)), AppProtocol::Http1);
    for name in ["kubernetes.io/h2c", "grpc", "h2c", "http2"] {
        assert_eq!(spoken(json!(name)), AppProtocol::Http2, "{name}");
        assert_eq!(spoken(json!(name.to_uppercase())), AppProtocol::Http2);
    }
    for (name, expected) in [
        ("https", AppProtocol::Tls),
        ("tls", AppProtocol::Tls),
        ("ssl", AppProtocol::Tls),
        ("kubernetes.io/wss", AppProtocol::TlsHttp1),
        ("wss", AppProtocol::TlsHttp1),
        ("grpcs", AppProtocol::TlsHttp2),
        ("h2", AppProtocol::TlsHttp2),
    ] {
        assert_eq!(spoken(json!(name)), expected, "{name}");
        assert_eq!(spoken(json!(name.to_uppercase())), expected, "{name}");
    }
}
