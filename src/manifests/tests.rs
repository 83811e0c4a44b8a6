use super::*;
use serde_json::json;

fn inject(text: &str) -> Result<Rewritten, Vec<String>> {
    let change = Change::Inject {
        installation: Box::default(),
        namespace: None,
        annotations: Vec::new(),
    };
    rewrite(text, &change)
}

fn uninject(text: &str) -> String {
    rewrite(text, &Change::Uninject).unwrap().text
}

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: client
  annotations:
    podrobin.io/service: shop/cart:http
spec:
  containers:
  - name: app
    image: app
";

#[test]
fn what_is_no_pod_goes_on_byte_by_byte() {
    for text in [
        "",
        "\n",
        "# nothing\n",
        "---\n---\n",
        "a: 1 # a comment\nb:   [ 2,3 ]",
        "--- # first\na: yes\n--- {b: 0x10}\n...\n",
        "%YAML 1.2\n---\na: 1e3\n",
        "just text\n",
        "{\"a\": 1}\n\n{\"b\":   2}",
        "{a: 1}\n",
        "apiVersion: example.com/v1\nkind: Deployment\nspec: {template: {metadata: {annotations: {podrobin.io/service: x}}}}\n",
    ] {
        let rewritten = inject(text).unwrap();
        assert_eq!((rewritten.text.as_str(), rewritten.pods), (text, 0));
    }
}

#[test]
fn only_the_documents_with_pods_are_written_anew() {
    let other = "# A comment.\nkind:   ConfigMap\napiVersion: v1\n";
    let text = format!("{other}---\n{POD}---\n{other}");
    let rewritten = inject(&text).unwrap();
    assert_eq!(rewritten.pods, 1);
    assert!(
        rewritten
            .text
            .starts_with(&format!("{other}---\napiVersion: v1\nkind: Pod\n"))
    );
    assert!(rewritten.text.ends_with(&format!("---\n{other}")));
    let again = inject(&rewritten.text).unwrap();
    assert_eq!((again.text, again.pods), (rewritten.text.clone(), 1));
    assert_eq!(uninject(&rewritten.text), text);
}

#[test]
fn json_stays_json_and_compact_stays_compact() {
    let pod: Value = serde_saphyr::from_str(POD).unwrap();
    let compact = format!("{pod}\n{}\n", json!({"kind": "Other"}));
    let rewritten = inject(&compact).unwrap();
    assert_eq!(rewritten.text.lines().count(), 2);
    assert!(
        rewritten.text.ends_with("{\"kind\":\"Other\"}\n"),
        "{}",
        rewritten.text
    );
    assert_eq!(inject(&rewritten.text).unwrap().text, rewritten.text);
    assert_eq!(uninject(&rewritten.text), compact);
    let pretty = serde_json::to_string_pretty(&pod).unwrap() + "\n";
    let rewritten = inject(&pretty).unwrap();
    assert!(rewritten.text.starts_with("{\n  \"apiVersion\": \"v1\",\n"));
    assert_eq!(inject(&rewritten.text).unwrap().text, rewritten.text);
    assert_eq!(uninject(&rewritten.text), pretty);
}

#[test]
fn texts_that_look_like_something_else_stay_texts() {
    let texts = [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "true",
        "null",
        "~",
        "",
        "1e3",
        "0x10",
        "0o17",
        "017",
        "1_000",
        "12:30",
        "1.0",
        ".5",
        ".inf",
        "2001-01-01",
        "- a",
        "a: b",
        "a #b",
        " a",
        "a ",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "|",
        ">",
        "'",
        "\"",
        "{",
        "[",
        "a\tb",
        "a\nb",
        "a\nb\n",
        "\n",
        "\na",
        "  a\nb",
        "a\n\n",
        "\u{e9}\u{1f600}",
        "\u{0}",
        "\u{85}",
        "\u{feff}a",
        "a\r\nb",
        "---",
        "...",
        "<<",
        "=",
        "-",
        "?",
        "a:",
        ":a",
    ];
    let long = "word ".repeat(100);
    for text in texts.iter().copied().chain([long.as_str()]) {
        let mut pod: Value = serde_saphyr::from_str(POD).unwrap();
        pod["spec"]["containers"][0]["args"] = json!([text, {text: text}]);
        // By way of YAML in double quotes, which is JSON.
        let rewritten = inject(&format!("# YAML\n{pod}")).unwrap();
        assert!(!rewritten.text.starts_with('{'), "{text:?}");
        let back: Value = serde_saphyr::from_str(&rewritten.text).unwrap();
        assert_eq!(
            back["spec"]["containers"][0]["args"],
            json!([text, {text: text}]),
            "{text:?}"
        );
        assert_eq!(
            inject(&rewritten.text).unwrap().text,
            rewritten.text,
            "{text:?}"
        );
    }
}

/// As kubectl does.
#[test]
fn plain_words_of_yaml_1_1_are_read_as_such() {
    let text = format!("{POD}    securityContext: {{privileged: yes, runAsUser: 0644}}\n");
    let rewritten = inject(&text).unwrap();
    let back: Value = serde_saphyr::from_str(&rewritten.text).unwrap();
    let expected = json!({"privileged": true, "runAsUser": 420});
    assert_eq!(back["spec"]["containers"][0]["securityContext"], expected);
}

#[test]
fn aliases_and_merges_are_written_out() {
    let text =
        format!("{POD}    env: &env [{{name: A, value: b}}]\n  - name: other\n    env: *env\n");
    let rewritten = inject(&text).unwrap().text;
    let back: Value = serde_saphyr::from_str(&rewritten).unwrap();
    assert_eq!(
        back["spec"]["containers"][1]["env"][2],
        json!({"name": "A", "value": "b"})
    );
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    assert!(inject(bomb).unwrap_err()[0].starts_with("document 1 is neither YAML nor JSON: "));
}

#[test]
fn problems_say_where_they_are_and_all_of_them_are_told() {
    let bad = POD.replace("shop/cart:http", "Cart");
    let named = bad.replace("  name: client", "  name: client\n  namespace: shop");
    let problems = inject(&format!("{bad}---\n{POD}---\n{named}")).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("document 1, Pod client: annotation podrobin.io/service"));
    assert!(problems[1].starts_with("document 3, Pod shop/client: "));
    let broken = inject(&format!("{POD}---\na: [\n")).unwrap_err();
    assert!(
        broken[0].starts_with("document 2 is neither YAML nor JSON: "),
        "{broken:?}"
    );
    assert_eq!(broken[0].lines().count(), 1);
}

#[test]
fn an_annotation_on_the_object_instead_of_its_pods_is_told() {
    let text = "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: c\n  annotations: {podrobin.io/service: cart}\n\
                spec: {jobTemplate: {spec: {template: {spec: {containers: []}}}}}\n";
    let problems = inject(text).unwrap_err();
    assert!(
        problems[0].contains("spec.jobTemplate.spec.template.metadata.annotations"),
        "{problems:?}"
    );
}

#[test]
fn annotations_from_the_command_line_are_for_pods_that_have_none() {
    let change = Change::Inject {
        installation: Box::default(),
        namespace: Some("shop".to_owned()),
        annotations: vec![
            ("podrobin.io/service", "pay:80".to_owned()),
            ("podrobin.io/capture", "true".to_owned()),
        ],
    };
    for (text, service) in [
        (
            POD.replace(
                "  annotations:\n    podrobin.io/service: shop/cart:http\n",
                "",
            ),
            "pay:80",
        ),
        (POD.replace("shop/cart:http", "cart:80"), "cart:80"),
        (
            POD.replace(
                "  annotations:\n    podrobin.io/service: shop/cart:http\n",
                "  annotations:\n",
            ),
            "pay:80",
        ),
        (
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: app}]}\n".to_owned(),
            "pay:80",
        ),
    ] {
        let rewritten = rewrite(&text, &change).unwrap();
        let pod: Value = serde_saphyr::from_str(&rewritten.text).unwrap();
        assert_eq!(
            pod["metadata"]["annotations"]["podrobin.io/service"], service,
            "{text}"
        );
        assert_eq!(
            pod["metadata"]["annotations"]["podrobin.io/capture"],
            "true"
        );
        let env = &pod["spec"]["initContainers"][0]["env"][0]["value"];
        assert_eq!(*env, format!("127.0.1.1:80={service}"));
    }
}

#[test]
fn lists_are_gone_through_and_know_what_their_items_are() {
    let mut item: Value = serde_saphyr::from_str(POD).unwrap();
    let item = item.as_object_mut().unwrap();
    item.shift_remove("kind");
    item.shift_remove("apiVersion");
    let list = json!({"apiVersion": "v1", "kind": "PodList", "items": [item, {"spec": 1}, null]});
    assert_eq!(inject(&list.to_string()).unwrap().pods, 1);
    let mut deep: Value = serde_saphyr::from_str(POD).unwrap();
    for _ in 0..3 {
        deep = json!({"apiVersion": "v1", "kind": "List", "items": [deep]});
    }
    assert_eq!(inject(&deep.to_string()).unwrap().pods, 1);
    for _ in 0..3 {
        deep = json!({"apiVersion": "v1", "kind": "List", "items": [deep]});
    }
    assert_eq!(inject(&deep.to_string()).unwrap().pods, 0);
}

#[test]
fn files_are_joined_as_documents() {
    let mut text = String::new();
    for part in ["a: 1", "---\nb: 2\n", "%YAML 1.2\n---\nc: 3", "d: 4\n"] {
        join(&mut text, part);
    }
    // A directive needs the end of the document before it.
    assert_eq!(
        text,
        "a: 1\n---\nb: 2\n...\n%YAML 1.2\n---\nc: 3\n---\nd: 4\n"
    );
    let mut text = String::new();
    for part in ["{\"a\": 1}", "{\"b\": 2}\n"] {
        join(&mut text, part);
    }
    assert_eq!(text, "{\"a\": 1}\n{\"b\": 2}\n");
}
