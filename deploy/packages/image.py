"""Makes an image in the layout of OCI, without an engine.

    image.py PROGRAM VERSION FILE.tar

Two layers: the few packages of Debian that the program needs, unpacked, and the program. There is no shell and no package manager
in it, so whoever gets in finds nothing. SOURCE_DATE_EPOCH is the time of everything.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGES = ["base-files", "gcc-12-base", "libc6", "libgcc-s1", "libstdc++6", "libssl3", "liblmdb0", "zlib1g", "ca-certificates", "netbase", "tzdata"]
# Of these packages only the licences are left, as they have to be.
OMITTED = ("./usr/share/doc/", "./usr/share/man/", "./usr/share/locale/", "./usr/share/lintian/", "./usr/share/info/", "./usr/sbin/")
USER = 65532
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """A gzipped tar, and its digests."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)

    def entry(self, name, kind=tarfile.REGTYPE, mode=0o644, owner=0, content=b"", link=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, owner, owner, EPOCH
        info.linkname, info.size = link, len(content)
        self.tar.addfile(info, io.BytesIO(content))

    def folder(self, name, mode=0o755, owner=0):
        self.entry(name, tarfile.DIRTYPE, mode, owner)

    def finish(self):
        self.tar.close()
        plain = self.bytes.getvalue()
        return "sha256:" + hashlib.sha256(plain).hexdigest(), gzip.compress(plain, 9, mtime=0)


def unpacked(folder):
    """The packages' files. Returns their names and versions, for the bill of materials."""
    versions = []
    for package in PACKAGES:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True, stdin=subprocess.DEVNULL)
    for archive in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, folder / "root"], check=True)
        field = subprocess.run(
            ["dpkg-deb", "-f", archive, "Package", "Version"], check=True, capture_output=True, text=True).stdout
        versions.append(tuple(line.split(": ", 1)[1] for line in field.splitlines()))
    return versions


def base(folder):
    """Debian's part."""
    layer, root = Layer(), folder / "root"
    for path in sorted(root.rglob("*")):
        name = "./" + str(path.relative_to(root))
        if name.startswith(OMITTED) and path.name != "copyright" and not path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink():
            layer.entry(name, tarfile.SYMTYPE, 0o777, link=os.readlink(path))
        elif path.is_dir():
            layer.folder(name, path.stat().st_mode & 0o7777)
        else:
            layer.entry(name, mode=path.stat().st_mode & 0o7777, content=path.read_bytes())
    # What the packages' own scripts would write.
    authorities = b"".join(path.read_bytes() for path in sorted((root / "usr/share/ca-certificates").rglob("*.crt")))
    layer.entry("./etc/ssl/certs/ca-certificates.crt", content=authorities)
    users = f"root:x:0:0:root:/:/usr/sbin/nologin\ncountersign:x:{USER}:{USER}:Countersign:/var/lib/countersign:/usr/sbin/nologin\n"
    layer.entry("./etc/passwd", content=users.encode())
    layer.entry("./etc/group", content=f"root:x:0:\ncountersign:x:{USER}:\n".encode())
    layer.entry("./etc/nsswitch.conf", content=b"hosts: files dns\npasswd: files\ngroup: files\n")
    return layer.finish()


def program(path):
    layer = Layer()
    layer.entry("./usr/local/bin/countersign", mode=0o755, content=path.read_bytes())
    layer.folder("./var/lib/countersign", 0o700, USER)
    return layer.finish()


def configuration(version, diffs):
    """As deploy/container/Containerfile says it."""
    created = subprocess.run(
        ["date", "-u", "-d", f"@{EPOCH}", "+%Y-%m-%dT%H:%M:%SZ"], check=True, capture_output=True, text=True).stdout.strip()
    return {
        "created": created, "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": {
            "User": f"{USER}:{USER}", "WorkingDir": "/var/lib/countersign", "Volumes": {"/var/lib/countersign": {}},
            "Env": ["PATH=/usr/local/bin", "COUNTERSIGN_PEPPER_FILE=/run/secrets/countersign-pepper"],
            "ExposedPorts": {"8443/tcp": {}, "9180/tcp": {}}, "StopSignal": "SIGTERM", "Entrypoint": ["countersign"],
            "Cmd": [
                "serve", "--listen", "https://0.0.0.0:8443", "--health-listen", "http://0.0.0.0:9180", "--tls-certificate",
                "/run/secrets/countersign-tls/tls.crt", "--tls-key", "/run/secrets/countersign-tls/tls.key"],
            "Labels": {
                "org.opencontainers.image.title": "countersign", "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0"},
        },
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "history": [{"created": created, "created_by": "Debian packages"}, {"created": created, "created_by": "countersign"}],
    }


class Layout:
    """The files of an image, by their digests."""

    def __init__(self):
        self.files = {"oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode()}

    def add(self, media_type, content):
        digest = hashlib.sha256(content).hexdigest()
        self.files["blobs/sha256/" + digest] = content
        return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest, "size": len(content)}

    def write(self, path):
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(self.files):
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(self.files[name]), EPOCH, 0o644
                tar.addfile(info, io.BytesIO(self.files[name]))


def main():
    binary, version, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # apt downloads as a user of its own.
        folder.chmod(0o777)
        versions = unpacked(folder)
        layers = [base(folder), program(binary)]
    layout = Layout()
    configured = layout.add("config.v1+json", json.dumps(configuration(version, [diff for diff, _ in layers])).encode())
    manifest = layout.add("manifest.v1+json", json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": configured,
        "layers": [layout.add("layer.v1.tar+gzip", packed) for _, packed in layers]}).encode())
    manifest["annotations"] = {"org.opencontainers.image.ref.name": version}
    layout.files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()
    layout.write(out)
    Path(str(out) + ".packages").write_text(json.dumps(versions))
    print(f"image: {out.stat().st_size >> 20} MiB, {len(versions)} packages of Debian")


main()
