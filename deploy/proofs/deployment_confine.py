"""Starts one program as a container engine or systemd would: as process 1 of new namespaces, in a root that is mounted
read-only, as a user without capabilities, and with the system call filters of a unit. Its network is new too, unless the task
names the namespace of one.

Reads its task as JSON from standard input, prints the process id of the program, and ends with its exit status. Needs root.
Runs with Debian's Python, for which Debian has a package with the bindings of libseccomp.
"""

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

import seccomp as s

libc = ctypes.CDLL(None, use_errno=True)

NEW_NETWORK = 0x40000000
NEW_NAMESPACES = 0x20000 | 0x20000000 | NEW_NETWORK | 0x4000000 | 0x8000000  # mount, pid, network, UTS, IPC
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES = int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
FAMILIES = range(64)


def succeed(code: int) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    succeed(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


def bind(source: str, target: Path, writable: bool) -> None:
    mount(source, str(target), "", MS_BIND)
    if not writable:
        mount("", str(target), "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)


def mount_all(root: Path, mounts: list[dict]) -> None:
    """Everything is read-only except mounts that are marked writable."""
    mount("", "/", "", MS_REC | MS_PRIVATE)
    bind(str(root), root, writable=False)
    for place in mounts:
        bind(place["source"], root / place["target"].lstrip("/"), place["writable"])
    mount("tmpfs", str(root / "dev"), "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in ("null", "zero", "full", "random", "urandom"):
        (root / "dev" / name).touch()
        mount("/dev/" + name, str(root / "dev" / name), "", MS_BIND)
    mount("", str(root / "dev"), "", MS_REMOUNT | MS_RDONLY | MS_NOSUID)


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh", b"lo", 1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, request + bytes(40 - len(request)))  # SIOCSIFFLAGS


def drop_privileges(user: int, group: int, groups: list[int]) -> None:
    for capability in range(CAPABILITIES):
        succeed(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
    os.setgroups(groups)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    succeed(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def filter_calls(rules: dict) -> None:
    """As systemd does: first the rules with their own error numbers, then the list of allowed calls."""
    refusals = s.SyscallFilter(s.ALLOW)

    def refuse(code: int, call: str, *arguments: object) -> None:
        refusals.add_rule(s.ERRNO(code), call, *arguments)

    if rules["families"]:
        allowed = {getattr(socket, name) for name in rules["families"]}
        for family in FAMILIES:
            if family not in allowed:
                refuse(errno.EAFNOSUPPORT, "socket", s.Arg(0, s.EQ, family))
        refuse(errno.EAFNOSUPPORT, "socket", s.Arg(0, s.GE, FAMILIES.stop))
    if rules["deny_write_execute"]:
        both = PROT_WRITE | PROT_EXEC
        refuse(errno.EPERM, "mmap", s.Arg(2, s.MASKED_EQ, both, both))
        for call in ("mprotect", "pkey_mprotect"):
            refuse(errno.EPERM, call, s.Arg(2, s.MASKED_EQ, PROT_EXEC, PROT_EXEC))
        refuse(errno.EPERM, "shmat", s.Arg(2, s.MASKED_EQ, SHM_EXEC, SHM_EXEC))
    if rules["deny_namespaces"]:
        # The flags of clone3 are in memory, where a filter cannot read them, so it is reported as missing.
        refuse(errno.ENOSYS, "clone3")
        refuse(errno.EPERM, "unshare")
        refuse(errno.EPERM, "setns")
    if rules["deny_set_id"]:
        for call, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2)):
            for bit in (0o4000, 0o2000):
                refuse(errno.EPERM, call, s.Arg(place, s.MASKED_EQ, bit, bit))
    refusals.load()
    if rules["calls"]:
        allowed = s.SyscallFilter(s.ERRNO(errno.EPERM))
        for call in rules["calls"]:
            try:
                allowed.add_rule(s.ALLOW, call)
            except (RuntimeError, OSError):
                pass  # This architecture does not have the call.
        allowed.load()


def child(task: dict) -> None:
    root = Path(task["root"])
    mount("proc", str(root / "proc"), "proc", MS_NOSUID | MS_NODEV, task["proc"])
    log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.chroot(root)
    os.chdir(task["folder"])
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.umask(task["umask"])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    drop_privileges(task["user"], task["group"], task["groups"])
    if task["filter"]:
        filter_calls(task["filter"])
    os.execvpe(task["command"][0], task["command"], task["environment"])


def main() -> int:
    task = json.load(sys.stdin)
    if task["network"]:
        with open(task["network"]) as network:
            succeed(libc.setns(network.fileno(), NEW_NETWORK))
        succeed(libc.unshare(NEW_NAMESPACES & ~NEW_NETWORK))
    else:
        succeed(libc.unshare(NEW_NAMESPACES))
        raise_loopback()
    mount_all(Path(task["root"]), task["mounts"])
    number = os.fork()
    if number == 0:
        try:
            child(task)
        except BaseException as reason:  # No code of the parent may run here after any error.
            os.write(2, f"confine: {type(reason).__name__}: {reason}\n".encode())
        os._exit(125)
    print(number, flush=True)
    _, status = os.waitpid(number, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


sys.exit(main())
