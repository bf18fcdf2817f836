"""Uses the packages of a release on new machines. See `packages` for its usage."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from harness.checks import Unproven, check, conclude, require
from harness.processes import Process, wait_until

# What Debian's minimal system and the two libraries have.
LIBRARIES = re.compile(
    r"linux-vdso|ld-linux|libc\.so|libm\.so|libgcc_s|libstdc\+\+|libssl\.so\.3|libcrypto\.so\.3|liblmdb\.so\.0|libz\.so|libdl|libpthread|librt")
FIRST_KEY_SECONDS = 30
PEPPER = "etc/countersign/pepper"
SOCKET = "run/countersign/verify.sock"


def run(*words, inside=None, environment=None, accept=(0,)):
    """Runs a program, in another root if that is given. Returns what it printed."""
    words = [str(word) for word in words]
    if inside:
        words = ["chroot", str(inside), *words]
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean | (environment or {}), check=False, timeout=600)
    require(done.returncode in accept, f"{' '.join(words)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def verdict(path, key):
    """The status of /verify over a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(f"GET /verify HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: ApiKey {key}\r\n\r\n".encode())
        return int(connection.recv(64).split()[1])


def sums(folder):
    listed = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
    check(len(listed) == 6, "six files are listed with their checksums")
    for digest, name in listed:
        require(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, f"the checksum of {name} is right")
    return [name for _, name in listed]


def tarball(folder, name, work, version):
    with tarfile.open(folder / name) as tar:
        tar.extractall(work, filter="data")
    root = work / name.removesuffix(".tar.gz")
    needed = [line.split()[0] for line in run("ldd", root / "countersign").splitlines()]
    foreign = [one for one in needed if not LIBRARIES.search(one)]
    check(not foreign, f"the program needs nothing but glibc and Debian's two libraries: {foreign or needed}")
    said = run(root / "countersign", "--version").strip()
    statement = json.loads((folder / f"countersign-{version}.provenance.json").read_text())
    commit = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]["digest"]["gitCommit"]
    check(re.fullmatch(rf"\S+ \({commit}\)", said) and set(commit) != {"0"}, f"it says its version and commit: {said}")
    pages = sorted(path.name for path in (root / "man/man1").iterdir())
    check("countersign.1" in pages and "countersign.key.create.1" in pages, f"{len(pages)} man pages are in it")
    print(f"  {(folder / name).stat().st_size / 1e6:.1f} MB packed, the program {(root / 'countersign').stat().st_size / 1e6:.1f} MB")


def machine(work):
    """A fresh minimal Debian, from where this machine has its packages."""
    root = work / "machine"
    sources = [path for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").iterdir())]
               if path.is_file() and path.suffix in (".list", ".sources") and path.stat().st_size]
    done = subprocess.run(
        ["mmdebstrap", "--variant=minbase", "--mode=root", "--quiet", "--skip=cleanup/apt/lists", "bookworm", str(root), *map(str, sources)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        raise Unproven(f"mmdebstrap: {done.stderr[-2000:]}")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc") / name, root / "etc" / name)
    # As in a container: nothing is started by a package.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    return root


@contextlib.contextmanager
def service(root, log):
    """The service as its unit starts it: its user and group, its folders, a copy of the pepper, networks of its own."""
    user = run("id", "-u", "countersign", inside=root).strip()
    group = run("id", "-g", "countersign", inside=root).strip()
    for folder, mode in (("var/lib/countersign", 0o700), ("run/countersign", 0o755), ("run/credentials", 0o700)):
        (root / folder).mkdir(exist_ok=True)
        os.chown(root / folder, int(user), int(group))
        (root / folder).chmod(mode)
    shutil.copy(root / PEPPER, root / "run/credentials/pepper")
    os.chown(root / "run/credentials/pepper", int(user), int(group))
    (root / "run/credentials/pepper").chmod(0o400)
    start = re.search(r"^ExecStart=(.*)$", (root / "lib/systemd/system/countersign.service").read_text(), re.MULTILINE)[1]
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", "chroot", f"--userspec={user}:{group}",
             "--groups=www-data", str(root), "env", "COUNTERSIGN_PEPPER_FILE=/run/credentials/pepper", *start.split()]
    with Process(words, log) as process:
        if not wait_until(lambda: (root / SOCKET).exists() and verdict(root / SOCKET, "x") == 401, 20, 0.02, process):
            raise Unproven("the service does not start:\n" + process.log_tail())
        yield process
        require(process.end() == 0, "the service ends after SIGTERM")


def debian(folder, name, work, version):
    said = run("lintian", "--tag-display-limit", "0", folder / name, accept=(0, 1, 2))
    errors = [line for line in said.splitlines() if line.startswith("E:")]
    check(not errors, f"lintian finds no errors: {errors}")
    print("  " + "\n  ".join(line for line in said.splitlines() if line.startswith("W:")) or "  no warnings either")

    root = machine(work)
    shutil.copy(folder / name, root / "countersign.deb")
    begun = time.monotonic()
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "./countersign.deb", inside=root)
    pepper = (root / PEPPER).read_bytes()
    check((root / PEPPER).stat().st_mode & 0o077 == 0 and (root / PEPPER).stat().st_uid == 0, "the pepper file is root's alone")
    with service(root, work / "first.log"):
        made = json.loads(run("countersign", "key", "create", "--owner", "acme", "--json", inside=root))
        check(verdict(root / SOCKET, made["key"]) == 200, "a key is verified")
        seconds = time.monotonic() - begun
        check(seconds < FIRST_KEY_SECONDS, f"from the package to the first verified key: {seconds:.1f} s")
    for path in ("usr/share/man/man1/countersign.1.gz", "usr/share/bash-completion/completions/countersign",
                 "usr/share/doc/countersign/copyright", "lib/systemd/system/countersign.service"):
        require((root / path).exists(), f"{path} is there")
    run("systemd-analyze", "verify", "--man=no", root / "lib/systemd/system/countersign.service", accept=(0, 1))

    settings = root / "etc/countersign/countersign.yaml"
    settings.write_text(settings.read_text() + "# Ours.\n")
    newer = work / "newer"
    run("dpkg-deb", "-R", folder / name, newer)
    control = newer / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", lambda found: found[0] + "+1", control.read_text(), flags=re.MULTILINE))
    run("dpkg-deb", "--root-owner-group", "--build", newer, root / "newer.deb")
    run("dpkg", "-i", "/newer.deb", inside=root)
    check(settings.read_text().endswith("# Ours.\n"), "an upgrade keeps the settings")
    check((root / PEPPER).read_bytes() == pepper, "and the pepper file")
    with service(root, work / "upgraded.log"):
        check(verdict(root / SOCKET, made["key"]) == 200, "the key is valid after the upgrade")

    check((root / "usr/share/doc/countersign/examples/fleet.conf").read_text().count("/usr/bin/countersign") > 0,
          "the files of a fleet's node name this program")
    run("dpkg", "--remove", "countersign", inside=root)
    check(not (root / "usr/bin/countersign").exists() and settings.exists(), "a removal leaves the settings")
    run("dpkg", "--purge", "countersign", inside=root)
    check(not settings.exists(), "a purge takes them")
    check((root / PEPPER).read_bytes() == pepper and (root / "var/lib/countersign/store/data.mdb").exists(),
          "neither takes the pepper file or the store")
    (root / PEPPER).rename(root / "pepper")
    run("dpkg", "-i", "/newer.deb", inside=root)
    check(not (root / PEPPER).exists(), "no pepper file is made for a store that has another one")
    (root / "pepper").rename(root / PEPPER)
    with service(root, work / "again.log"):
        check(verdict(root / SOCKET, made["key"]) == 200, "the key is valid after all of this")


def image(folder, name, work, version):
    layout = work / "layout"
    with tarfile.open(folder / name) as tar:
        tar.extractall(layout, filter="data")
    found = json.loads(run("skopeo", "inspect", f"oci:{layout}:{version}"))
    check(found["Labels"]["org.opencontainers.image.version"] == version and len(found["Layers"]) == 2, "skopeo reads the image")
    run("umoci", "unpack", "--image", f"{layout}:{version}", work / "bundle")
    root = work / "bundle/rootfs"
    settings = json.loads((work / "bundle/config.json").read_text())
    user = settings["process"]["user"]
    check(user["uid"] == user["gid"] == 65532, "it runs as a user without rights")
    check(not (root / "bin/sh").exists() and not (root / "usr/bin/sh").exists(), "there is no shell in it")
    (root / "run/secrets").mkdir(exist_ok=True)
    # The image's own PATH has nothing of this machine.
    program = [shutil.which("chroot") or "/usr/sbin/chroot", "--userspec=65532:65532", str(root), "/usr/local/bin/countersign"]
    run("chroot", root, "/usr/local/bin/countersign", "pepper", "create", "/run/secrets/countersign-pepper")
    os.chown(root / "run/secrets/countersign-pepper", 65532, 65532)
    variables = dict(one.split("=", 1) for one in settings["process"]["env"])
    with Process(
            [shutil.which("unshare"), "--net", *program, "serve", "--store", "/var/lib/countersign/countersign-data", "--listen",
             "unix:/var/lib/countersign/verify.sock"], work / "image.log", variables) as process:
        if not wait_until(lambda: (root / "var/lib/countersign/verify.sock").exists(), 20, 0.02, process):
            raise Unproven("the image does not start:\n" + process.log_tail())
        where = ["--store", "/var/lib/countersign/countersign-data"]
        run(*program, "health", *where)
        made = json.loads(run(*program, "key", "create", "--owner", "acme", "--json", *where))
        check(verdict(root / "var/lib/countersign/verify.sock", made["key"]) == 200, "the image verifies a key")
        require(process.end() == 0, "it ends after SIGTERM")
    print(f"  {(folder / name).stat().st_size / 1e6:.1f} MB")


def described(folder, names, version):
    bill = json.loads((folder / f"countersign-{version}.cdx.json").read_text())
    listed = {component["name"] for component in bill["components"]}
    check({"swift-nio", "swift-nio-ssl", "libssl3", "liblmdb0", "swift-runtime"} <= listed, f"the bill of materials has {len(listed)} parts")
    statement = json.loads((folder / f"countersign-{version}.provenance.json").read_text())
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    check(len(subjects) == 3 and all(
        hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in subjects.items()),
        "the provenance names the three packages by their digests")


def main():
    folder, version = Path(sys.argv[1]), sys.argv[2]
    names = sums(folder)
    ending = {end: next(name for name in names if name.endswith(end)) for end in (".tar.gz", ".deb", ".oci.tar")}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        work = Path(name)
        tarball(folder, ending[".tar.gz"], work, version)
        debian(folder, ending[".deb"], work, version)
        image(folder, ending[".oci.tar"], work, version)
    described(folder, names, version)
    print("packages: installed, started, upgraded, removed and purged; nothing was lost")
    return True


conclude("packages", main)
