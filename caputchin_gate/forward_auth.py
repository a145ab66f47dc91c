"""Forward-auth: a front proxy asks, with the head of a request alone, whether it may go on to the application.

    forward-auth   the question, and the answer in the proxy's own words
    refusal        for nginx, which shows its visitor nothing of an answer: the page that belongs to a refusal

What is asked about stands in headers, and whoever can write those chooses what is decided: they are believed from
trusted proxies alone, one kind of header for a deployment, each exactly once, and none is made up for by another
(threats.md R4, 6). The request that they describe is then judged by the one policy, as one whose body can't be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.endpoints.answers import not_found, refused
from caputchin_gate.messages import Headers, RequestHead, Response
from caputchin_gate.policy import (
    Admit,
    Answer,
    OwnPath,
    PassOn,
    Ruling,
    Settings,
    Terms,
    follow,
    rule_on,
    rule_on_websocket,
)
from caputchin_gate.refusals import NO_STORE
from caputchin_gate.routes import Rule
from caputchin_gate.routes.target_views import decode
from caputchin_gate.verdict import ADMITTING, Decision, Reason

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # a token (RFC 9110 5.6.2)
_SCHEME: Final = "x-forwarded-proto"
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_REASON: Final = "x-caputchin-reason"


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """How one kind of proxy asks, and what it understands.

    method, uri: the headers that describe the request
    takes_403_only: whether every refusal has to be a 403; nginx makes a 500 of all else
    """

    method: str
    uri: str
    takes_403_only: bool = False


FRONT_PROXIES: Final[Mapping[str, FrontProxy]] = {
    "nginx": FrontProxy("x-original-method", "x-original-uri", takes_403_only=True),
    "traefik": FrontProxy("x-forwarded-method", "x-forwarded-uri"),
    "caddy": FrontProxy("x-forwarded-method", "x-forwarded-uri"),
}


# The question


@dataclass(frozen=True, slots=True)
class Unbelieved:
    """A question that is not answered: a constant phrase for the log, and the status of the refusal."""

    why: str
    status: int


def original_of(asking: RequestHead, proxy: FrontProxy, trusted: TrustedProxies) -> RequestHead | Unbelieved:
    """The request that is asked about: its head is that of the question, but for what the proxy says in headers."""
    if not trusted.trusts_peer(asking.peer):
        return Unbelieved("forward-auth was asked by a peer that is not in trusted_proxies", 403)
    told = {name: asking.headers.get(name, ()) for name in (proxy.method, proxy.uri, _SCHEME)}
    wrong = [name for name, values in told.items() if len(values) != 1 or not values[0]]
    if wrong:
        return Unbelieved(f"forward-auth needs exactly one {wrong[0]}", 400)
    method, uri, scheme = (values[0] for values in told.values())
    if not _METHOD.fullmatch(method):
        return Unbelieved(f"{proxy.method} is no method", 400)
    if scheme not in _SCHEMES:
        return Unbelieved(f"{_SCHEME} is neither http nor https", 400)
    target, _, query = uri.partition("?")
    return replace(
        asking,
        method=method,
        path=decode(target),
        raw_path=target,
        root_path="",
        query=query,
        scheme=_SCHEMES[scheme],
        body_seen=False,
    )


async def advise(asking: RequestHead, proxy: FrontProxy, settings: Settings) -> Answer:
    """Answer a question: 204 lets the request pass, everything else is a refusal."""
    match original_of(asking, proxy, settings.trusted_proxies):
        case RequestHead() as original:
            ruling = await _judge(original, settings)
        case Unbelieved(why=why, status=status):
            decision = Decision(Reason.MISCONFIGURED, http_status=status, details=(why,))
            ruling = rule_on(decision, asking, None, settings)
    match ruling:
        case PassOn():
            return Answer(_passing(Decision(Reason.UNGUARDED)))
        case Admit(decision=decision, set_cookie=cookie):
            return Answer(_passing(decision, cookie), decision)
        case Answer():
            return _refusing(ruling, proxy)
        case _:
            assert_never(ruling)


async def _judge(original: RequestHead, settings: Settings) -> Ruling:
    """What the doors do, for a request that is only described."""
    if _is_handshake(original) and not settings.routes.untouched(original.path, original.raw_path, ""):
        return rule_on_websocket(original, settings)
    found = settings.routes.match(original)
    if isinstance(found, Rule) and isinstance(found.terms, OwnPath) and _is_served(found.terms, original):
        return PassOn()  # a proxy that asks about everything leads these to the gate as well
    return await follow(found, original, settings)


def _is_served(own: OwnPath, head: RequestHead) -> bool:
    """Whether the gate answers that path, as spelled. A proxy may lead any other spelling to the application."""
    return own.endpoints is not None and below(head, own.mount) is not None


def below(head: RequestHead, mount: str) -> str | None:
    """What stands below the mount in a path of exactly one spelling: the proxy's configuration has no other."""
    if head.raw_path not in (None, head.path):
        return None
    path = head.path.removeprefix(head.root_path)
    return path.removeprefix(mount + "/") if path.startswith(mount + "/") else None


def _is_handshake(head: RequestHead) -> bool:
    """Of a WebSocket, over HTTP/1 or HTTP/2 (RFC 6455 4.1, RFC 8441 4). A proxy may keep the `Upgrade` to itself, as
    Traefik does. In any other request an `Upgrade` is nobody's business: it is judged by its method.
    """
    match head.method.upper():
        case "CONNECT":
            return True
        case "GET":
            upgrades = ",".join(head.headers.get("upgrade", ()))
            asks = "websocket" in {upgrade.strip().lower() for upgrade in upgrades.split(",")}
            return asks or "sec-websocket-key" in head.headers or "sec-websocket-version" in head.headers
        case _:
            return False


# The answer


def word_of(decision: Decision) -> str:
    """The verdict in one word. `refused` reaches an application only where on_refuse = "pass" asks for it."""
    match decision.reason:
        case Reason.UNGUARDED | Reason.EXEMPT:
            return "unguarded"
        case Reason.REPORT_ONLY:
            return "report"
        case _:
            return "admitted" if decision.admitted else "refused"


def verdict_headers(decision: Decision) -> Headers:
    """What the proxy copies to the application. Each header is always there: a proxy that copies it then replaces
    what the client wrote into its own (GO-2026-4639), so a missing provider has a word too.
    """
    provider = decision.provider or ""
    return (
        ("X-Caputchin-Verdict", word_of(decision)),
        ("X-Caputchin-Reason", str(decision.reason)),
        ("X-Caputchin-Provider", provider if _METHOD.fullmatch(provider) else "none"),
    )


def _passing(decision: Decision, cookie: str | None = None) -> Response:
    cookies: Headers = (("Set-Cookie", cookie),) if cookie is not None else ()
    return Response(204, (*verdict_headers(decision), *NO_STORE, *cookies))


def _refusing(refusal: Answer, proxy: FrontProxy) -> Answer:
    """Traefik and Caddy show the answer to the visitor as it is; nginx takes the reason and comes back with it."""
    if proxy.takes_403_only and refusal.decision is not None:
        return Answer(Response(403, (*verdict_headers(refusal.decision), *NO_STORE)), refusal.decision)
    return Answer(_of_any_length(refusal.response), refusal.decision)


def _of_any_length(response: Response) -> Response:
    """A refusal without its length: that of a HEAD has no body, and the question about it was no HEAD."""
    return replace(response, headers=tuple(pair for pair in response.headers if pair[0] != "Content-Length"))


# The page of a refusal


def page_of(asking: RequestHead, proxy: FrontProxy, settings: Settings) -> Answer:
    """What a visitor of nginx sees of a refusal. Nothing is decided here: the proxy tells which reason it was given."""
    if not proxy.takes_403_only:
        return Answer(not_found())
    reason = _refusal(asking.headers.get(_REASON, ()))
    original = original_of(asking, proxy, settings.trusted_proxies)
    if reason is None or isinstance(original, Unbelieved):
        return Answer(refused(403, "forbidden"))
    match settings.routes.match(original):
        case Rule(terms=Terms() as terms):
            ruling = rule_on(Decision(reason, method=original.method), original, terms, settings)
        case _:
            ruling = rule_on(Decision(reason, method=original.method), original, None, settings)
    return Answer(_of_any_length(ruling.response) if isinstance(ruling, Answer) else refused(403, "forbidden"))


def _refusal(values: Sequence[str]) -> Reason | None:
    """The reason of a refusal, if exactly one is named."""
    known = [reason for reason in Reason if reason not in ADMITTING and list(values) == [reason]]
    return known[0] if known else None
