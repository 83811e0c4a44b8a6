#!/usr/bin/env python3
"""Makes a JSON schema of each kind from an API server's OpenAPI (v2), strict, one file a kind.

charts/schemas.py OPENAPI FOLDER

Files are named as kubeconform looks for them: deployment-apps-v1.json. Definitions are shared within a file, so that
those that hold themselves need no care.
"""

import json
import sys
from pathlib import Path

PREFIX = "#/definitions/"


def strict(node):
    """The same schema without what validates nothing, and without room for fields that are not there."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: strict(value) for key, value in node.items() if not key.startswith("x-kubernetes") and key not in ("description", "default")}
    # A property may have one of these names.
    for name in ("properties", "definitions"):
        if isinstance(node.get(name), dict):
            kept[name] = {key: strict(value) for key, value in node[name].items()}
    if node.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    kept.pop("format", None)
    if "properties" in kept and "additionalProperties" not in kept:
        kept["additionalProperties"] = False
    return kept


def reachable(definitions, name, found):
    if name in found:
        return
    found[name] = definitions[name]
    text = json.dumps(definitions[name])
    for part in text.split('"$ref": "' + PREFIX)[1:]:
        reachable(definitions, part.split('"')[0], found)


def main():
    source, folder = sys.argv[1:]
    raw = json.loads(Path(source).read_text())["definitions"]
    definitions = {name: strict(definition) for name, definition in raw.items()}
    # What is written as a number may be one.
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    out = Path(folder)
    out.mkdir(parents=True)
    for name, definition in raw.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            # `meta` types belong to every group; no manifest has them.
            if len(definition["x-kubernetes-group-version-kind"]) > 1 or "metadata" not in definition.get("properties", {}):
                continue
            found = {}
            reachable(definitions, name, found)
            group = kind["group"].split(".")[0]
            file = "-".join(filter(None, [kind["kind"].lower(), group, kind["version"]])) + ".json"
            schema = {**found[name], "definitions": found}
            # Without these a manifest of another kind would pass.
            schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind"})
            (out / file).write_text(json.dumps(schema, separators=(",", ":")))


main()
