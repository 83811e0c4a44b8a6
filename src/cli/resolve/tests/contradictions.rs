//! Command lines that make no sense.

use super::*;

/// Command lines that make no sense, each with words of the answer.
#[test]
fn a_contradiction_names_the_flags_and_the_mend() {
    let cases: [(&[&str], &[&str]); 31] = [
        (
            &["--service", "cart", "--eject-time", "31s"],
            &[
                "--eject-time 31s",
                "--eject-longest 30s",
                "raise --eject-longest",
            ],
        ),
        (
            &[
                "--service",
                "cart",
                "--eject-longest",
                "9s",
                "--eject-latency",
                "3",
            ],
            &[
                "--eject-interval 10s",
                "--eject-longest 9s",
                "lower --eject-interval",
            ],
        ),
        (
            &["--service", "cart", "--eject-longest", "999ms"],
            &["--eject-time 1s", "--eject-longest 999ms"],
        ),
        (
            &[
                "--service",
                "cart",
                "--eject-consecutive",
                "0",
                "--eject-most",
                "9",
            ],
            &[
                "--eject-most says",
                "--eject-consecutive 0",
                "--eject-success-rate STDEVS",
            ],
        ),
        (
            &[
                "--service",
                "cart",
                "--eject-consecutive",
                "0",
                "--failure-grpc",
                "internal",
            ],
            &[
                "--failure-grpc says",
                "--eject-consecutive 0",
                "--eject-latency FACTOR",
            ],
        ),
        (
            &[
                "--service",
                "cart",
                "--eject-consecutive",
                "0",
                "--panic-threshold",
                "9",
            ],
            &[
                "--panic-threshold is",
                "--eject-consecutive 0",
                "--health-check http:/PATH",
            ],
        ),
        (
            &["--service", "cart", "--pending-timeout", "1s"],
            &["--pending-timeout", "add --max-pod-requests"],
        ),
        (&[], &["--service NAMESPACE/NAME", "--endpoint "]),
        (
            &["--service", "cart,pay"],
            &["127.0.0.1:8000", "shop/cart", "shop/pay", "LISTEN="],
        ),
        (
            &["--service", "cart", "--endpoint", "10.0.0.1:80"],
            &["--service shop/cart", "--endpoint"],
        ),
        (
            &["--endpoint-slices", "f", "--endpoint", "10.0.0.1:80"],
            &["--endpoint-slices f", "--endpoint"],
        ),
        (
            &["--service", "0.0.0.0:8000=cart,127.0.0.1:8000=pay"],
            &["two sources"],
        ),
        (
            &["--service", "[::]:8000=cart,127.0.0.1:8000=pay"],
            &["two sources"],
        ),
        (
            &["--service", "cart", "--listen", "9800"],
            &["--service shop/cart", "--admin 0.0.0.0:9800"],
        ),
        (
            &["--service", "1=cart,2=cart"],
            &["--service shop/cart is given twice", "127.0.0.1:1"],
        ),
        (
            &["--endpoint", "10.0.0.1:80,10.0.0.1:80"],
            &["--endpoint", "10.0.0.1:80 twice"],
        ),
        (
            &["--endpoint", "10.0.0.1:80=3", "--policy", "least-request"],
            &[
                "--endpoint gives 10.0.0.1:80 the weight 3",
                "--policy least-request",
                "--policy weighted",
            ],
        ),
        (
            &["--endpoint", "10.0.0.1:80=3", "--policy", "weighted:orca"],
            &["the weight 3", "weighted:orca", "add --policy weighted,"],
        ),
        (
            &["--service", "cart", "--policy", "random,hash:path"],
            &["--policy says random and hash:path", "one policy for all"],
        ),
        (
            &["--service", "cart", "--policy", "pay=random"],
            &["--policy pay=random", "no --service names"],
        ),
        (
            &["--endpoint", "10.0.0.1:80", "--policy", "cart=random"],
            &["--policy cart=random", "no --service names"],
        ),
        (
            &["--service", "cart", "--eject-min-pods", "5"],
            &["--eject-min-pods says", "--eject-success-rate STDEVS"],
        ),
        (
            &["--service", "cart", "--slow-start-floor", "5"],
            &["--slow-start-floor says", "--slow-start TIME"],
        ),
        (
            &["--service", "cart", "--new-pods", "wait"],
            &["--new-pods wait", "--health-check http:/PATH"],
        ),
        (
            &["--service", "cart", "--health-check-interval", "5s"],
            &["--health-check-interval says", "--health-check http:/PATH"],
        ),
        (
            &[
                "--service",
                "cart",
                "--health-check",
                "tcp",
                "--health-check-host",
                "a",
            ],
            &["--health-check-host is for checks over HTTP", "drop it"],
        ),
        (
            &[
                "--service",
                "cart",
                "--health-check",
                "grpc",
                "--health-check-statuses",
                "200",
            ],
            &["--health-check-statuses is for checks over HTTP", "drop it"],
        ),
        (
            &["--service", "cart", "--max-endpoints", "5"],
            &["--max-endpoints needs", "--pod-name NAME"],
        ),
        (
            &["--service", "cart", "--context", "c"],
            &["--context", "--kubeconfig FILE"],
        ),
        (
            &[
                "--service",
                "cart",
                "--kubeconfig",
                "k",
                "--service",
                "cart",
            ],
            &["two sources"],
        ),
        (
            &["--service", "[::1]:8000=cart,[::]:8000=pay"],
            &["two sources"],
        ),
    ];
    for (flags, words) in cases {
        let refusal = resolve(flags).unwrap_err();
        for word in words {
            assert!(refusal.contains(word), "{flags:?}: {refusal}");
        }
    }
}

#[test]
fn a_service_without_a_namespace_needs_one_from_somewhere() {
    let refusal = resolve_in(None, &["--service", "cart"]).unwrap_err();
    assert!(refusal.contains("--service NAMESPACE/cart"), "{refusal}");
    assert!(resolve_in(None, &["--service", "cart", "--namespace", "n"]).is_ok());
    assert!(resolve_in(None, &["--service", "n/cart"]).is_ok());
}
