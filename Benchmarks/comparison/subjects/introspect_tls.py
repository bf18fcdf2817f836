"""Introspection over TLS 1.3 beside nginx with the same certificate, cipher and body."""

from harness.service import make_certificate

from ..bench import Bench
from ..comparisons import CPU, RATE, Limit, Question
from ..failure import Failed
from ..http_exchange import Target
from ..peers.countersign import countersign
from ..peers.nginx import nginx
from ..subject import Outcome, Subject, outcome
from .fixture import Fixture, active_answer, constant_like, same_answer, sizes, wrk_side


def measure(bench: Bench) -> Outcome:
    folder = bench.fresh_folder("tls")
    certificate = make_certificate(folder / "certificate.pem", folder / "key.pem")
    with countersign(bench, folder, certificate) as ours:
        if ours.tls is None:
            raise Failed("countersign was started without TLS")
        fixture = Fixture.of(ours, folder)
        answer = active_answer(ours.tls, fixture.introspect())
        version, cipher = ours.tls.handshake()
        with nginx(folder, constant_like(answer), certificate=certificate, cipher=cipher) as theirs:
            constant = same_answer(theirs.target, fixture.introspect(), answer.body)
            same_handshake(ours.tls, theirs.target, (version, cipher))
            sides = [
                wrk_side(bench, folder, "countersign", ours.pid, ours.tls, fixture.introspect()),
                wrk_side(bench, folder, "nginx", theirs.worker_pid, theirs.target, fixture.introspect())]
            questions = [
                Question("countersign", "nginx", CPU, Limit.at_most(1.05)), Question("countersign", "nginx", RATE)]
            notes = [sizes(answer, constant), f"Both speak {version} with {cipher} and present the same P-256 certificate."]
            result = outcome(bench, sides, questions, notes)
            active_answer(ours.tls, fixture.introspect())
    return result


def same_handshake(ours: Target, theirs: Target, wanted: tuple[str, str]) -> None:
    """Raises Failed unless both come to TLS 1.3 and the same cipher with OpenSSL's defaults, which wrk has too."""
    if wanted[0] != "TLSv1.3" or ours.handshake() != wanted or theirs.handshake() != wanted:
        raise Failed(f"the two sides do not both speak TLSv1.3 with {wanted[1]}")


SUBJECT = Subject(
    "introspect-tls", "introspection over TLS 1.3",
    "The same over https, on connections that stay open: what is measured is records, not handshakes. nginx has the same "
    "certificate and cipher, and a handshake per side is checked before.", measure)
