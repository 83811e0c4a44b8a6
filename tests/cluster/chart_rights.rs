//! The rights that the chart gives: enough for a sidecar, and nothing beside. These scenes have a control plane of their
//! own, because rights for all ServiceAccounts would be in the way of others.

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::manifests::{apply, chart};
use crate::scene::create;

/// Group, resource and verb of all that a sidecar does.
const NEEDED: [(&str, &str, &str); 4] = [
    ("discovery.k8s.io", "endpointslices", "get"),
    ("discovery.k8s.io", "endpointslices", "list"),
    ("discovery.k8s.io", "endpointslices", "watch"),
    ("", "services", "get"),
];

/// A choice of what nobody gets.
const REFUSED: [(&str, &str, &str); 16] = [
    ("discovery.k8s.io", "endpointslices", "create"),
    ("discovery.k8s.io", "endpointslices", "update"),
    ("discovery.k8s.io", "endpointslices", "patch"),
    ("discovery.k8s.io", "endpointslices", "delete"),
    ("discovery.k8s.io", "endpointslices", "deletecollection"),
    ("", "services", "list"),
    ("", "services", "watch"),
    ("", "services", "update"),
    ("", "services", "proxy"),
    ("", "endpoints", "get"),
    ("", "pods", "get"),
    ("", "pods", "list"),
    ("", "nodes", "get"),
    ("", "secrets", "get"),
    ("", "configmaps", "list"),
    ("apps", "deployments", "get"),
];

#[tokio::test]
async fn by_default_all_pods_may_read_all_services_and_nothing_else() {
    let (_plane, client) = plane_with("default").await;
    for (reader, of) in [("shop", "shop"), ("shop", "pay"), ("elsewhere", "shop")] {
        assert_rights(&client, reader, of, true).await;
    }
}

#[tokio::test]
async fn with_namespaces_listed_their_pods_may_read_their_services_and_nothing_else() {
    let (_plane, client) = plane_with("none").await;
    for (reader, of, may) in [
        ("shop", "shop", true),
        ("shop", "pay", true),
        ("pay", "shop", true),
        ("shop", "elsewhere", false),
        ("elsewhere", "shop", false),
        ("elsewhere", "elsewhere", false),
    ] {
        assert_rights(&client, reader, of, may).await;
    }
}

/// A plane with the namespaces of the values, and the rights of a golden.
async fn plane_with(golden: &str) -> (Arc<ControlPlane>, Client) {
    let plane = ControlPlane::start().await;
    let client = plane.admin().await;
    for name in ["shop", "pay", "elsewhere"] {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        create(&namespaces, json!({"metadata": {"name": name}})).await;
    }
    let mut applied = 0;
    for object in chart(golden) {
        let types = object.types.clone().unwrap();
        let test = object.metadata.annotations.iter().flatten();
        if types.api_version.starts_with("rbac.authorization.k8s.io/")
            && !test.clone().any(|(name, _)| name == "helm.sh/hook")
        {
            apply(&client, object).await;
            applied += 1;
        }
    }
    assert!(applied >= 2, "{golden} has {applied} objects of RBAC");
    (plane, client)
}

/// What a pod of namespace `reader` may do in namespace `of`.
async fn assert_rights(client: &Client, reader: &str, of: &str, may: bool) {
    let mut wrong = Vec::new();
    let needed = NEEDED.iter().map(|right| (right, may));
    let refused = REFUSED.iter().map(|right| (right, false));
    for ((group, resource, verb), expected) in needed.chain(refused) {
        if is_allowed(client, reader, of, [group, resource, verb]).await != expected {
            wrong.push(format!("{verb} {resource}: not {expected}"));
        }
    }
    // Nor anywhere at once, unless the rights are for the whole cluster.
    if !may
        && is_allowed(
            client,
            reader,
            "",
            ["discovery.k8s.io", "endpointslices", "list"],
        )
        .await
    {
        wrong.push("list endpointslices of all namespaces".to_owned());
    }
    assert!(wrong.is_empty(), "a pod of {reader} in {of}: {wrong:?}");
}

async fn is_allowed(
    client: &Client,
    reader: &str,
    of: &str,
    [group, resource, verb]: [&str; 3],
) -> bool {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = serde_json::from_value(json!({
        "metadata": {},
        "spec": {
            "user": format!("system:serviceaccount:{reader}:default"),
            "groups": [
                "system:serviceaccounts",
                format!("system:serviceaccounts:{reader}"),
                "system:authenticated",
            ],
            "resourceAttributes": {"namespace": of, "group": group, "resource": resource, "verb": verb},
        },
    }))
    .unwrap();
    let review = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    review.status.unwrap().allowed
}
