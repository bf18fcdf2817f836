"""Stores with many keys: active, expired and revoked ones."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from harness.service import INACTIVE

from ..failure import Failed
from ..http_exchange import ask
from ..loads.generator import Load
from ..peers.countersign import Countersign
from ..secret_files import write_secret, write_secret_lines
from .fixture import introspection

FEW, MANY = 1_000, 100_000


@dataclass(frozen=True)
class Population:
    """Files with one credential per line, and the file with the client's Authorization."""

    authorization: Path
    few: Path
    many: Path
    expired: Path
    revoked: Path
    target: Load
    """A load on few active keys. The other loads are variations of it."""

    def active(self, file: Path, skew: str = "uniform") -> Load:
        return replace(self.target, credentials=file, skew=skew)

    def inactive(self, file: Path) -> Load:
        return replace(self.target, credentials=file, expect="inactive")

    def unknown(self) -> Load:
        return replace(self.target, unknown_share=1)


def populate(server: Countersign, folder: Path) -> Population:
    """Fills the store and introspects one key of each kind. Raises Failed if an answer is wrong."""
    control = server.control()
    caller = control.caller()
    many = [key.text for key in control.keys(MANY)]
    expired = [key.text for key in control.keys(FEW, expires_in=1)]
    revoked = list(control.keys(FEW))
    control.revoke(revoked)
    time.sleep(2)
    for name, credential, is_active in [
            ("active", many[0], True), ("expired", expired[0], False), ("revoked", revoked[0].text, False)]:
        answer = ask(server.http, introspection(caller, credential))
        if answer.status != 200 or (answer.body != INACTIVE) != is_active:
            raise Failed(f"a key that is {name} was answered with {answer.status} and the wrong verdict")
    few_file = write_secret_lines(folder / "few", many[:FEW])
    authorization = write_secret(folder / "authorization", caller)
    return Population(
        authorization, few_file, write_secret_lines(folder / "many", many),
        write_secret_lines(folder / "expired", expired),
        write_secret_lines(folder / "revoked", [key.text for key in revoked]),
        Load(server.http, few_file, authorization, "active"))
