"""Configurations with a known hole, each with the check that must detect it. An edit is (file, old text, new text)."""

from dataclasses import dataclass

Edits = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Mutant:
    meaning: str
    detected_by: str
    edits: dict[str, Edits]
    # A multiple of the usual number of requests, for a hole that only shows by chance.
    times: int = 1


CACHE = '''            proxy_cache verdicts;
            proxy_cache_valid 200 1m;
            proxy_ignore_headers Cache-Control;
            proxy_cache_key %s;
        }

        # Countersign gives'''


DENY = "http-request deny deny_status 503 hdr Retry-After 1"
ALLOW = "http-request set-var(txn.away) int(1)"
CHAIN = "[countersign, original-uri, without-credential]"
ENVOY_SET = "- exact: x-auth-subject\n"
ENVOY_APPENDED = "allowed_upstream_headers_to_append: { patterns: [{ exact: x-auth-subject }] }"
ENVOY_KEPT = "decoder_header_mutation_rules: { disallow_expression: { regex: authorization } }"
GRPC_CHECKED = f"check_settings:\n{28 * ' '}context_extensions: {{ policy: orders }}"
ENVOY_DEAF = "decoder_header_mutation_rules: { disallow_expression: { regex: x-auth-subject } }"
ENVOY_CHECKED = "if uri == nil or uri:byte() ~= 47 then"


def cached(key: str) -> dict[str, Edits]:
    return {"nginx": (
        ("nginx.conf", "http {", "http {\n    proxy_cache_path /var/log/nginx/verdicts keys_zone=verdicts:1m;"),
        ("nginx.conf", "        }\n\n        # Countersign gives", CACHE % key))}


MUTANTS = {
    "forged": Mutant("a client's X-Auth-Subject reaches the application", "forged_headers", {
        "nginx": (("nginx.conf", "proxy_set_header X-Auth-Subject    $countersign_subject;", ""),),
        "haproxy": (("haproxy.cfg", "http-request del-header X-Auth- -m beg", ""),
                    ("countersign.lua", "req_set_header", "req_add_header")),
        "caddy": (("Caddyfile", "request_header -X-Auth-*\n", "\n"),
                  ("Caddyfile", "copy_headers X-Auth-Subject", "copy_headers")),
        "traefik": (("dynamic.yaml", "^X-Auth-", "^X-Auth-(Client|Scope|Type|Id|Expires|Sunset|Uri)$"),),
        "envoy": (("envoy.yaml", "x-auth-.*", "x-auth-none"), ("envoy.yaml", ENVOY_SET, "- exact: x-auth-none\n"),
                  ("envoy.yaml", "allowed_client_headers:", f"{ENVOY_APPENDED}\n{26 * ' '}allowed_client_headers:")),
        "envoy-grpc": (("envoy-grpc.yaml", "x-auth-.*", "x-auth-none"),
                       ("envoy-grpc.yaml", "failure_mode_allow: false", ENVOY_DEAF))}),
    "underscore": Mutant("a client's X_Auth_Subject reaches the application", "forged_headers", {
        "nginx": (("nginx.conf", "    access_log", "    underscores_in_headers on;\n    access_log"),),
        "haproxy": (("haproxy.cfg", "http-request del-header [^a-z0-9-] -m reg", ""),),
        # Caddy 2.11 removes such names by itself.
        "caddy-debian": (("Caddyfile", "request_header -*_*\n", "\n"),),
        "traefik": (("traefik.yaml", "aliasHeadersStrategy: delete", "aliasHeadersStrategy: keep"),),
        "envoy": (("envoy.yaml", "[^a-z0-9:-]", "[^a-z0-9:_-]"),),
        "envoy-grpc": (("envoy-grpc.yaml", "[^a-z0-9:-]", "[^a-z0-9:_-]"),)}),
    "hop": Mutant("a client removes X-Auth-Subject by naming it in Connection", "forged_headers", {
        "caddy": (("Caddyfile", "respond @hidden 400\n", "\n"),)}),
    "open": Mutant("a request passes without an answer of Countersign", "outage", {
        "nginx": (("nginx.conf", "return 503;", "proxy_pass http://application;"),),
        "haproxy": (("haproxy.cfg", DENY, ALLOW), ("haproxy.cfg", DENY.replace("deny deny_status", "return status"), ALLOW),
                    ("haproxy.cfg", "    http-request set-pathq %[var(txn.countersign_uri)]\n", ""),
                    ("countersign.lua", 'return refuse(txn, 503, { ["retry-after"] = { "1" } })', "return")),
        "caddy": (("Caddyfile", "respond 503", "reverse_proxy 127.0.0.1:9000"),),
        "traefik": (("dynamic.yaml", CHAIN, "[without-credential]"),),
        "envoy": (("envoy.yaml", "failure_mode_allow: false", "failure_mode_allow: true"),
                  ("envoy.yaml", ENVOY_CHECKED, "if uri == nil then return end if false then")),
        "envoy-grpc": (("envoy-grpc.yaml", "failure_mode_allow: false", "failure_mode_allow: true"),)}),
    "key": Mutant("api_key stays in the query", "identity", {
        "nginx": (("nginx.conf", "http://application$application_uri;", "http://application;"),),
        "haproxy": (("haproxy.cfg", "    http-request set-pathq %[var(txn.countersign_uri)]\n", ""),),
        "caddy": (("Caddyfile", "uri @in_query query -api_key\n", "\n"),),
        "traefik": (("dynamic.yaml", CHAIN, "[countersign, without-credential]"),),
        "envoy": (("envoy.yaml", 'request:headers():replace(":path", uri)', ""),)}),
    "authorization": Mutant("the application gets Authorization", "identity", {
        "nginx": (("nginx.conf", 'proxy_set_header Authorization     "";', ""),),
        "haproxy": (("haproxy.cfg", "    http-request del-header Authorization\n", ""),),
        "caddy": (("Caddyfile", "request_header -Authorization\n", "\n"),),
        "traefik": (("dynamic.yaml", CHAIN, "[countersign, original-uri]"),),
        "envoy": (("envoy.yaml", "failure_mode_allow: false", ENVOY_KEPT),),
        "envoy-grpc": (("envoy-grpc.yaml", "failure_mode_allow: false", ENVOY_KEPT),)}),
    "address": Mutant("a client's X-Forwarded-For is trusted", "forwarded_headers", {
        "nginx": (("nginx.conf", "listen 127.0.0.1:8000;",
                   "listen 127.0.0.1:8000; set_real_ip_from 0.0.0.0/0; real_ip_header X-Forwarded-For;"),),
        "haproxy": (("countersign.lua", "{ txn.f:src() }", '{ txn.f:req_hdr("x-forwarded-for") or txn.f:src() }'),),
        "caddy": (("Caddyfile", "\tlog default", "\tservers {\ntrusted_proxies static 0.0.0.0/0\n}\nlog default"),
                  ("Caddyfile", "header_up -Cookie", "header_up X-Forwarded-For {client_ip}")),
        "traefik": (("traefik.yaml", "    http:\n", "    forwardedHeaders:\n      insecure: true\n    http:\n"),
                    ("dynamic.yaml", "trustForwardHeader: false", "trustForwardHeader: true")),
        "envoy": (("envoy.yaml", "x-(forwarded|", "x-("),
                  ("envoy.yaml", "use_remote_address: true", "use_remote_address: false")),
        "envoy-grpc": (("envoy-grpc.yaml", "x-(forwarded|", "x-("),
                       ("envoy-grpc.yaml", "use_remote_address: true", "use_remote_address: false"))}),
    "pooled": Mutant("a connection to the application is used to ask for a verdict", "concurrency", {
        # Fixed in a version of Caddy after 2.11.4.
        "caddy-debian": (("Caddyfile", "keepalive off\n", "\n"),)}, times=150),
    "logged": Mutant("the gateway logs queries", "leaks", {
        "nginx": (("nginx.conf", '"$request_method $uri"', '"$request"'),),
        "haproxy": (("haproxy.cfg", "%HM %HP", "%HM %HU"),),
        "caddy": (("Caddyfile", 'request>uri regexp \\?.* ""', "request>remote_ip delete"),),
        "traefik": (("traefik.yaml", "defaultMode: drop", "defaultMode: keep"),),
        "envoy": (("envoy.yaml", "%PATH(NQ)%", "%REQ(:PATH)%"),),
        "envoy-grpc": (("envoy-grpc.yaml", "%PATH(NQ)%", "%REQ(:PATH)%"),)}),
    "unchecked": Mutant("a route is not checked", "refusals", {
        "envoy-grpc": (("envoy-grpc.yaml", GRPC_CHECKED, "disabled: true"),)}),
    "unnamed": Mutant("a route names no policy", "identity", {
        "envoy-grpc": (("envoy-grpc.yaml", "{ policy: orders }", "{}"),)}),
    "cached": Mutant("verdicts are cached for a minute", "revocation", cached("$request_uri$http_authorization")),
    "mixed": Mutant("cached verdicts are used for other clients", "load", cached("$request_method")),
}
