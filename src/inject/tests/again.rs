//! A pod that was injected before: again, otherwise, or not any more.

use super::*;

#[test]
fn a_second_run_changes_nothing_and_the_way_back_gives_what_was_there() {
    let before = pod(&[("service", "cart:http")]);
    let mut pod = injected(before.clone());
    let once = pod.to_string();
    assert_eq!(inject(&mut pod), Ok(Outcome::Unchanged));
    assert_eq!(pod.to_string(), once);
    assert!(uninject_pod(&mut pod));
    assert_eq!(pod, before);
    assert!(!uninject_pod(&mut pod));
}

#[test]
fn an_injection_that_is_not_asked_for_any_more_is_taken_out() {
    let mut pod = injected(pod(&[("service", "cart:80"), ("capture", "true")]));
    pod["metadata"]["annotations"]["podrobin.io/inject"] = json!("false");
    assert_eq!(inject(&mut pod), Ok(Outcome::NotAsked));
    assert_eq!(
        pod["spec"],
        json!({"containers": [{"name": "app", "image": "app"}]})
    );
}

#[test]
fn a_changed_annotation_has_the_effect_that_it_would_have_alone() {
    let first = [("service", "cart:80,pay:8080"), ("capture", "true")];
    let second = [("service", "stock:http"), ("listen", "127.0.0.1:7000")];
    let mut changed = injected(pod(&first));
    changed["metadata"] = pod(&second)["metadata"].clone();
    assert_eq!(inject(&mut changed), Ok(Outcome::Injected));
    assert_eq!(changed, injected(pod(&second)));
}

/// As other webhooks do, and people with a manifest that holds an injection.
#[test]
fn variables_before_ours_do_not_hide_them() {
    let first = [("service", "cart"), ("listen", "8001")];
    let second = [("service", "cart"), ("listen", "8002")];
    let other = json!({"name": "OTHER", "value": "x"});
    let mut changed = injected(pod(&first));
    let env = changed["spec"]["containers"][0]["env"].as_array_mut();
    env.unwrap().insert(0, other.clone());
    let mut removed = changed.clone();
    changed["metadata"] = pod(&second)["metadata"].clone();
    assert_eq!(inject(&mut changed), Ok(Outcome::Injected));
    let mut fresh = pod(&second);
    fresh["spec"]["containers"][0]["env"] = json!([other]);
    assert_eq!(changed, injected(fresh.clone()));
    // And nothing of it is the pod's own.
    assert!(uninject_pod(&mut removed));
    assert_eq!(removed["spec"], fresh["spec"]);
}

#[test]
fn another_installation_replaces_what_the_first_one_chose() {
    let mut pod = injected(pod(&[("service", "cart")]));
    let other = Installation {
        image: "registry.example/podrobin:2".to_owned(),
        sidecar: SidecarMode::Plain,
        ..Installation::default()
    };
    assert_eq!(inject_pod(&mut pod, None, &other), Ok(Outcome::Injected));
    assert!(pod["spec"].get("initContainers").is_none());
    assert_eq!(pod["spec"]["containers"][0]["image"], other.image.as_str());
    assert_eq!(inject_pod(&mut pod, None, &other), Ok(Outcome::Unchanged));
}

#[test]
fn copies_of_the_sidecar_are_taken_out_too() {
    let before = pod(&[("service", "cart")]);
    let once = injected(before.clone());
    let mut copied = once.clone();
    let sidecar = once["spec"]["initContainers"][0].clone();
    for list in ["initContainers", "containers"] {
        copied["spec"][list]
            .as_array_mut()
            .unwrap()
            .push(sidecar.clone());
    }
    let mut pod = copied.clone();
    assert_eq!(inject(&mut pod), Ok(Outcome::Injected));
    assert_eq!(pod, once);
    assert!(uninject_pod(&mut copied));
    assert_eq!(copied, before);
}

#[test]
fn what_is_kept_is_for_injection_to_say() {
    let mut pod = injected(pod(&[
        ("service", "cart:80"),
        ("capture", "true"),
        ("kept", "sysctl"),
    ]));
    assert!(
        pod["metadata"]["annotations"]
            .get("podrobin.io/kept")
            .is_none()
    );
    assert_eq!(inject(&mut pod), Ok(Outcome::Unchanged));
    assert!(uninject_pod(&mut pod));
    assert!(pod["spec"].get("securityContext").is_none());
}

/// No API server takes such a name; but what is written to a file is as it was the first time.
#[test]
fn a_container_whose_name_has_a_comma_gets_no_variables() {
    let mut before = pod(&[("service", "cart:80")]);
    let app = &mut before["spec"]["containers"][0];
    app["name"] = "a,p".into();
    app["env"] = json!([{"name": "PODROBIN_CART_URL", "value": "http://127.0.0.1:8000"}]);
    let mut once = injected(before.clone());
    assert_eq!(once["spec"]["containers"], before["spec"]["containers"]);
    assert_eq!(inject(&mut once), Ok(Outcome::Unchanged));
    assert!(uninject_pod(&mut once));
    assert_eq!(once, before);
}
