"""The real client libraries of other providers, pointed at the gate over TLS: what they send, and what they make of it.

Each runs in a process of its own, as it would in a back end, with the tokens that it is to verify, one after the other.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from altcha import v1 as altcha

from caputchin_gate.engines.solver import solve
from tests.servers import Server, serve
from tests.siteverify_site import SECRET, V3_SECRET

PACKAGES = Path(__file__).parent.parent / ".widgets" / "node_modules"
FORGED = "A" * 32 + ".1"


@dataclass(frozen=True)
class Gate:
    """The gate as its clients reach it."""

    server: Server
    authority: Path

    @property
    def base(self) -> str:
        return f"localhost:{self.server.port}/.caputchin"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        context = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection("localhost", self.server.port, timeout=15, context=context)
        headers = {"Content-Type": "application/json", "Origin": "https://www.shop.example"}
        connection.request(method, f"/.caputchin/{path}", json.dumps(body) if body is not None else None, headers)
        try:
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def token(self, site: str = "shop", **more: str) -> str:
        issued = self.ask("POST", "api/v1/captcha/challenge", {"site_key": site, **more})
        return f"{issued['token']}.{solve(issued['token'], issued['target'])}"

    def run(self, *command: str) -> Any:
        """What a program prints, which is JSON. It trusts the gate's certificate, and knows no proxy."""
        trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(self.authority))
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**environment, **trusted},
            cwd=PACKAGES.parent if PACKAGES.exists() else None,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def python(self, program: str, *arguments: str) -> Any:
        return self.run(sys.executable, "-c", program, self.base, *arguments)

    def node(self, program: str, *arguments: str) -> Any:
        if shutil.which("node") is None or not PACKAGES.exists():
            raise RuntimeError("run `make widgets`: the clients are not installed")
        return self.run("node", "--input-type=module", "-e", program, self.base, *arguments)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    options = ("--ssl-certfile", str(folder / "server.pem"), "--host", "localhost")
    with serve("uvicorn-httptools", "tests.siteverify_site:app", options=options) as server:
        yield Gate(server, folder / "ca.pem")


DJANGO = """
import json, sys
import django
from django.conf import settings

base, secret, *tokens = sys.argv[1:]
settings.configure(
    USE_I18N=False,
    INSTALLED_APPS=["django_recaptcha", "hcaptcha", "turnstile"],
    SILENCED_SYSTEM_CHECKS=["django_recaptcha.recaptcha_test_key_error"],
    RECAPTCHA_DOMAIN=base,
    RECAPTCHA_PRIVATE_KEY=secret,
    RECAPTCHA_PUBLIC_KEY="shop",
    HCAPTCHA_VERIFY_URL=f"https://{base}/hcaptcha/siteverify",
    HCAPTCHA_SECRET=secret,
    TURNSTILE_VERIFY_URL=f"https://{base}/turnstile/v0/siteverify",
    TURNSTILE_SECRET=secret,
)
django.setup()
from django import forms
"""

FIELDS = {
    "django-recaptcha": (
        "from django_recaptcha.fields import ReCaptchaField as Field",
        "g-recaptcha-response",
        ["captcha_invalid"],
    ),
    "django-hcaptcha": (
        "from hcaptcha.fields import hCaptchaField as Field",
        "h-captcha-response",
        ["invalid_hcaptcha"],
    ),
    "django-turnstile": (
        "from turnstile.fields import TurnstileField as Field",
        "cf-turnstile-response",
        ["invalid_turnstile"],
    ),
}


@pytest.mark.parametrize("library", FIELDS)
def test_forms_of_django_verify_each_token_once(gate: Gate, library: str) -> None:
    imports, name, invalid = FIELDS[library]
    program = f"""{DJANGO}
{imports}

class Contact(forms.Form):
    captcha = Field()

def codes(token):
    form = Contact({{"{name}": token, "captcha": token}})
    return [error.code for error in form.errors.as_data().get("captcha", [])]

print(json.dumps([codes(token) for token in tokens]))
"""
    token = gate.token()
    assert gate.python(program, SECRET, token, token, FORGED, "", gate.token()) == [
        [],
        invalid,
        invalid,
        ["required"],
        [],
    ]
    assert gate.python(program, "another secret", gate.token()) == [invalid]


SCORES = f"""{DJANGO}
from django_recaptcha.fields import ReCaptchaField
from django_recaptcha.widgets import ReCaptchaV3

def errors(token, action, least):
    class Login(forms.Form):
        captcha = ReCaptchaField(widget=ReCaptchaV3(action=action, required_score=least))
    form = Login({{"captcha": token}})
    return [error.code for error in form.errors.as_data().get("captcha", [])]

cases = [("login", 0.5), ("login", 0.9), ("signup", 0.5)]
print(json.dumps([errors(token, *case) for token, case in zip(tokens, cases)]))
"""


def test_version_3_of_django_recaptcha_compares_the_constant_and_the_action(gate: Gate) -> None:
    tokens = [gate.token("scores", action="login") for _ in range(3)]
    assert gate.python(SCORES, V3_SECRET, *tokens) == [[], ["captcha_invalid"], ["captcha_invalid"]]


def test_version_3_fails_for_a_site_without_scores(gate: Gate) -> None:
    assert gate.python(SCORES, SECRET, gate.token()) == [["captcha_invalid"]]


FRIENDLY_PYTHON = """
import json, sys
from friendly_captcha_client.client import FriendlyCaptchaClient

base, secret, *tokens = sys.argv[1:]
client = FriendlyCaptchaClient(api_key=secret, sitekey="shop", api_endpoint=f"https://{base}", strict=True)

def verified(token):
    result = client.verify_captcha_response(captcha_response=token)
    code = result.error.error_code if result.error else None
    origin = result.data.challenge.origin if result.data else None
    return [result.should_accept, result.was_able_to_verify, getattr(code, "value", code), origin]

print(json.dumps([verified(token) for token in tokens]))
"""

FRIENDLY_NODE = """
import { FriendlyCaptchaClient } from "@friendlycaptcha/server-sdk"

const [base, secret, ...tokens] = process.argv.slice(1)
// The client drops the path of its endpoint, so the mount is put back by the `fetch` it may be given.
const below = url => url.replace("/api/v2/", "/.caputchin/api/v2/")
const client = new FriendlyCaptchaClient({
  apiKey: secret, sitekey: "shop", apiEndpoint: `https://${base}`, strict: true,
  fetch: (url, init) => fetch(below(url), init),
})
const told = []
for (const token of tokens) {
  const result = await client.verifyCaptchaResponse(token)
  told.push([
    result.shouldAccept(), result.wasAbleToVerify(), result.response.error?.error_code ?? null,
    result.response.data?.challenge.origin ?? null,
  ])
}
console.log(JSON.stringify(told))
process.exit()  // it leaves its time limit running
"""

ORIGIN = "https://www.shop.example"


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_clients_of_friendly_captcha_know_every_answer(gate: Gate, language: str) -> None:
    run, program = (gate.python, FRIENDLY_PYTHON) if language == "python" else (gate.node, FRIENDLY_NODE)

    def client(*arguments: str) -> Any:
        return run(program, *arguments)

    token = gate.token()
    assert client(SECRET, token, token, FORGED) == [
        [True, True, None, ORIGIN],
        [False, True, "response_duplicate", None],
        [False, True, "response_invalid", None],
    ]
    assert client("another secret", gate.token()) == [[False, False, "auth_invalid", None]]
    assert client(V3_SECRET, gate.token("scores")) == [[False, False, "sitekey_invalid", None]]


def test_cloudflares_plugin_for_pages_verifies_by_multipart(gate: Gate) -> None:
    """Its URL is fixed, so the request is sent on by the `fetch` that it finds."""
    program = """
const [base, secret, ...tokens] = process.argv.slice(1)
const send = globalThis.fetch
globalThis.fetch = (url, init) => send(url.replace("challenges.cloudflare.com", base), init)
const { default: plugin } = await import("@cloudflare/pages-plugin-turnstile")

const told = []
for (const [token, key] of tokens.map(token => token.split(" "))) {
  const body = new FormData()
  body.set("cf-turnstile-response", token)
  const context = {
    request: new Request("https://shop.example/", { method: "POST", body }),
    env: { ASSETS: { fetch: () => new Response("ok") } }, functionPath: "", params: {}, data: {},
    next: () => new Response("admitted"), waitUntil: () => {}, passThroughOnException: () => {},
    pluginArgs: { secret, idempotency_key: key },
  }
  const answer = await plugin(context.pluginArgs)(context)
  const verdict = context.data.turnstile
  told.push([answer.status, verdict.success, verdict["error-codes"], verdict.hostname ?? null])
}
console.log(JSON.stringify(told))
"""
    key = "6b0f1f0e-0a53-4d2e-9a3d-6b3f5a6f1f2c"
    token, other = gate.token(), gate.token()
    host = "www.shop.example"
    assert gate.node(program, SECRET, token, token, FORGED, f"{other} {key}", f"{other} {key}", other) == [
        [200, True, [], host],
        [400, False, ["timeout-or-duplicate"], None],
        [400, False, ["invalid-input-response"], None],
        [200, True, [], host],
        [200, True, [], host],
        [400, False, ["timeout-or-duplicate"], None],
    ]


def test_express_turnstile_verifies_by_the_multipart_of_its_own_library(gate: Gate) -> None:
    """Its URL is fixed too, and its form is not one of Node's `fetch`: it is sent as the form itself writes it."""
    program = """
import { createRequire } from "node:module"
import { join } from "node:path"
const require = createRequire(join(process.cwd(), "here.js"))

const [base, secret, ...tokens] = process.argv.slice(1)
const send = globalThis.fetch
globalThis.fetch = (url, { method, body }) =>
  send(url.replace("challenges.cloudflare.com", base), { method, body: body.getBuffer(), headers: body.getHeaders() })
const { turnstile } = require("express-turnstile")

const verified = token => new Promise(resolve => {
  const request = { body: { token }, headers: {}, socket: { remoteAddress: "127.0.0.1" } }
  const response = { status: code => ({ json: told => resolve([code, told.data.message]) }) }
  turnstile.validate(secret)(request, response, () => resolve([200, null]))
})
const told = []
for (const token of tokens) told.push(await verified(token))
console.log(JSON.stringify(told))
"""
    token = gate.token()
    assert gate.node(program, SECRET, token, token, FORGED) == [
        [200, None],
        [400, "Invalid token"],
        [400, "Invalid token"],
    ]


def test_what_altchas_library_solved_verifies_as_any_other_token(gate: Gate) -> None:
    program = """
import json, sys, urllib.parse, urllib.request
base, secret, *tokens = sys.argv[1:]
told = []
for token in tokens:
    form = urllib.parse.urlencode({"secret": secret, "response": token}).encode()
    told.append(json.load(urllib.request.urlopen(f"https://{base}/siteverify", form, timeout=15)))
print(json.dumps([[one["success"], one.get("hostname"), one.get("error-codes")] for one in told]))
"""
    issued = gate.ask("GET", "altcha/shop/challenge")
    found = altcha.solve_challenge(*(issued[name] for name in ("challenge", "salt", "algorithm", "maxnumber")))
    assert found is not None
    payload = {**issued, "number": found.number}
    token = base64.b64encode(json.dumps(payload).encode()).decode()
    assert gate.python(program, SECRET, token, token) == [
        [True, "www.shop.example", None],
        [False, None, ["timeout-or-duplicate"]],
    ]
