"""deploy/container: the runtime stage's promises, kept without an engine.

The final stage is read instruction by instruction; a root gets the files of the packages that it installs and of a part of its
base image, and the program runs there as `podman run --read-only --cap-drop ALL --security-opt no-new-privileges` would run it.
"""

import json
import os
import re
from pathlib import Path

from deployment_stage import BASE, PEPPER_LINE, Occupant, Room, Stage, certificate, libraries, listing, pepper


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


def prove(stage: Stage) -> None:
    file = stage.deploy / "container/Containerfile"
    text = file.read_text()
    linted = stage.run("hadolint", file)
    stage.check(linted.returncode == 0, "hadolint finds no fault in the Containerfile", linted.stdout)
    final = FinalStage(text)
    stage.check(PEPPER_LINE in (stage.deploy / "container/README.md").read_text(), "the README makes the pepper this way")
    user, _, group = final.one("USER").partition(":")
    if not stage.check(user.isdigit() and group.isdigit() and user != "0", "the user is a number and not root", user):
        return
    stage.check(
        all(rest.startswith("--from=") or rest.split()[0] in ("Package.swift", "Sources", "Tests")
            for word, rest in instructions(text) if word in ("COPY", "ADD")),
        "layers get sources and the program, nothing else")
    stage.check(final.one("STOPSIGNAL") == "SIGTERM", "it is stopped by SIGTERM")
    needed = {package for package in libraries(stage.program).values() if package}
    lacking = needed - set(BASE) - set(final.packages)
    swift = [name for name, package in libraries(stage.program).items() if package is None]
    stage.check(not lacking, "each library of Debian that the program needs is in the image", lacking)
    print(f"  (libraries of Swift laid beside it: {len(swift)}; a static build has none)")
    run(stage, final, int(user), int(group))


def run(stage: Stage, final: FinalStage, user: int, group: int) -> None:
    folder, volume_at = final.one("WORKDIR"), final.one("VOLUME")
    certificate(stage.path("container/tls"), "countersign")
    for name in ("tls.key", "tls.crt"):
        os.chown(stage.folder / "container/tls" / name, user, group)
    secret = pepper(stage, "container")

    room = Room(stage, "container/room", [*BASE, *final.packages])
    (room.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    room.mount(stage.folder / "container/tls", "/run/secrets/countersign-tls")

    def start(volume: Path) -> Occupant:
        if volume_at:
            # As RUN install -d leaves it; an engine gives a new volume the owner of the folder that it covers.
            volume.mkdir(parents=True, exist_ok=True)
            os.chown(volume, user, group)
            volume.chmod(0o700)
            room.mount(volume, volume_at, writable=True)
        return room.start(final.command, user, group, folder, environment=final.environment)

    without = stage.path("container/volume-without-pepper")
    occupant = start(without)
    stage.check(
        occupant.wait() not in (0, -1) and "pepper" in occupant.log and not list(without.glob("**/*pepper*")),
        "without the mounted pepper it does not start and makes none", occupant.log)

    room.mount(secret, final.environment["COUNTERSIGN_PEPPER_FILE"])
    os.chown(secret, user, group)
    secret.chmod(0o404)
    occupant = start(stage.path("container/volume-open"))
    stage.check(
        occupant.wait() not in (0, -1) and "pepper" in occupant.log, "a pepper that others may read is refused", occupant.log)
    secret.chmod(0o400)

    volume = stage.path("container/volume")
    before = listing(room.root)
    occupant = start(volume)
    if not stage.check(occupant.is_ready(), "it starts on a read-only root, without capabilities", occupant.log):
        occupant.end()
        return
    status = occupant.status()
    stage.check(
        status["Uid"].split()[0] == str(user) and status["NoNewPrivs"] == "1" and not int(status["CapBnd"], 16)
        and not int(status["CapEff"], 16), "as its user, with no capability to be had")
    stage.check("core dumps" not in occupant.log, "its memory is not dumped")
    health = occupant.inside(*final.health, environment=final.environment)
    stage.check(health.returncode == 0, "the health check says yes", health.stderr)
    ports = [port for rest in final.all("EXPOSE") for port in rest.split()]
    stage.check(
        occupant.status_of(f"https://127.0.0.1:{ports[0]}/readyz") == 200
        and occupant.status_of(f"http://127.0.0.1:{ports[1]}/metrics") == 200,
        f"{ports[0]} serves https and {ports[1]} probes and metrics")
    made = occupant.inside("countersign", "key", "create", "--owner", "o", "--json", environment=final.environment)
    stage.check(
        made.returncode == 0 and '"key"' in made.stdout, "commands in the container find the store by themselves", made.stderr)
    second = start(volume)
    stage.check(
        second.wait() not in (0, -1) and "PID namespace" in second.log,
        "a second container on the same volume is refused and told why", second.log)
    stage.check(occupant.end() == 0 and '"ended"' in occupant.log, "SIGTERM ends it as process 1, with status 0")
    stage.check(listing(room.root) == before, "nothing was written to the root")
    files = {path.name for path in volume.glob("**/*") if not path.is_dir()}
    stage.check(
        files == {"data.mdb", "lock.mdb", "owner.lock"}, "the volume holds the store and nothing else", files)
    again = start(volume)
    ready = again.is_ready()
    listed = again.inside("countersign", "key", "list", "--json", environment=final.environment)
    stage.check(ready and listed.stdout.count('"id"') == 1, "the next container on the volume knows its keys", again.log)
    again.end()
