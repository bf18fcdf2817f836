"""Clients of the control plane that know the correct state of each of their keys. See crashes.py."""

import random
import threading

from harness.checks import Unproven
from harness.connection import Connection

OWNERS_EACH = 3
DEAD = None  # In place of a scope.


class Lost(Exception):
    """The daemon has lost something that it acknowledged."""


class Key:
    """A key and its possible states: its scope, DEAD, or several while the result of a request is unknown."""

    __slots__ = ("id", "secret", "owner", "outcomes")

    def __init__(self, resource):
        self.id, self.secret, self.owner = resource["id"], resource["key"], resource["owner"]
        self.outcomes = {resource["scope"]}


class Writer:
    """One client. No other client changes the keys of its owners, so it knows their correct state."""

    def __init__(self, number, control):
        self.control = control
        self.owners = [f"owner-{number}-{index}" for index in range(OWNERS_EACH)]
        self.keys = []
        self.acknowledged = self.unknown = 0

    def begin(self, cycle):
        self.living = {owner: [] for owner in self.owners}
        for key in self.keys:
            if DEAD not in key.outcomes:
                self.living[key.owner].append(key)
        # Some scopes that the store knows already, and one that is new after each kill.
        self.scopes = ["", "orders:read", "orders:read orders:write", f"cycle:{cycle}"]
        self.touched, self.bulk, self.fault, self.lost, self.killed = set(), None, None, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with Connection(self.control) as connection:
                while True:
                    self.write(connection)
        except OSError as error:
            # The effect of a kill. The interrupted request may or may not have been carried out.
            if not self.killed:
                self.fault = f"a writer's connection broke before the kill: {type(error).__name__}"
        except Lost as loss:
            self.lost = str(loss)
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error}"

    def write(self, connection):
        living = self.living[random.choice(self.owners)]
        choice = random.random()
        if choice < 0.4 or not living:
            self.create(connection)
        elif choice < 0.42:
            self.revoke_owner(connection, living)
        else:
            place = random.randrange(len(living))
            living[place], living[-1] = living[-1], living[place]
            self.change(connection, living.pop(), choice)

    def create(self, connection):
        body = {"owner": random.choice(self.owners), "scope": random.choice(self.scopes)}
        self.adopt(self.send(connection, "POST", "/v1/keys", body)["items"][0], body)

    def revoke_owner(self, connection, living):
        self.bulk = list(living)
        for key in living:
            self.expect(key, key.outcomes | {DEAD})
        self.send(connection, "POST", f"/v1/owners/{living[0].owner}/revocations", None)
        for key in living:
            self.expect(key, {DEAD})
        living.clear()
        self.bulk = None

    def change(self, connection, key, choice):
        path, before, scope = f"/v1/keys/{key.id}", key.outcomes, random.choice(self.scopes)
        after = {scope} if choice < 0.7 else {DEAD}
        # Until the answer has arrived, both states are possible.
        self.expect(key, before | after)
        if choice < 0.7:
            self.send(connection, "PATCH", path, {"scope": scope})
            self.living[key.owner].append(key)
        elif choice < 0.85:
            self.send(connection, "DELETE", path, None)
        else:
            successor = self.send(connection, "POST", path + "/rotation", {"overlap_seconds": 0})
            self.adopt(successor, {"owner": key.owner, "scope": next(iter(before))})
        self.expect(key, after)

    def expect(self, key, outcomes):
        key.outcomes = outcomes
        self.touched.add(key)

    def adopt(self, resource, requested):
        if any(resource[member] != value for member, value in requested.items()):
            raise Unproven(f"the new key {resource['id']} does not have the requested properties")
        key = Key(resource)
        self.keys.append(key)
        self.touched.add(key)
        self.living[key.owner].append(key)

    def send(self, connection, method, path, body):
        """A change counts as acknowledged once the whole answer has arrived."""
        self.unknown += 1
        answer = connection.ask_json(method, path, body)
        if answer.status == 404:
            raise Lost(f"{path}: an acknowledged key is not found")
        if not 200 <= answer.status < 300:
            raise Unproven(f"{method} {path} was answered with {answer.status}")
        self.unknown -= 1
        self.acknowledged += 1
        return answer.json
