pub async fn run(
    _k: crate::kube_client::KubeClient,
    _s: crate::config::ServiceRef,
    _p: crate::config::OwnPod,
    _o: super::Outlet,
) {
}
