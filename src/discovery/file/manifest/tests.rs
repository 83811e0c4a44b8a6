use super::*;
use crate::config::PortRef;
use crate::endpoint::Standing;

/// A slice of a Service with one ready endpoint.
fn slice(service: &str, name: &str, address: &str) -> String {
    let (namespace, service) = service.split_once('/').unwrap();
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: {namespace}
  name: {name}
  labels:
    kubernetes.io/service-name: {service}
addressType: IPv4
ports:
  - name: http
    port: 8080
endpoints:
  - addresses: [{address}]
    conditions:
      ready: true
    nodeName: n1
"
    )
}

fn several<const N: usize>(documents: [String; N]) -> String {
    let mut text = String::new();
    for document in documents {
        text += &document;
        text += "---\n";
    }
    text
}

fn parse_all(text: &str) -> Result<Fold, ManifestError> {
    parse(text.as_bytes(), None, &Selection::default())
}

fn parse_for(text: &str, service: &str, port: PortRef) -> Result<Fold, ManifestError> {
    let (namespace, name) = match service.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, service),
    };
    let selector = FileSelector {
        namespace,
        name: name.to_owned(),
        port,
    };
    parse(text.as_bytes(), Some(&selector), &Selection::default())
}

fn used(fold: &Fold) -> Vec<String> {
    fold.endpoints
        .iter()
        .filter(|endpoint| endpoint.is_used())
        .map(|endpoint| endpoint.address().to_string())
        .collect()
}

fn only_note(fold: &Fold) -> &str {
    assert_eq!(fold.notes.len(), 1, "{:?}", fold.notes);
    fold.notes.first().unwrap()
}

#[test]
fn slices_in_several_documents_are_one_service() {
    let text = several([
        String::new(),
        slice("shop/cart", "a", "10.0.0.1"),
        "# nothing but words\n".to_owned(),
        slice("shop/cart", "b", "10.0.0.2"),
    ]);
    let fold = parse_all(&text).unwrap();
    assert_eq!(used(&fold), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    assert!(fold.notes.is_empty());
}

#[test]
fn json_is_read_as_well_with_nothing_between_documents() {
    let object = |name: &str, address: &str| {
        let object: Value = serde_saphyr::from_str(&slice("shop/cart", name, address)).unwrap();
        object
    };
    let (a, b) = (object("a", "10.0.0.1"), object("b", "10.0.0.2"));
    let expected = ["10.0.0.1:8080", "10.0.0.2:8080"];
    for text in [
        format!("{a}{b}"),
        format!("{a:#}\n{b:#}\n"),
        format!("{a}\n---\n{b}"),
        format!(r#"{{"apiVersion":"v1","kind":"List","items":[{a},{b}]}}"#),
    ] {
        assert_eq!(used(&parse_all(&text).unwrap()), expected, "{text}");
    }
}

#[test]
fn lists_are_opened() {
    let mut item: Value = serde_saphyr::from_str(&slice("shop/cart", "a", "10.0.0.1")).unwrap();
    let list = |version: &str, kind: &str, item: &Value| {
        format!(r#"{{"apiVersion":"{version}","kind":"{kind}","items":[{item}]}}"#)
    };
    let expected = ["10.0.0.1:8080"];
    let text = list("v1", "List", &item);
    assert_eq!(used(&parse_all(&text).unwrap()), expected);

    // As the API itself lists them.
    let fields = item.as_object_mut().unwrap();
    fields.remove("apiVersion");
    fields.remove("kind");
    let text = list("discovery.k8s.io/v1", "EndpointSliceList", &item);
    assert_eq!(used(&parse_all(&text).unwrap()), expected);

    let error = parse_all(&list("v1", "List", &item)).unwrap_err();
    assert!(matches!(error, ManifestError::NoObject(_)), "{error}");
}

#[test]
fn a_list_without_items_is_a_valid_empty_list() {
    for items in ["", "items: []", "items: null"] {
        let text = format!("apiVersion: v1\nkind: List\n{items}\n");
        assert_eq!(parse_all(&text).unwrap(), Fold::default());
        assert_eq!(
            parse_for(&text, "cart", PortRef::Only).unwrap(),
            Fold::default()
        );
    }
}

#[test]
fn an_empty_file_is_broken() {
    for text in ["", " \n", "# nothing\n", "---\n", "---\n---\n", "null\n"] {
        assert_eq!(parse_all(text), Err(ManifestError::Empty), "{text:?}");
    }
}

#[test]
fn what_is_no_manifest_is_refused_in_one_line() {
    for text in [
        "{",
        "a: [",
        "a: b: c",
        "hello",
        "- a",
        "kind: EndpointSlice",
        "{\"kind\": 1}",
        "%",
        "a: *b",
        "\u{0}",
        "apiVersion: v1\nkind: List\nitems: 3",
        "apiVersion: v1\nkind: List\nitems: [3]",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nendpoints: 3",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nports: [{port: many}]",
        "apiVersion: v1\nkind: Service\nspec: []",
    ] {
        let error = parse_all(text).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.len() < 400, "{error:?}");
    }
    let error = parse(b"\xff\xfe", None, &Selection::default()).unwrap_err();
    assert!(matches!(error, ManifestError::Syntax(_)));
}

#[test]
fn too_many_documents_are_refused() {
    let json = r#"{"apiVersion":"v1","kind":"List"}"#.repeat(MOST_DOCUMENTS);
    assert_eq!(parse_all(&json).unwrap(), Fold::default());
    let error = parse_all(&format!("{json}{{}}")).unwrap_err();
    assert_eq!(error, ManifestError::TooManyDocuments);

    let yaml = "apiVersion: v1\nkind: List\n---\n".repeat(MOST_DOCUMENTS + 1);
    assert!(parse_all(&yaml).is_err());
}

#[test]
fn aliases_cannot_blow_a_small_file_up() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        let before = format!("*a{}, ", i - 1).repeat(10);
        text += &format!("a{i}: &a{i} [{before}]\n");
    }
    assert!(matches!(parse_all(&text), Err(ManifestError::Syntax(_))));
}

#[test]
fn a_large_file_is_read() {
    let text: String = (0..3)
        .map(|i| {
            let endpoints: String = (0..1000)
                .map(|j| format!("  - addresses: [10.{i}.{}.{}]\n", j / 256, j % 256))
                .collect();
            slice("shop/cart", &format!("s{i}"), "10.99.0.1") + &endpoints + "---\n"
        })
        .collect();
    assert_eq!(parse_all(&text).unwrap().endpoints.len(), 3_001);
}

#[test]
fn slices_of_several_services_need_a_choice() {
    let text = several([
        slice("shop/cart", "a", "10.0.0.1"),
        slice("shop/pay", "b", "10.0.0.2"),
        slice("test/cart", "c", "10.0.0.3"),
    ]);
    assert_eq!(
        parse_all(&text).unwrap_err().to_string(),
        "holds slices of several Services; add the one to use to its name as #NAMESPACE/NAME, \
         out of shop/cart, shop/pay, test/cart"
    );
    let error = parse_for(&text, "cart", PortRef::Only).unwrap_err();
    let names = "shop/cart, test/cart".to_owned();
    assert_eq!(error, ManifestError::SeveralServices(names));

    for (service, expected) in [
        ("shop/cart", "10.0.0.1:8080"),
        ("pay", "10.0.0.2:8080"),
        ("test/cart", "10.0.0.3:8080"),
    ] {
        let fold = parse_for(&text, service, PortRef::Only).unwrap();
        assert_eq!(used(&fold), [expected]);
    }
}

#[test]
fn a_service_the_file_does_not_have_is_empty_and_noted() {
    let text = slice("shop/cart", "a", "10.0.0.1");
    for (service, said) in [("pay", "pay"), ("test/cart", "test/cart")] {
        let fold = parse_for(&text, service, PortRef::Only).unwrap();
        assert!(fold.endpoints.is_empty());
        assert_eq!(
            only_note(&fold),
            format!("the file has no slices of Service {said}, only of shop/cart")
        );
    }
}

#[test]
fn an_object_without_a_namespace_is_in_default() {
    let text = slice("shop/cart", "a", "10.0.0.1").replace("  namespace: shop\n", "");
    let fold = parse_for(&text, "default/cart", PortRef::Only).unwrap();
    assert_eq!(used(&fold), ["10.0.0.1:8080"]);
}

#[test]
fn slices_without_a_name_all_count_and_one_name_twice_is_refused() {
    let unnamed = |address: &str| slice("shop/cart", "a", address).replace("  name: a\n", "");
    let text = several([unnamed("10.0.0.1"), unnamed("10.0.0.2")]);
    assert_eq!(parse_all(&text).unwrap().endpoints.len(), 2);

    let text = several([
        slice("shop/cart", "a", "10.0.0.1"),
        slice("shop/cart", "a", "10.0.0.2"),
    ]);
    let error = parse_all(&text).unwrap_err();
    assert_eq!(error, ManifestError::Twice("shop/a".to_owned()));
}

#[test]
fn what_is_of_no_use_is_ignored_with_a_note() {
    let text = several([
        "apiVersion: apps/v1\nkind: Deployment\nspec: {}\n".to_owned(),
        slice("shop/cart", "a", "10.0.0.1"),
        slice("shop/cart", "b", "10.0.0.2").replace("kubernetes.io/service-name", "app"),
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List}]\n".to_owned(),
    ]);
    let fold = parse_all(&text).unwrap();
    assert_eq!(used(&fold), ["10.0.0.1:8080"]);
    let notes: Vec<&str> = fold.notes.iter().map(String::as_str).collect();
    assert_eq!(
        notes,
        [
            "ignored objects of kind apps/v1/Deployment, v1/List",
            "ignored slices without the label kubernetes.io/service-name: shop/b",
        ]
    );
}

#[test]
fn notes_of_the_fold_are_kept() {
    let text = slice("shop/cart", "a", "0.0.0.0");
    assert!(only_note(&parse_all(&text).unwrap()).contains("0.0.0.0"));
}

mod ports {
    use super::*;

    fn service(ports: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{namespace: shop, name: cart}}\nspec: {{ports: {ports}}}\n"
        )
    }

    fn two_ports() -> String {
        slice("shop/cart", "a", "10.0.0.1")
            .replace("endpoints:", "  - {name: metrics, port: 9090}\nendpoints:")
    }

    #[test]
    fn a_name_is_the_slice_ports_name() {
        let port = PortRef::Name("metrics".to_owned());
        let fold = parse_for(&two_ports(), "cart", port).unwrap();
        assert_eq!(used(&fold), ["10.0.0.1:9090"]);

        let port = PortRef::Name("web".to_owned());
        let fold = parse_for(&two_ports(), "cart", port).unwrap();
        assert_eq!(
            only_note(&fold),
            "the Service has no TCP port \"web\", only \"http\", \"metrics\""
        );
    }

    #[test]
    fn a_number_is_the_service_objects() {
        let service = service(
            "[{name: http, port: 80}, {name: metrics, port: 81, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]",
        );
        let text = several([two_ports(), service]);
        let fold = parse_for(&text, "cart", PortRef::Number(81)).unwrap();
        assert_eq!(used(&fold), ["10.0.0.1:9090"]);
        for unknown in [8080, 53] {
            let fold = parse_for(&text, "cart", PortRef::Number(unknown)).unwrap();
            assert!(fold.endpoints.is_empty());
            assert_eq!(
                only_note(&fold),
                format!("Service shop/cart has no TCP port {unknown}, only 80, 81")
            );
        }
    }

    #[test]
    fn a_number_is_the_slices_where_there_is_no_service_object() {
        let other_number = slice("shop/cart", "b", "10.0.0.2").replace("8080", "8081");
        let text = several([two_ports(), other_number]);
        // The number finds the name, and the name every slice.
        let fold = parse_for(&text, "cart", PortRef::Number(8080)).unwrap();
        assert_eq!(used(&fold), ["10.0.0.1:8080", "10.0.0.2:8081"]);
        let fold = parse_for(&text, "cart", PortRef::Number(80)).unwrap();
        assert_eq!(
            only_note(&fold),
            "Service shop/cart has no TCP port 80, only 8080, 8081, 9090"
        );
    }

    #[test]
    fn a_number_of_several_ports_needs_a_name() {
        let text = two_ports().replace("9090", "8080");
        let fold = parse_for(&text, "cart", PortRef::Number(8080)).unwrap();
        assert!(fold.endpoints.is_empty());
        assert_eq!(
            only_note(&fold),
            "Service shop/cart has several ports of number 8080: use a name out of \"http\", \"metrics\""
        );
    }

    #[test]
    fn a_number_of_a_service_without_pods_is_no_fault() {
        let text = slice("shop/cart", "a", "10.0.0.1")
            .replace("  - name: http\n    port: 8080\n", "  []\n");
        let fold = parse_for(&text, "cart", PortRef::Number(80)).unwrap();
        assert_eq!(fold, Fold::default());
    }

    #[test]
    fn the_services_traffic_policy_is_followed() {
        let local = service("[{name: http, port: 80}], internalTrafficPolicy: Local");
        let text = several([slice("shop/cart", "a", "10.0.0.1"), local]);
        let on = |node: &str| {
            let selection = Selection {
                node: Some(node.to_owned()),
                ..Selection::default()
            };
            parse(text.as_bytes(), None, &selection).unwrap().endpoints[0].standing
        };
        assert_eq!(on("n1"), Standing::Ready);
        assert_eq!(on("n2"), Standing::Elsewhere);
    }
}
