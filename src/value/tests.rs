use proptest::prelude::*;

use super::*;

fn millis(text: &str) -> u128 {
    text.parse::<Span>().unwrap().0.as_millis()
}

#[test]
fn a_duration_has_a_unit() {
    assert_eq!(millis("500ms"), 500);
    assert_eq!(millis("10s"), 10_000);
    assert_eq!(millis("1.5s"), 1_500);
    assert_eq!(millis("2m"), 120_000);
    assert_eq!(millis("1m 30s"), 90_000);
    assert_eq!(millis("0"), 0);
    for bad in ["", "10", "ten", "-1s", "10x", "400d 1h", "99999999999h"] {
        assert!(bad.parse::<Span>().is_err(), "{bad:?}");
    }
}

#[test]
fn off_is_the_only_way_to_wait_for_ever() {
    assert_eq!("off".parse(), Ok(Patience(None)));
    assert_eq!("1s".parse(), Ok(Patience(Some(Duration::from_secs(1)))));
    assert!("0".parse::<Patience>().unwrap_err().contains("`off`"));
    assert!(positive("0s").is_err());
}

#[test]
fn a_size_is_in_bytes_or_binary_units() {
    assert_eq!("4096".parse(), Ok(ByteSize(4096)));
    assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
    assert_eq!("64Ki".parse(), Ok(ByteSize(65_536)));
    assert_eq!("1MiB".parse(), Ok(ByteSize(1_048_576)));
    for bad in [
        "",
        "KiB",
        "64kb",
        "-1",
        "1.5MiB",
        "99999999999999999999",
        "18014398509481985Ki",
    ] {
        assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
    }
    assert!(bytes::<10, 20>("9").is_err());
    assert!(bytes::<10, 20>("20").is_ok());
    assert!(bytes::<10, 20>("21").is_err());
}

#[test]
fn a_count_and_a_share_keep_to_their_bounds() {
    assert_eq!(count::<1, 3>("3"), Ok(3));
    assert!(count::<1, 3>("0").is_err());
    assert!(count::<1, 3>("4").is_err());
    assert_eq!(share("0.2"), Ok(0.2));
    for bad in ["-0.1", "1.1", "NaN", "inf", "20%"] {
        assert!(share(bad).is_err(), "{bad}");
        assert!(percent(bad).is_err() || bad == "1.1", "{bad}");
    }
}

#[test]
fn a_bare_port_listens_on_loopback() {
    assert_eq!(listen("9001"), Ok("127.0.0.1:9001".parse().unwrap()));
    assert_eq!(listen("[::1]:9001"), Ok("[::1]:9001".parse().unwrap()));
    for bad in ["localhost:8000", ":8000", "127.0.0.1", "70000"] {
        assert!(listen(bad).unwrap_err().contains("127.0.0.1:8000"), "{bad}");
    }
}

#[test]
fn an_endpoint_can_be_connected_to() {
    let weight = |text: &str| endpoint(text).map(|pod| pod.weight);
    assert_eq!(weight("10.0.0.1:80"), Ok(1));
    assert_eq!(weight("[fd00::1]:80=0"), Ok(0));
    assert_eq!(weight("10.0.0.1:80=1000000"), Ok(1_000_000));
    for bad in ["=", "=-1", "=1.5", "=1000001", "=1=2", "=x"] {
        let error = weight(&format!("10.0.0.1:80{bad}")).unwrap_err();
        assert!(error.contains("between 0 and 1000000"), "{bad}: {error}");
    }
    for bad in ["10.0.0.1", "10.0.0.1:0", "0.0.0.0:80", "[::]:80", "cart:80"] {
        assert!(endpoint(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_service_may_leave_out_all_but_its_name() {
    let service = |text: &str| text.parse::<ServiceArg>().unwrap();
    assert_eq!(
        service("127.0.0.1:9001=shop/cart:http"),
        ServiceArg {
            listen: Some("127.0.0.1:9001".parse().unwrap()),
            namespace: Some("shop".to_owned()),
            name: "cart".to_owned(),
            port: PortRef::Name("http".to_owned()),
        }
    );
    assert_eq!(
        service("cart"),
        ServiceArg {
            listen: None,
            namespace: None,
            name: "cart".to_owned(),
            port: PortRef::Only,
        }
    );
    assert_eq!(service("shop/cart:8080").port, PortRef::Number(8080));
    assert_eq!(
        service("[::1]:9001=cart").listen,
        Some("[::1]:9001".parse().unwrap())
    );
}

#[test]
fn a_service_that_kubernetes_would_not_take_is_refused() {
    for bad in [
        "",
        "/cart",
        "shop/",
        "shop/cart:",
        "shop/cart:0",
        "shop/cart:65536",
        "Shop/cart",
        "shop/cart/x",
        "http://cart",
        "cart.shop",
        "-cart",
        "cart-",
        "=cart",
        "nowhere=cart",
        "shop/cart:http:2",
    ] {
        assert!(bad.parse::<ServiceArg>().is_err(), "{bad:?}");
    }
    let long = "a".repeat(64);
    assert!(long.parse::<ServiceArg>().is_err());
}

#[test]
fn a_policy_may_name_the_service_that_it_is_for() {
    for (text, service, policy) in [
        ("random", None, "random"),
        ("hash:header=tenant", None, "hash:header=tenant"),
        ("shop/pay=random", Some("shop/pay"), "random"),
        (
            "pay:http=hash:cookie=id",
            Some("pay:http"),
            "hash:cookie=id",
        ),
        // Services may have the names of policies.
        ("random=hash:path", Some("random"), "hash:path"),
        ("hash:http=random", Some("hash:http"), "random"),
    ] {
        let arg: PolicyArg = text.parse().unwrap();
        assert_eq!(
            arg.service.as_ref().map(ToString::to_string).as_deref(),
            service
        );
        assert_eq!(arg.policy.to_string(), policy);
        assert_eq!(arg.to_string(), text);
    }
    for (bad, words) in [
        ("fair", "there is no such policy"),
        ("pay=fair", "there is no such policy"),
        ("Pay=random", "`Pay` is no Service name"),
        ("hash:header=", "hash:header=NAME"),
        ("least-request:choices=1", "least-request:choices=N"),
        ("", "there is no such policy"),
    ] {
        let reason = bad.parse::<PolicyArg>().unwrap_err();
        assert!(reason.contains(words), "{bad}: {reason}");
    }
}

#[test]
fn a_file_may_name_the_service_in_it() {
    let file: FileArg = "/etc/slices.yaml#shop/cart:80".parse().unwrap();
    assert_eq!(file.path, PathBuf::from("/etc/slices.yaml"));
    let service = file.service.unwrap();
    assert_eq!(service.namespace.as_deref(), Some("shop"));
    assert_eq!(service.port, PortRef::Number(80));
    assert_eq!("slices.yaml".parse::<FileArg>().unwrap().service, None);
    assert!("#cart".parse::<FileArg>().is_err());
    assert!("slices.yaml#".parse::<FileArg>().is_err());
}

proptest! {
    #[test]
    fn a_duration_is_shown_as_it_is_read(millis in 0..u64::from(u32::MAX)) {
        let span = Span(Duration::from_millis(millis));
        prop_assert_eq!(span.to_string().parse(), Ok(span));
    }

    #[test]
    fn a_size_is_shown_as_it_is_read(bytes in 0..usize::MAX) {
        prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
    }

    #[test]
    fn no_value_makes_a_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<ServiceArg>();
        let _ = text.parse::<FileArg>();
        let _ = text.parse::<PolicyArg>();
        let _ = text.parse::<Span>();
        let _ = text.parse::<ByteSize>();
    }
}
