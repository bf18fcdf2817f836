"""The load of the gateway checks: many requests with random credentials over several connections."""

import random
import threading
import time
from collections.abc import Callable

from gateway_fixture import NEEDED, Fixture, require
from gateway_wire import Connection

CLIENTS = 6


def run_load(fixture: Fixture, requests: int, disturb: Callable[[], object] | None = None) -> dict[str, int]:
    """Requests with random credentials. While `disturb` runs, 5xx is a correct answer too."""
    scopes = (NEEDED, f"{NEEDED} orders:write", f"a:b {NEEDED}")
    credentials = [fixture.make_key(f"owner {index}", scope=scopes[index % 3]) for index in range(9)]
    credentials += [fixture.make_token(f"subject-{index}", scopes[index % 3]) for index in range(9)]
    for credential in (fixture.make_key("revoked"), fixture.make_key("revoked too"), fixture.make_token("revoked")):
        fixture.revoke(credential)
        credentials.append(credential)
    credentials += [fixture.unknown(), fixture.unknown("Bearer"), fixture.narrow]
    before = fixture.setup.application_counts()["requests"]
    counts = dict.fromkeys(("all", "passed", "refused", "unavailable", "opened"), 0)
    lock, failures, over = threading.Lock(), [], threading.Event()

    def run(number: int) -> None:
        client, mine = Connection(fixture.port), dict.fromkeys(counts, 0)
        draw = random.Random(number)
        try:
            while not failures and (mine["all"] < -(-requests // CLIENTS) or disturb and not over.is_set()):
                credential, path = draw.choice(credentials), f"/load/{number}/{mine['all']}"
                if credential.scheme == "ApiKey" and fixture.gateway.accepts_query_keys and draw.random() < 0.3:
                    answer = client.ask(f"{path}?api_key={credential.text}")
                else:
                    answer = client.ask(path, credential.field)
                mine["all"] += 1
                if disturb and 500 <= answer.status < 600 and not answer.all("x-application"):
                    mine["unavailable"] += 1
                elif credential.status == 200:
                    fixture.require_identity(answer, credential, f"a request of {credential.identity['x-auth-subject']}", path)
                    mine["passed"] += 1
                else:
                    fixture.require_refused(answer, credential.status, "an invalid credential")
                    mine["refused"] += 1
        except Exception as error:
            failures.append(error)
        finally:
            client.close()
            with lock:
                for name, value in (mine | {"opened": client.opened}).items():
                    counts[name] += value

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    if disturb:
        time.sleep(0.3)
        disturb()
        time.sleep(0.3)
        over.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    reached = fixture.setup.application_counts()["requests"] - before
    require(reached == counts["passed"], f"{reached} requests reached the application and {counts['passed']} passed")
    return counts
