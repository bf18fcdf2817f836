"""deploy/container: checks the runtime stage of the image without a container engine.

The final stage is read instruction by instruction. The files of the packages that it installs, and of a part of its base
image, are copied to a root folder, in which the program runs as in
`podman run --read-only --cap-drop ALL --security-opt no-new-privileges`.
"""

import json
import os
import re
from pathlib import Path

from deployment_fixture import BASE, PEPPER_LINE, SandboxedProgram, Sandbox, Fixture, certificate, libraries, file_states, pepper


def instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


class FinalStage:
    def __init__(self, text: str) -> None:
        everything = instructions(text)
        begins = [place for place, (word, _) in enumerate(everything) if word == "FROM"]
        self.images = [rest.split()[0] for word, rest in everything if word == "FROM"]
        self.lines = everything[begins[-1]:]
        runs = " ".join(rest for word, rest in self.lines if word == "RUN")
        installed = re.search(r"apt-get install ([^&|;]*)", runs)
        self.packages = [word for word in installed[1].split() if not word.startswith("-")] if installed else []
        self.environment = dict(rest.split("=", 1) for rest in self.all("ENV"))
        self.command = json.loads(self.one("ENTRYPOINT")) + json.loads(self.one("CMD"))
        self.health = json.loads(self.one("HEALTHCHECK").partition("CMD ")[2])

    def all(self, word: str) -> list[str]:
        return [rest for name, rest in self.lines if name == word]

    def one(self, word: str) -> str:
        return (self.all(word) or [""])[-1]


def prove(fixture: Fixture) -> None:
    file = fixture.deploy / "container/Containerfile"
    text = file.read_text()
    linted = fixture.run("hadolint", file)
    fixture.check(linted.returncode == 0, "hadolint accepts the Containerfile", linted.stdout)
    final = FinalStage(text)
    fixture.check(PEPPER_LINE in (fixture.deploy / "container/README.md").read_text(), "the README creates the pepper in this way")
    user, _, group = final.one("USER").partition(":")
    if not fixture.check(user.isdigit() and group.isdigit() and user != "0", "the user is a number and not root", user):
        return
    fixture.check(
        all(rest.startswith("--from=") or rest.split()[0] in ("Package.swift", "Sources", "Tests")
            for word, rest in instructions(text) if word in ("COPY", "ADD")),
        "layers contain sources and the program, nothing else")
    fixture.check(final.one("STOPSIGNAL") == "SIGTERM", "it is stopped by SIGTERM")
    needed = {package for package in libraries(fixture.program).values() if package}
    lacking = needed - set(BASE) - set(final.packages)
    swift = [name for name, package in libraries(fixture.program).items() if package is None]
    fixture.check(not lacking, "each library of Debian that the program needs is in the image", lacking)
    print(f"  (Swift libraries copied with the program: {len(swift)}; a static build has none)")
    run(fixture, final, int(user), int(group))


def run(fixture: Fixture, final: FinalStage, user: int, group: int) -> None:
    folder, volume_at = final.one("WORKDIR"), final.one("VOLUME")
    certificate(fixture.path("container/tls"), "countersign")
    for name in ("tls.key", "tls.crt"):
        os.chown(fixture.folder / "container/tls" / name, user, group)
    secret = pepper(fixture, "container")

    sandbox = Sandbox(fixture, "container/sandbox", [*BASE, *final.packages])
    (sandbox.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    sandbox.mount(fixture.folder / "container/tls", "/run/secrets/countersign-tls")

    def start(volume: Path) -> SandboxedProgram:
        if volume_at:
            # As `RUN install -d` creates it. An engine gives a new volume the owner of the folder that it covers.
            volume.mkdir(parents=True, exist_ok=True)
            os.chown(volume, user, group)
            volume.chmod(0o700)
            sandbox.mount(volume, volume_at, writable=True)
        return sandbox.start(final.command, user, group, folder, environment=final.environment)

    without = fixture.path("container/volume-without-pepper")
    running = start(without)
    fixture.check(
        running.wait() not in (0, -1) and "pepper" in running.log and not list(without.glob("**/*pepper*")),
        "without the mounted pepper it does not start and makes none", running.log)

    sandbox.mount(secret, final.environment["COUNTERSIGN_PEPPER_FILE"])
    os.chown(secret, user, group)
    secret.chmod(0o404)
    running = start(fixture.path("container/volume-open"))
    fixture.check(
        running.wait() not in (0, -1) and "pepper" in running.log, "a pepper that others may read is refused", running.log)
    secret.chmod(0o400)

    volume = fixture.path("container/volume")
    before = file_states(sandbox.root)
    running = start(volume)
    if not fixture.check(running.is_ready(), "it starts on a read-only root, without capabilities", running.log):
        running.end()
        return
    status = running.status()
    fixture.check(
        status["Uid"].split()[0] == str(user) and status["NoNewPrivs"] == "1" and not int(status["CapBnd"], 16)
        and not int(status["CapEff"], 16), "it runs as its user, without capabilities")
    fixture.check("core dumps" not in running.log, "its memory is not dumped")
    health = running.inside(*final.health, environment=final.environment)
    fixture.check(health.returncode == 0, "the health check succeeds", health.stderr)
    ports = [port for rest in final.all("EXPOSE") for port in rest.split()]
    fixture.check(
        running.status_of(f"https://127.0.0.1:{ports[0]}/readyz") == 200
        and running.status_of(f"http://127.0.0.1:{ports[1]}/metrics") == 200,
        f"{ports[0]} serves https and {ports[1]} probes and metrics")
    made = running.inside("countersign", "key", "create", "--owner", "o", "--json", environment=final.environment)
    fixture.check(
        made.returncode == 0 and '"key"' in made.stdout, "commands in the container find the store without a flag", made.stderr)
    second = start(volume)
    fixture.check(
        second.wait() not in (0, -1) and "PID namespace" in second.log,
        "a second container on the same volume is refused with a reason", second.log)
    fixture.check(running.end() == 0 and '"ended"' in running.log, "SIGTERM ends it as process 1, with status 0")
    fixture.check(file_states(sandbox.root) == before, "nothing was written to the root")
    files = {path.name for path in volume.glob("**/*") if not path.is_dir()}
    fixture.check(
        files == {"data.mdb", "lock.mdb", "owner.lock"}, "the volume contains only the store", files)
    again = start(volume)
    ready = again.is_ready()
    listed = again.inside("countersign", "key", "list", "--json", environment=final.environment)
    fixture.check(ready and listed.stdout.count('"id"') == 1, "the next container on the volume knows its keys", again.log)
    again.end()
