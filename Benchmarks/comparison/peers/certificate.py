"""The certificate that both sides of the comparison over TLS present."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..processes import run


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """A self-signed certificate with a key on P-256, for loopback, for a few days."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(made.key), "-out", str(made.certificate)], seconds_max=60)
    os.chmod(made.key, 0o600)
    return made
