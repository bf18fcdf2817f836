"""Uses the administration page in a browser. See deploy/proofs/administration."""

import argparse
import json
import re
import subprocess
from pathlib import Path

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.browser import browser, wait_for
from harness.checks import check, conclude
from harness.connection import Connection
from harness.processes import Process, free_ports, run, wait_until
from harness.service import Service, make_certificate

CROWD_KEYS = 350_000
FILL_SECONDS_MAX = 300
SECRET = re.compile(r"ii[kc]1_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}")


class Administered(Service):
    """A service with the administration page, on loopback and over https for other machines."""

    def __init__(self, program: Path) -> None:
        super().__init__(program, listens=("--listen",))
        control, remote = free_ports(2)
        self.page, self.remote = f"http://127.0.0.1:{control}", f"https://localhost:{remote}"
        self.certificate = make_certificate(self.folder / "certificate.pem", self.folder / "key.pem")
        self.flags += [
            "--control-listen", self.page + "?only=administration",
            "--control-listen", f"https://127.0.0.1:{remote}?only=administration", "--admin-page",
            "--tls-certificate", self.certificate.certificate, "--tls-key", self.certificate.key]

    def remotely(self, key_file: Path, *words: str, trusts: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The command line of another machine: over https, with a key from a file."""
        trust = ["--control-ca", trusts] if trusts else []
        return run([self.program, *words, "--control", self.remote, "--control-key-file", key_file, *trust, "--json"])

    def accepts(self, key: str) -> bool:
        with Connection(self.port) as connection:
            return connection.ask("GET", "/verify", fields=f"Authorization: ApiKey {key}\r\n").status == 200


class Page:
    """The actions of a user on the page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def waits(self, condition, what: str):
        return wait_for(self.driver, condition, what)

    def one(self, name: str):
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return self.one(name).text

    def says(self, words: str) -> None:
        self.waits(lambda: words in self.text("status"), f"the page says: {words}")
        check(True, f"says: {words}")

    def complains(self, words: str) -> None:
        self.waits(lambda: words in self.text("error"), f"the page complains: {words}")
        check(True, f"complains: {words}")

    def complains_at(self, field: str, words: str) -> None:
        """The message is at the field, which has the focus and is in view."""
        form = self.one(field).find_element(By.XPATH, "./ancestor::form").get_attribute("id")
        self.waits(lambda: self.driver.find_elements(By.ID, f"{form}-error"), f"the form complains: {words}")
        note = self.one(f"{form}-error")
        check(words in note.text, f"complains at {field}: {note.text}")
        check(self.one(field).get_attribute("aria-describedby") == f"{form}-error", "the field is described by it")
        self.is_seen(self.one(field), note)

    def complains_in(self, form: str, words: str) -> None:
        """The message is above the button of the form, since no single field is wrong."""
        self.waits(lambda: self.driver.find_elements(By.ID, f"{form}-error"), f"the form complains: {words}")
        note = self.one(f"{form}-error")
        check(words in note.text, f"complains in {form}: {note.text}")
        self.is_seen(note, note)

    def is_seen(self, focused, note) -> None:
        check(self.driver.switch_to.active_element == focused, "the focus is there")
        seen = self.driver.execute_script(
            "const box = arguments[0].getBoundingClientRect(); return box.top >= 0 && box.bottom <= window.innerHeight", note)
        check(seen, "it is in view")

    def signs_in(self, key: str) -> None:
        self.waits(lambda: self.one("credential").is_displayed(), "the sign-in form")
        # With the keyboard: the field is not focused on a newly loaded page.
        self.one("credential").send_keys(key, Keys.ENTER)

    def section(self, name: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"nav [data-section={name}]").send_keys(Keys.ENTER)
        self.waits(lambda: self.one(name).is_displayed(), name)

    def fills(self, **fields: str) -> None:
        for name, value in fields.items():
            self.one(name.replace("_", "-")).send_keys(value)

    def submits(self, form: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"#{form} > button").send_keys(Keys.ENTER)

    def takes_secret(self) -> str:
        self.waits(lambda: SECRET.fullmatch(self.text("secret-value")), "the secret is shown")
        check(self.driver.switch_to.active_element.get_attribute("id") == "secret-title", "the focus goes to the new secret")
        secret = self.text("secret-value")
        self.one("secret-done").send_keys(Keys.ENTER)
        self.waits(lambda: not self.one("secret").is_displayed(), "the secret is gone")
        return secret

    def presses(self, label: str, answer: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"button[aria-label='{label}']").send_keys(Keys.ENTER)
        self.waits(lambda: self.one("confirm").is_displayed(), "the question")
        check(self.driver.switch_to.active_element.get_attribute("id") == "confirm-no", "the focus is on Cancel")
        self.one(answer).send_keys(Keys.ENTER)
        self.waits(lambda: not self.one("confirm").is_displayed(), "the question is answered")

    def describes(self, key: str, words: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"button[aria-label='Describe key {key}']").send_keys(Keys.ENTER)
        self.waits(lambda: self.one("describe").is_displayed(), "the dialog")
        self.one("describe-text").send_keys(words)
        self.submits("describe-form")
        self.waits(lambda: not self.one("describe").is_displayed(), "it is closed")

    def rows(self, name: str) -> list[str]:
        return [row.text for row in self.driver.find_elements(By.CSS_SELECTOR, f"#{name}-rows tr")]

    def is_accessible(self, what: str) -> None:
        violations = Axe().run(self.driver)["violations"]
        faults = "".join(f" {v['id']}: {[node['html'] for node in v['nodes']]}" for v in violations)
        check(not violations, f"{what}: axe finds no fault{faults}")


def keys(page: Page, service: Administered) -> None:
    print("keys")
    page.fills(key_owner="acme", key_name="Nightly export", key_scope="orders:read orders:write", key_days="30")
    page.submits("key-form")
    page.says("was created")
    first = page.takes_secret()
    check(service.accepts(first), "the new key is accepted")
    made = service.json_result("key", "show", first[5:16])
    check(made["owner"] == "acme" and made["scope"] == "orders:read orders:write", "it has the requested properties")
    page.fills(key_owner="other")
    page.submits("key-form")
    page.says("was created")
    page.takes_secret()
    page.fills(keys_search="NIGHTLY")
    page.one("keys-search").send_keys(Keys.ENTER)
    page.waits(lambda: len(page.rows("keys")) == 1, "the search finds one")
    check("acme" in page.rows("keys")[0], "it is found by a part of its name")
    page.describes(made["id"], "Exports orders. Ask the data team.")
    page.says("is saved")
    check("Ask the data team" in page.rows("keys")[0], "the description is shown")
    check(service.json_result("key", "show", made["id"])["description"] == "Exports orders. Ask the data team.", "and stored")
    page.presses(f"Rotate key {made['id']}", "confirm-no")
    check(service.json_result("key", "show", made["id"])["successor"] is None, "Cancel changes nothing")
    page.presses(f"Rotate key {made['id']}", "confirm-yes")
    page.says("is replaced by")
    second = page.takes_secret()
    check(service.accepts(first) and service.accepts(second), "the old key works beside its successor")
    page.presses(f"Revoke key {made['id']}", "confirm-yes")
    page.says("is revoked")
    check(not service.accepts(first) and service.accepts(second), "a revoked key is not accepted any more")
    page.fills(key_owner="x", key_network="nonsense")
    page.submits("key-form")
    page.complains_at("key-network", "network")
    check(page.one("key-owner").get_attribute("value") == "x", "what was typed is not lost")


def search(page: Page, service: Administered) -> None:
    print("a search among many")
    service.json_lines("key", "create", "--owner", "crowd", "--count", CROWD_KEYS, seconds_max=FILL_SECONDS_MAX)
    found = service.json_result("key", "create", "--owner", "needle")["id"]
    page.one("keys-search").clear()
    page.fills(keys_search="NEEDLE")
    page.one("keys-search").send_keys(Keys.ENTER)
    page.waits(lambda: len(page.rows("keys")) == 1 and found in page.rows("keys")[0], "the one key is found")
    page.says("1 keys")
    check("more" not in page.text("status"), "there is no further page of results")
    page.one("keys-search").clear()
    page.fills(keys_search="nobody-has-this")
    page.one("keys-search").send_keys(Keys.ENTER)
    page.says("0 keys")
    check(not page.rows("keys") and not page.one("keys-more").is_displayed(), "a search without results ends")
    page.one("keys-search").clear()


def clients(page: Page, service: Administered) -> None:
    print("clients")
    page.section("clients")
    page.fills(client_name="gateway")
    page.driver.find_element(By.CSS_SELECTOR, "input[value=introspect]").send_keys(Keys.SPACE)
    page.submits("client-form")
    page.says("was registered")
    page.takes_secret()
    client = service.json_lines("client", "list")[0]
    check(client["name"] == "gateway" and client["may"] == ["introspect"], "it has the requested properties")
    page.presses(f"Rotate the secret of client {client['client_id']}", "confirm-yes")
    page.says("has a new secret")
    page.takes_secret()
    page.presses(f"Revoke client {client['client_id']}", "confirm-yes")
    page.says("is revoked")
    check(service.json_lines("client", "list")[0]["revoked_at"] is not None, "it is revoked")


def activity(page: Page, service: Administered, key: str) -> None:
    print("activity")
    page.section("activity")

    def shows_rate() -> bool:
        for _ in range(50):
            service.accepts(key)
        return page.text("rate").isdigit() and int(page.text("rate")) > 0

    page.waits(shows_rate, "a rate is shown")
    check(page.text("hit-ratio").endswith("%"), f"a live rate and the share of the cache: {page.text('hit-ratio')}")
    check(any("verify" in row and "valid" in row for row in page.rows("activity")), "verifications by outcome")


def remote(service: Administered, admin: str) -> None:
    print("the command line over https")
    key_file = service.folder / "operator.key"
    key_file.write_text(admin + "\n")
    key_file.chmod(0o644)
    check("cannot be used" in service.remotely(key_file, "key", "list", trusts=service.certificate.certificate).stderr,
          "a key file that others may read is refused")
    key_file.chmod(0o400)
    made = service.remotely(key_file, "key", "create", "--owner", "remote", trusts=service.certificate.certificate)
    check(made.returncode == 0 and service.accepts(json.loads(made.stdout)["key"]), "a key is created")
    entry = service.json_lines("audit", "list")[-1]
    check(entry["actor"] == {"type": "credential", "id": admin[5:16]}, "the audit log names the key that did it")
    untrusted = service.remotely(key_file, "key", "list")
    check(untrusted.returncode == 3 and admin not in untrusted.stderr, "an untrusted server does not get the key")


def narrow(page: Page, service: Administered) -> None:
    print("narrower rights")
    reader = service.json_result("key", "create", "--owner", "reader", "--scope", "countersign:keys:read")["key"]
    page.one("sign-out").send_keys(Keys.ENTER)
    page.signs_in("nonsense")
    page.complains("not accepted")
    page.signs_in(reader)
    page.waits(lambda: page.one("keys").is_displayed() and page.rows("keys"), "the keys are listed")
    page.fills(key_owner="mallory")
    page.submits("key-form")
    page.complains_in("key-form", "countersign:keys:write")
    check(not service.json_lines("key", "list", "--owner", "mallory"), "no key was created")
    page.one("sign-out").send_keys(Keys.ENTER)
    page.waits(lambda: page.one("sign-in").is_displayed(), "signed out")
    check(not page.rows("keys"), "signing out leaves no rows")


def nodes(service: Administered, admin: str) -> None:
    """The same store as the one of a fleet."""
    print("a node of a fleet")
    client, peer = free_ports(2)
    at, toward = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    command = [
        "etcd", "--name", "m", "--data-dir", service.folder / "etcd", "--initial-cluster", f"m={toward}",
        "--listen-peer-urls", toward, "--initial-advertise-peer-urls", toward, "--listen-client-urls", at,
        "--advertise-client-urls", at, "--logger", "zap"]
    with Process(command, service.folder / "etcd.log") as etcd:
        cluster = f"etcd://127.0.0.1:{client}/main"
        begun = wait_until(lambda: service.command("cluster", "init", "--cluster", cluster).returncode == 0, process=etcd)
        check(begun, "the fleet begins with the store")
        service.flags += ["--cluster", cluster, "--node", "n1"]
        service.start()
        with browser(1200, 1000) as driver:
            page = Page(driver)
            driver.get(service.page + "/admin")
            page.signs_in(admin)
            page.waits(lambda: driver.find_element(By.CSS_SELECTOR, "nav [data-section=nodes]").is_displayed(), "there are nodes")
            page.section("nodes")
            page.waits(lambda: page.rows("nodes"), "the nodes are listed")
            row = page.rows("nodes")[0]
            check("n1" in row.split() and "10" in row.split(), f"with entry and lease: {row}")
            check("The log of the fleet main has" in page.text("nodes-log"), page.text("nodes-log"))
            page.is_accessible("nodes")
            page.one("nodes-compare").send_keys(Keys.ENTER)
            page.says("all stores are equal")
        check(service.end() == 0, "the node ends with status 0")


def main() -> bool:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--screenshot", type=Path)
    options = parser.parse_args()
    with Administered(options.program.resolve()) as service:
        service.start()
        with browser(1200, 1000) as driver:
            page = Page(driver)
            admin = service.json_result("key", "create", "--owner", "operator", "--scope", "countersign:admin")["key"]
            driver.get(service.page + "/admin")
            print("sign-in")
            page.is_accessible("the sign-in")
            page.signs_in(admin)
            page.waits(lambda: page.one("keys").is_displayed() and page.rows("keys"), "the keys are listed")
            check(page.driver.switch_to.active_element.get_attribute("id") == "keys-title", "the focus goes to the section")
            keys(page, service)
            page.is_accessible("keys")
            search(page, service)
            if options.screenshot:
                driver.save_screenshot(str(options.screenshot))
            clients(page, service)
            page.is_accessible("clients")
            check(not driver.find_element(By.CSS_SELECTOR, "nav [data-section=nodes]").is_displayed(), "it has no nodes")
            activity(page, service, admin)
            page.is_accessible("activity")
            remote(service, admin)
            narrow(page, service)
            stores = driver.execute_script("return [localStorage.length, sessionStorage.length, document.cookie.length]")
            check(stores == [0, 0, 0], "nothing is kept by the browser")
            check(not SECRET.search(driver.page_source), "no secret is left in the page")
            faults = [line for line in driver.get_log("browser")
                      if line["level"] == "SEVERE" and "the server responded with a status of 4" not in line["message"]]
            check(not faults, f"the browser reports no error {faults}")
        check(not SECRET.search(service.log.read_text()), "no secret is in the log")
        service.end()
        nodes(service, admin)
    print("administration: all checks passed")
    return True


if __name__ == "__main__":
    conclude("administration", main, unproven=1)
