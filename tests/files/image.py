"""Compares an image's configuration and files with the Dockerfile stage it was made from: image.py DOCKERFILE STAGE ARCHIVE"""

import io
import json
import re
import sys
import tarfile

dockerfile, stage, archive = sys.argv[1:]
text = open(dockerfile, encoding="utf-8").read()
body = re.search(rf"^FROM scratch AS {stage}\n(.*?)(?=^FROM |\Z)", text, re.M | re.S).group(1)
wanted = {
    "User": re.search(r"^USER (\S+)$", body, re.M).group(1),
    "Entrypoint": json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", body, re.M).group(1)),
    "Labels": dict(re.findall(r'^LABEL (\S+?)="(.*)"$', body, re.M)),
}
files = {to.lstrip("/") for to in re.findall(r"^COPY --from=build \S+ (\S+)$", body, re.M)}

with tarfile.open(archive) as image:

    def blob(descriptor):
        return image.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()

    manifest = json.loads(blob(json.load(image.extractfile("index.json"))["manifests"][0]))
    config = json.loads(blob(manifest["config"]))["config"]
    layers = [tarfile.open(fileobj=io.BytesIO(blob(layer))) for layer in manifest["layers"]]
    found = {entry.name.removeprefix("./") for layer in layers for entry in layer if entry.isfile()}

if (config, found) != (wanted, files):
    sys.exit(f"image of stage {stage}:\n  has    {config} {found}\n  wanted {wanted} {files}")
user = int(wanted["User"].split(":")[0])
if user == 0:
    sys.exit(f"stage {stage} runs as root")
