"""Stores with many keys: living ones, expired ones, revoked ones."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from harness.service import INACTIVE

from ..asking import ask
from ..failure import Failed
from ..loads.generator import Load
from ..peers.countersign import Countersign
from ..secret_files import write_secret, write_secret_lines
from .scene import introspection

FEW, MANY = 1_000, 100_000


@dataclass(frozen=True)
class Population:
    """Files with one credential a line, and the caller's."""

    authorization: Path
    few: Path
    many: Path
    expired: Path
    revoked: Path
    target: Load
    """A load on few living keys; the others are variations of it."""

    def living(self, file: Path, skew: str = "uniform") -> Load:
        return replace(self.target, credentials=file, skew=skew)

    def dead(self, file: Path) -> Load:
        return replace(self.target, credentials=file, expect="inactive")

    def unknown(self) -> Load:
        return replace(self.target, unknown_share=1)


def populate(server: Countersign, folder: Path) -> Population:
    """Fills the store and asks about one of each sort. Raises Failed when an answer is not as it must be."""
    control = server.control()
    caller = control.caller()
    many = [key.text for key in control.keys(MANY)]
    expired = [key.text for key in control.keys(FEW, expires_in=1)]
    revoked = list(control.keys(FEW))
    control.revoke(revoked)
    time.sleep(2)
    for name, credential, is_active in [
            ("living", many[0], True), ("expired", expired[0], False), ("revoked", revoked[0].text, False)]:
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
