"""Completes each OAuth 2.0 grant with Authlib, and the code flow in a browser. See deploy/proofs/oauth."""

import argparse
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 30
# Authlib refuses http unless told that it is for trying out.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"oauth: not so: {what}")
    print(f"  {what}")


class Service:
    """A running countersign with the demonstration sign-in."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._store = program, folder / "store"
        self.data, self.oauth = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._log = open(folder / "log", "w+")
        self._process = subprocess.Popen(
            [str(program), "serve", "--store", str(self._store), "--listen", self.data, "--control-listen", self.oauth,
             "--demo-login", "--introspection-url", self.data + "/oauth2/introspect"],
            stdin=subprocess.DEVNULL, stderr=self._log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while '"message":"ready"' not in Path(self._log.name).read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("oauth: the service did not become ready: " + Path(self._log.name).read_text())
            time.sleep(0.05)

    def client(self, *words: str) -> tuple[str, str | None]:
        done = subprocess.run(
            [str(self._program), "client", "create", "--store", str(self._store), "--json", *words], check=True,
            stdout=subprocess.PIPE, text=True)
        made = json.loads(done.stdout)
        return made["client_id"], made["client_secret"]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        self._log.close()


class Application:
    """Where the browser comes back to: keeps the address of each answer."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        answers = self.answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/cb"):
                    answers.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<title>back at the application</title>")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.callback = f"http://127.0.0.1:{self._server.server_port}/cb"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def last(self) -> str:
        return self.callback.removesuffix("/cb") + self.answers[-1]

    def close(self) -> None:
        self._server.shutdown()


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=800,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        driver.set_page_load_timeout(PATIENCE_SECONDS)
        yield driver
    finally:
        driver.quit()


def machine(service: Service, introspector: OAuth2Session) -> None:
    print("client credentials")
    client_id, secret = service.client("--name", "billing", "--grant", "client_credentials", "--scope", "orders:read")
    for method in ("client_secret_basic", "client_secret_post"):
        session = OAuth2Session(client_id, secret, token_endpoint_auth_method=method, scope="orders:read")
        token = session.fetch_token(service.oauth + "/oauth2/token", grant_type="client_credentials")
        check(active(service, introspector, token["access_token"])["scope"] == "orders:read", f"a token by {method}")
        check("refresh_token" not in token, "and no refresh token")
    refused = OAuth2Session(client_id, secret, scope="orders:write")
    refuses(lambda: refused.fetch_token(service.oauth + "/oauth2/token", grant_type="client_credentials"),
            "invalid_scope", "a scope that it is not registered for")
    stranger = OAuth2Session(client_id, "wrong")
    refuses(lambda: stranger.fetch_token(service.oauth + "/oauth2/token", grant_type="client_credentials"),
            "invalid_client", "a wrong secret")


def active(service: Service, introspector: OAuth2Session, token: str) -> dict:
    return introspector.introspect_token(service.data + "/oauth2/introspect", token=token).json()


def refuses(body, error: str, what: str) -> None:
    try:
        body()
    except OAuthError as refused:
        check(refused.error == error, f"{what} is refused with {error}")
        return
    raise SystemExit(f"oauth: {what} was not refused")


def person(service: Service, introspector: OAuth2Session, screenshot: Path | None) -> None:
    application = Application()
    try:
        for is_public in (False, True):
            print("authorization code, " + ("a public client" if is_public else "a confidential client"))
            words = ["--name", "Corner Shop", "--grant", "authorization_code", "--grant", "refresh_token", "--scope",
                     "orders:read orders:write", "--redirect-uri", application.callback]
            client_id, secret = service.client(*words, *(["--public"] if is_public else []))
            session = OAuth2Session(
                client_id, secret, redirect_uri=application.callback, code_challenge_method="S256",
                token_endpoint_auth_method="none" if is_public else "client_secret_basic")
            code_flow(service, introspector, session, application, None if is_public else screenshot)
    finally:
        application.close()


def code_flow(
    service: Service, introspector: OAuth2Session, session: OAuth2Session, application: Application,
    screenshot: Path | None,
) -> None:
    verifier = generate_token(48)
    address, state = session.create_authorization_url(service.oauth + "/oauth2/authorize", code_verifier=verifier)
    with browser() as driver:
        sign_in(driver, address, screenshot)
        answer = application.last()
        check(parse_qs(urlsplit(answer).query)["iss"] == [service.oauth], "the answer says who gives it")
        driver.get(address)
        driver.find_element(By.CSS_SELECTOR, "button[value=deny]").click()
        WebDriverWait(driver, PATIENCE_SECONDS).until(lambda d: "back at the application" in d.title)
        check(parse_qs(urlsplit(application.last()).query)["error"] == ["access_denied"], "a no is told the application")
        errors = [line for line in driver.get_log("browser") if "favicon" not in line["message"]]
        check(not errors, f"the browser has nothing to complain of {errors or ''}")
    token = session.fetch_token(
        service.oauth + "/oauth2/token", authorization_response=answer, state=state, code_verifier=verifier)
    known = active(service, introspector, token["access_token"])
    check(known["active"] and known["sub"] == "alice" and known["scope"] == "orders:read",
          "the token speaks for who signed in, for what was agreed to")
    first = token["refresh_token"]
    token = session.refresh_token(service.oauth + "/oauth2/token", refresh_token=first)
    check(active(service, introspector, token["access_token"])["active"], "it is refreshed")
    session.revoke_token(service.oauth + "/oauth2/revoke", token=token["refresh_token"])
    check(not active(service, introspector, token["access_token"])["active"], "and ends when its grant is revoked")
    refuses(lambda: session.refresh_token(service.oauth + "/oauth2/token", refresh_token=token["refresh_token"]),
            "invalid_grant", "a revoked refresh token")


def sign_in(driver: webdriver.Chrome, address: str, screenshot: Path | None) -> None:
    """By keyboard alone."""
    driver.get(address)
    check(driver.title == "Sign in", "the browser is at the sign-in")
    subject = driver.switch_to.active_element
    check(subject.get_attribute("name") == "subject" and subject.accessible_name == "Who you are",
          "the field for the name has the focus and a label")
    subject.send_keys("alice")
    for box in driver.find_elements(By.NAME, "grant"):
        if box.get_attribute("value") == "orders:write":
            box.send_keys(Keys.SPACE)
    if screenshot:
        driver.save_screenshot(str(screenshot))
    driver.find_element(By.ID, "subject").send_keys(Keys.ENTER)
    WebDriverWait(driver, PATIENCE_SECONDS).until(lambda d: "back at the application" in d.title)
    check(True, "and comes back to the application")


def discovery(service: Service) -> None:
    print("metadata")
    known = OAuth2Session().request(
        "GET", service.oauth + "/.well-known/oauth-authorization-server", withhold_token=True).json()
    check(known["issuer"] == service.oauth, "the issuer is the address")
    check(known["introspection_endpoint"] == service.data + "/oauth2/introspect", "it names the introspection endpoint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--screenshot", type=Path, help="of the sign-in page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oauth-") as name:
        service = Service(arguments.program.resolve(), Path(name))
        try:
            client_id, secret = service.client("--name", "gateway", "--may", "introspect")
            introspector = OAuth2Session(client_id, secret)
            discovery(service)
            machine(service, introspector)
            person(service, introspector, arguments.screenshot)
        finally:
            service.close()
    print("oauth: every grant was completed")


sys.exit(main())
