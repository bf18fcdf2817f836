"""Writes what is in a release (CycloneDX 1.5; all Swift packages that the build was resolved with, also those of tests) and where it comes from (in-toto statement, SLSA provenance 1.0).

    describe.py VERSION COMMIT FOLDER PROGRAM
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
REPOSITORY = "countersign"
ARCHITECTURE = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
# Linked dynamically: they are on the machine where it runs.
LIBRARIES = {"libssl3": "openssl", "liblmdb0": "lmdb", "libc6": "glibc", "libgcc-s1": "gcc", "libstdc++6": "gcc", "zlib1g": "zlib"}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", "0"))))


def swift_packages():
    """The packages that were resolved for the build."""
    pins = json.loads((ROOT / "Package.resolved").read_text())["pins"]
    for pin in sorted(pins, key=lambda pin: pin["identity"]):
        state = pin["state"]
        yield {
            "type": "library", "bom-ref": "swift:" + pin["identity"], "name": pin["identity"],
            "version": state.get("version") or state["revision"],
            "purl": "pkg:swift/" + pin["location"].removeprefix("https://").removesuffix(".git") + "@"
                    + (state.get("version") or state["revision"]),
            "properties": [{"name": "git:revision", "value": state["revision"]}],
        }


def debian_packages(versions):
    for name, version in versions:
        yield {
            "type": "library", "bom-ref": "deb:" + name, "name": name, "version": version,
            "purl": f"pkg:deb/debian/{name}@{version}?arch={ARCHITECTURE}&distro=debian-12", "scope": "required" if name in LIBRARIES else "optional"}


def swift():
    text = subprocess.run(["swift", "--version"], capture_output=True, text=True, check=False).stdout
    return text.splitlines()[0].strip() if text else "unknown"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    version, commit, folder, program = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    listed = next(folder.glob(f"countersign-{version}-*.oci.tar.packages"))
    components = [*swift_packages(), *debian_packages(json.loads(listed.read_text()))]
    listed.unlink()
    runtime = {"type": "library", "bom-ref": "swift:runtime", "name": "swift-runtime", "version": swift()}
    components.append(runtime)
    files = sorted(path for path in folder.glob(f"countersign[-_]{version.replace('-', '[-~]', 1)}*") if path.name.endswith((".tar.gz", ".deb", ".oci.tar")))
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL, f"{REPOSITORY}@{commit}")),
        "metadata": {
            "timestamp": now(),
            "component": {
                "type": "application", "bom-ref": "countersign", "name": "countersign", "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "hashes": [{"alg": "SHA-256", "content": digest(program)}]},
        },
        "components": components,
        "dependencies": [{"ref": "countersign", "dependsOn": [component["bom-ref"] for component in components]}],
    }
    (folder / f"countersign-{version}.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": digest(path)}} for path in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "deploy/release", "externalParameters": {"version": version},
                "resolvedDependencies": [
                    {"uri": "git+" + REPOSITORY, "digest": {"gitCommit": commit}},
                    *({"uri": component["purl"], "digest": {"gitCommit": component["properties"][0]["value"]}}
                      for component in components if "properties" in component)],
            },
            "runDetails": {"builder": {"id": "deploy/release", "version": {"swift": swift()}}, "metadata": {"startedOn": now()}},
        },
    }
    (folder / f"countersign-{version}.provenance.json").write_text(json.dumps(statement, indent=1) + "\n")
    print(f"described: {len(components)} components, {len(files)} files")


main()
