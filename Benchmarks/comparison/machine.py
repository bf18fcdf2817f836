"""Describes the machine and the versions, without names of hosts, users or folders."""

import os
import platform
import re
import subprocess
from pathlib import Path

from .builds import ROOT
from .peers.nginx import program as nginx_program


def machine() -> dict[str, object]:
    processors = dict(
        (name.strip(), value.strip()) for name, _, value in
        (line.partition(":") for line in version_output("lscpu").splitlines()))
    model = processors.get("Model name", "unknown")
    numbers = " ".join(f"{name.lower()} {processors[name]}" for name in ("CPU family", "Model") if name in processors)
    hypervisor = processors.get("Hypervisor vendor")
    siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    return {
        "processor": f"{model} ({numbers})" if numbers else model,
        "number of processors": os.cpu_count(),
        "threads on the core of processor 0": siblings.read_text().strip() if siblings.exists() else "unknown",
        "virtualised": f"yes, {hypervisor}" if hypervisor else "no hypervisor seen",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": system_name(),
    }


def versions() -> dict[str, str]:
    return {
        "countersign": commit(),
        "nginx": first(r"nginx/(\S+)", version_output(nginx_program(), "-v")),
        "redis": first(r"v=(\S+)", version_output("redis-server", "--version")),
        "wrk": first(r"^wrk (\S+)", version_output("wrk", "-v")),
        "openssl": first(r"^OpenSSL (\S+)", version_output("openssl", "version")),
        "swift": first(r"Swift version (\S+)", version_output("swift", "--version")),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit, and whether there are changes other than results."""
    head = version_output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD").strip()
    if not re.fullmatch("[0-9a-f]+", head):
        return "unknown commit"
    changes = version_output(
        "git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no", "--", ".", ":!Benchmarks/Results")
    return head + (" with changes" if changes.strip() else "")


def system_name() -> str:
    release = Path("/etc/os-release")
    return first(r'PRETTY_NAME="([^"]+)"', release.read_text()) if release.exists() else "unknown"


def first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else "unknown"


def version_output(*command: str) -> str:
    """The output of a program on both streams; empty if it is not installed."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            env=os.environ | {"LC_ALL": "C"})
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
