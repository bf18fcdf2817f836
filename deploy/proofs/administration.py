"""Uses the administration page in a browser. See deploy/proofs/administration."""

import argparse
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 30
KEYS_OF_THE_CROWD = 350_000
SECRET = re.compile(r"ii[kc]1_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"administration: not so: {what}")
    print(f"  {what}")


class Service:
    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._store = program, folder / "store"
        self.data, self.control = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.remote = f"https://localhost:{free_port()}"
        self.log, self.certificate = folder / "log", folder / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", str(folder / "key.pem"), "-out", str(self.certificate), "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        (folder / "key.pem").chmod(0o400)
        with open(self.log, "w") as log:
            self._process = subprocess.Popen(
                [str(program), "serve", "--store", str(self._store), "--listen", self.data, "--control-listen",
                 self.control + "?only=administration", "--control-listen",
                 self.remote.replace("localhost", "127.0.0.1") + "?only=administration", "--admin-page", "--tls-certificate",
                 str(self.certificate), "--tls-key", str(folder / "key.pem")], stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while '"message":"ready"' not in self.log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("administration: the service did not become ready: " + self.log.read_text())
            time.sleep(0.05)

    def command(self, *words: str, given: str | None = None) -> list[dict]:
        done = subprocess.run(
            [str(self._program), *words, "--store", str(self._store), "--json"], stdout=subprocess.PIPE, text=True,
            input=given, timeout=PATIENCE_SECONDS)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def fill(self, count: int) -> None:
        subprocess.run(
            [str(self._program), "key", "create", "--owner", "crowd", "--count", str(count), "--json", "--store",
             str(self._store)], stdout=subprocess.DEVNULL, check=True, timeout=10 * PATIENCE_SECONDS)

    def remotely(self, key_file: Path, *words: str, trusts: Path | None = None) -> subprocess.CompletedProcess:
        """The command line of another machine: over https, with a key from a file."""
        trust = ["--control-ca", str(trusts)] if trusts else []
        return subprocess.run(
            [str(self._program), *words, "--control", self.remote, "--control-key-file", str(key_file), *trust, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS)

    def accepts(self, key: str) -> bool:
        request = urllib.request.Request(self.data + "/verify", headers={"Authorization": "ApiKey " + key})
        try:
            return urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).status == 200
        except urllib.error.HTTPError:
            return False

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,1000"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        driver.set_page_load_timeout(PATIENCE_SECONDS)
        yield driver
    finally:
        driver.quit()


class Page:
    """What a person does with the page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def waits(self, condition, what: str):
        return WebDriverWait(self.driver, PATIENCE_SECONDS, ignored_exceptions=None).until(
            lambda _: condition(), what)

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
        """At the field, which has the focus, and where a person sees it."""
        form = self.one(field).find_element(By.XPATH, "./ancestor::form").get_attribute("id")
        self.waits(lambda: self.driver.find_elements(By.ID, f"{form}-error"), f"the form complains: {words}")
        note = self.one(f"{form}-error")
        check(words in note.text, f"complains at {field}: {note.text}")
        check(self.one(field).get_attribute("aria-describedby") == f"{form}-error", "the field is described by it")
        self.is_seen(self.one(field), note)

    def complains_in(self, form: str, words: str) -> None:
        """Where no field is at fault: above the form's button."""
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
        # By keyboard: the field has no focus of its own on a fresh page.
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

    def rows(self, name: str) -> list[str]:
        return [row.text for row in self.driver.find_elements(By.CSS_SELECTOR, f"#{name}-rows tr")]

    def is_accessible(self, what: str) -> None:
        violations = Axe().run(self.driver)["violations"]
        faults = "".join(f" {v['id']}: {[node['html'] for node in v['nodes']]}" for v in violations)
        check(not violations, f"{what}: axe finds no fault{faults}")


def keys(page: Page, service: Service) -> None:
    print("keys")
    page.fills(key_owner="acme", key_name="Nightly export", key_scope="orders:read orders:write", key_days="30")
    page.submits("key-form")
    page.says("was created")
    first = page.takes_secret()
    check(service.accepts(first), "the new key is accepted")
    made = service.command("key", "show", first[5 + 1 - 1:5 + 11])[0]
    check(made["owner"] == "acme" and made["scope"] == "orders:read orders:write", "it is as asked for")
    page.fills(key_owner="other")
    page.submits("key-form")
    page.says("was created")
    page.takes_secret()
    page.fills(keys_search="NIGHTLY")
    page.one("keys-search").send_keys(Keys.ENTER)
    page.waits(lambda: len(page.rows("keys")) == 1, "the search finds one")
    check("acme" in page.rows("keys")[0], "it is found by a part of its name")
    page.presses(f"Rotate key {made['id']}", "confirm-no")
    check(service.command("key", "show", made["id"])[0]["successor"] is None, "Cancel changes nothing")
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


def crowd(page: Page, service: Service) -> None:
    print("a search among many")
    service.fill(KEYS_OF_THE_CROWD)
    found = service.command("key", "create", "--owner", "needle")[0]["id"]
    page.one("keys-search").clear()
    page.fills(keys_search="NEEDLE")
    page.one("keys-search").send_keys(Keys.ENTER)
    page.waits(lambda: len(page.rows("keys")) == 1 and found in page.rows("keys")[0], "the one key is found")
    page.says("1 keys")
    check("more" not in page.text("status"), "and nothing else is left to be looked through")
    page.one("keys-search").clear()
    page.fills(keys_search="nobody-has-this")
    page.one("keys-search").send_keys(Keys.ENTER)
    page.says("0 keys")
    check(not page.rows("keys") and not page.one("keys-more").is_displayed(), "a search for nothing comes to its end")
    page.one("keys-search").clear()


def clients(page: Page, service: Service) -> None:
    print("clients")
    page.section("clients")
    page.fills(client_name="gateway")
    page.driver.find_element(By.CSS_SELECTOR, "input[value=introspect]").send_keys(Keys.SPACE)
    page.submits("client-form")
    page.says("was registered")
    page.takes_secret()
    client = service.command("client", "list")[0]
    check(client["name"] == "gateway" and client["may"] == ["introspect"], "it is registered as asked for")
    page.presses(f"Rotate the secret of client {client['client_id']}", "confirm-yes")
    page.says("has a new secret")
    page.takes_secret()
    page.presses(f"Revoke client {client['client_id']}", "confirm-yes")
    page.says("is revoked")
    check(service.command("client", "list")[0]["revoked_at"] is not None, "it is revoked")


def activity(page: Page, service: Service, key: str) -> None:
    print("activity")
    page.section("activity")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (page.text("rate").isdigit() and int(page.text("rate")) > 0):
        if time.monotonic() > deadline:
            raise SystemExit("administration: no rate is shown: " + page.text("rate"))
        for _ in range(50):
            service.accepts(key)
    check(page.text("hit-ratio").endswith("%"), f"a live rate and the share of the cache: {page.text('hit-ratio')}")
    check(any("verify" in row and "valid" in row for row in page.rows("activity")), "verifications by outcome")


def remote(service: Service, folder: Path, admin: str) -> None:
    print("the command line over https")
    key_file = folder / "operator.key"
    key_file.write_text(admin + "\n")
    key_file.chmod(0o644)
    check("cannot be used" in service.remotely(key_file, "key", "list", trusts=service.certificate).stderr,
          "a key file that others may read is refused")
    key_file.chmod(0o400)
    made = service.remotely(key_file, "key", "create", "--owner", "remote", trusts=service.certificate)
    check(made.returncode == 0 and service.accepts(json.loads(made.stdout)["key"]), "a key is made")
    entry = service.command("audit", "list")[-1]
    check(entry["actor"] == {"type": "credential", "id": admin[5:16]}, "the audit log names the key that did it")
    untrusted = service.remotely(key_file, "key", "list")
    check(untrusted.returncode == 3 and admin not in untrusted.stderr, "a server that nobody vouches for is told nothing")


def narrow(page: Page, service: Service) -> None:
    print("narrower rights")
    reader = service.command("key", "create", "--owner", "reader", "--scope", "countersign:keys:read")[0]["key"]
    page.one("sign-out").send_keys(Keys.ENTER)
    page.signs_in("nonsense")
    page.complains("not accepted")
    page.signs_in(reader)
    page.waits(lambda: page.one("keys").is_displayed() and page.rows("keys"), "the keys are listed")
    page.fills(key_owner="mallory")
    page.submits("key-form")
    page.complains_in("key-form", "countersign:keys:write")
    check(not service.command("key", "list", "--owner", "mallory"), "nothing was made")
    page.one("sign-out").send_keys(Keys.ENTER)
    page.waits(lambda: page.one("sign-in").is_displayed(), "signed out")
    check(not page.rows("keys"), "signing out leaves no rows")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--screenshot", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(options.program.resolve(), Path(folder))
        try:
            with browser() as driver:
                page = Page(driver)
                admin = service.command("key", "create", "--owner", "operator", "--scope", "countersign:admin")[0]["key"]
                driver.get(service.control + "/admin")
                print("sign-in")
                page.is_accessible("the sign-in")
                page.signs_in(admin)
                page.waits(lambda: page.one("keys").is_displayed() and page.rows("keys"), "the keys are listed")
                check(page.driver.switch_to.active_element.get_attribute("id") == "keys-title", "the focus goes to the section")
                keys(page, service)
                page.is_accessible("keys")
                crowd(page, service)
                if options.screenshot:
                    driver.save_screenshot(str(options.screenshot))
                clients(page, service)
                page.is_accessible("clients")
                activity(page, service, admin)
                page.is_accessible("activity")
                remote(service, Path(folder), admin)
                narrow(page, service)
                stores = driver.execute_script("return [localStorage.length, sessionStorage.length, document.cookie.length]")
                check(stores == [0, 0, 0], "nothing is kept by the browser")
                check(not SECRET.search(driver.page_source), "no secret is left in the page")
                faults = [line for line in driver.get_log("browser")
                          if line["level"] == "SEVERE" and "the server responded with a status of 4" not in line["message"]]
                check(not faults, f"the browser has no complaint {faults}")
            check(not SECRET.search(service.log.read_text()), "no secret is in the log")
        finally:
            service.close()
    print("administration: all as it should be")


if __name__ == "__main__":
    main()
