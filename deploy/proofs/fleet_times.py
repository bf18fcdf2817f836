"""How long changes take on a node of a fleet: `deploy/fleet --measure` runs it.

    fleet_times.py SOCKET [COUNT]

SOCKET is the control socket of a node. Creates and revokes COUNT keys, one after the other, over one connection, and prints the
median and the 99th percentile of each, in milliseconds: a creation is acknowledged when a majority of etcd and the node have it,
a revocation when every node has it.
"""

import http.client
import json
import socket
import sys
import time


class Administration(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("node")
        self.path = path

    def connect(self):
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


def main():
    node = Administration(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    times = {"create (quorum)": [], "revoke (quorum)": [], "revoke (everywhere)": []}
    for number in range(2 * count):
        made, taken = node.timed("POST", "/v1/keys", {"owner": "acme"})
        made = made["items"][0]
        times["create (quorum)"].append(taken)
        reach = "everywhere" if number % 2 else "quorum"
        _, taken = node.timed("DELETE", "/v1/keys/" + made["id"], Ack=reach)
        times[f"revoke ({reach})"].append(taken)
    for name, taken in times.items():
        taken.sort()
        print(f"{name:22} p50 {taken[len(taken) // 2] * 1e3:7.2f} ms   p99 {taken[len(taken) * 99 // 100] * 1e3:7.2f} ms")


main()
