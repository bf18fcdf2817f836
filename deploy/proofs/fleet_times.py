"""How long changes take on a node of a fleet: `deploy/fleet --measure` runs it.

    fleet_times.py SOCKET [COUNT [ADDRESS...]]

SOCKET is the control socket of a node; ADDRESS is where another one verifies: http://HOST:PORT or unix:PATH. Creates and revokes
COUNT keys, one after the other, over one connection, and prints the median and the 99th percentile of each, in milliseconds: a
creation is acknowledged when a majority of etcd and the node have it, a revocation when every node has it. With addresses, also the
time from the acknowledgement by the majority until the last of the other nodes has refused the key; each is asked again and
again, one after the other, so that is the time of some hundred questions at least.
"""

import http.client
import json
import socket
import sys
import time


class Connection(http.client.HTTPConnection):
    """To a Unix socket or a port."""

    def __init__(self, address):
        if address.startswith("http://"):
            host, port = address[len("http://"):].split(":")
            super().__init__(host, int(port))
            self.path = None
        else:
            super().__init__("node")
            self.path = address.removeprefix("unix:")

    def connect(self):
        if self.path is None:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def timed(self, method, path, body=None, **headers):
        """The answer, and the seconds that it took."""
        begun = time.monotonic()
        fields = {"Content-Type": "application/json"} if body is not None else {}
        self.request(method, path, None if body is None else json.dumps(body), fields | headers)
        response = self.getresponse()
        content = response.read()
        taken = time.monotonic() - begun
        if response.status // 100 != 2 or response.status == 202:
            sys.exit(f"{method} {path}: {response.status} {content.decode(errors='replace')}")
        return json.loads(content), taken

    def accepts(self, key):
        self.request("GET", "/verify", headers={"Authorization": "ApiKey " + key})
        response = self.getresponse()
        response.read()
        return response.status == 200


def main():
    node = Connection(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    others = [Connection(address) for address in sys.argv[3:]]
    times = {"create (quorum)": [], "revoke (quorum)": [], "revoke (everywhere)": [], "refused by the last": []}
    for number in range(2 * count):
        made, taken = node.timed("POST", "/v1/keys", {"owner": "acme"})
        made = made["items"][0]
        times["create (quorum)"].append(taken)
        # So that all have it in their caches.
        for other in others:
            if not other.accepts(made["key"]):
                sys.exit("a key that was made a moment ago is refused")
        reach = "everywhere" if number % 2 else "quorum"
        _, taken = node.timed("DELETE", "/v1/keys/" + made["id"], Ack=reach)
        times[f"revoke ({reach})"].append(taken)
        if number % 2:
            if any(other.accepts(made["key"]) for other in others):
                sys.exit("a key that was revoked everywhere is accepted")
        elif others:
            begun = time.monotonic()
            for other in others:
                while other.accepts(made["key"]):
                    pass
            times["refused by the last"].append(time.monotonic() - begun)
    for name, taken in times.items():
        if not taken:
            continue
        taken.sort()
        print(f"{name:22} p50 {taken[len(taken) // 2] * 1e3:7.2f} ms   p99 {taken[len(taken) * 99 // 100] * 1e3:7.2f} ms")


main()
