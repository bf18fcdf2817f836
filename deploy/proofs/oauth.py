"""Completes each OAuth 2.0 grant with Authlib, and the code flow in a browser. See deploy/proofs/oauth."""

import argparse
import http.server
import os
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.browser import browser, wait_for
from harness.checks import Refuted, check, conclude
from harness.service import Service

# Authlib refuses http without this variable.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


class Server:
    """The addresses of a running Countersign with the demonstration sign-in."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.data, self.oauth = (f"http://127.0.0.1:{port}" for port in (service.port, service.oauth_port))
        service.flags += ["--demo-login", "--introspection-url", self.data + "/oauth2/introspect"]
        service.start()

    def client(self, *words: str) -> tuple[str, str | None]:
        made = self._service.json_result("client", "create", *words)
        return made["client_id"], made["client_secret"]


class Application:
    """The redirect target of the browser, which records the URI of each authorization response."""

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
                self.wfile.write(b"<title>redirected to the application</title>")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.callback = f"http://127.0.0.1:{self._server.server_port}/cb"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def last(self) -> str:
        return self.callback.removesuffix("/cb") + self.answers[-1]

    def close(self) -> None:
        self._server.shutdown()


def client_credentials(server: Server, introspector: OAuth2Session) -> None:
    print("client credentials")
    client_id, secret = server.client("--name", "billing", "--grant", "client_credentials", "--scope", "orders:read")
    for method in ("client_secret_basic", "client_secret_post"):
        session = OAuth2Session(client_id, secret, token_endpoint_auth_method=method, scope="orders:read")
        token = session.fetch_token(server.oauth + "/oauth2/token", grant_type="client_credentials")
        check(active(server, introspector, token["access_token"])["scope"] == "orders:read", f"a token by {method}")
        check("refresh_token" not in token, "and no refresh token")
    refused = OAuth2Session(client_id, secret, scope="orders:write")
    refuses(lambda: refused.fetch_token(server.oauth + "/oauth2/token", grant_type="client_credentials"),
            "invalid_scope", "a scope that it is not registered for")
    stranger = OAuth2Session(client_id, "wrong")
    refuses(lambda: stranger.fetch_token(server.oauth + "/oauth2/token", grant_type="client_credentials"),
            "invalid_client", "a wrong secret")


def active(server: Server, introspector: OAuth2Session, token: str) -> dict:
    return introspector.introspect_token(server.data + "/oauth2/introspect", token=token).json()


def refuses(body, error: str, what: str) -> None:
    try:
        body()
    except OAuthError as refused:
        check(refused.error == error, f"{what} is refused with {error}")
        return
    raise Refuted(f"{what} was not refused")


def authorization_code(server: Server, introspector: OAuth2Session, screenshot: Path | None) -> None:
    application = Application()
    try:
        for is_public in (False, True):
            print("authorization code, " + ("a public client" if is_public else "a confidential client"))
            words = ["--name", "Corner Shop", "--grant", "authorization_code", "--grant", "refresh_token", "--scope",
                     "orders:read orders:write", "--redirect-uri", application.callback]
            client_id, secret = server.client(*words, *(["--public"] if is_public else []))
            session = OAuth2Session(
                client_id, secret, redirect_uri=application.callback, code_challenge_method="S256",
                token_endpoint_auth_method="none" if is_public else "client_secret_basic")
            code_flow(server, introspector, session, application, None if is_public else screenshot)
    finally:
        application.close()


def code_flow(
    server: Server, introspector: OAuth2Session, session: OAuth2Session, application: Application,
    screenshot: Path | None,
) -> None:
    verifier = generate_token(48)
    address, state = session.create_authorization_url(server.oauth + "/oauth2/authorize", code_verifier=verifier)
    with browser(800, 900) as driver:
        sign_in(driver, address, screenshot)
        answer = application.last()
        check(parse_qs(urlsplit(answer).query)["iss"] == [server.oauth], "the response names its issuer")
        driver.get(address)
        driver.find_element(By.CSS_SELECTOR, "button[value=deny]").click()
        wait_for(driver, lambda: "redirected to the application" in driver.title, "the browser is redirected to the application")
        error = parse_qs(urlsplit(application.last()).query)["error"]
        check(error == ["access_denied"], "the application is told that access was denied")
        errors = [line for line in driver.get_log("browser") if "favicon" not in line["message"]]
        check(not errors, f"the browser reports no error {errors or ''}")
    token = session.fetch_token(
        server.oauth + "/oauth2/token", authorization_response=answer, state=state, code_verifier=verifier)
    known = active(server, introspector, token["access_token"])
    check(known["active"] and known["sub"] == "alice" and known["scope"] == "orders:read",
          "the token has the subject that signed in and the scope that was granted")
    first = token["refresh_token"]
    token = session.refresh_token(server.oauth + "/oauth2/token", refresh_token=first)
    check(active(server, introspector, token["access_token"])["active"], "it is refreshed")
    session.revoke_token(server.oauth + "/oauth2/revoke", token=token["refresh_token"])
    check(not active(server, introspector, token["access_token"])["active"], "and ends when its grant is revoked")
    refuses(lambda: session.refresh_token(server.oauth + "/oauth2/token", refresh_token=token["refresh_token"]),
            "invalid_grant", "a revoked refresh token")


def sign_in(driver: webdriver.Chrome, address: str, screenshot: Path | None) -> None:
    """With the keyboard only."""
    driver.get(address)
    check(driver.title == "Sign in", "the browser shows the sign-in")
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
    wait_for(driver, lambda: "redirected to the application" in driver.title, "the browser is redirected to the application")
    check(True, "the browser is redirected to the application")


def discovery(server: Server) -> None:
    print("metadata")
    known = OAuth2Session().request(
        "GET", server.oauth + "/.well-known/oauth-authorization-server", withhold_token=True).json()
    check(known["issuer"] == server.oauth, "the issuer is the address")
    check(known["introspection_endpoint"] == server.data + "/oauth2/introspect", "it names the introspection endpoint")


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--screenshot", type=Path, help="of the sign-in page")
    arguments = parser.parse_args()
    with Service(arguments.program.resolve()) as service:
        server = Server(service)
        introspector = OAuth2Session(*server.client("--name", "gateway", "--may", "introspect"))
        discovery(server)
        client_credentials(server, introspector)
        authorization_code(server, introspector, arguments.screenshot)
        service.end()
    print("oauth: every grant was completed")
    return True


conclude("oauth", main, unproven=1)
