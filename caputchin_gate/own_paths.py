"""The gate's own paths, all below its mount, and everything else: who answers a request.

    MOUNT/forward-auth   a front proxy's question       MOUNT/refusal   the page that belongs to its answer
    MOUNT/...            the widget and the protocols of in-process verification (`endpoints/`)

No request below the mount reaches the application, and no rule locks these paths (threats.md R41).
"""

from __future__ import annotations

from caputchin_gate import forward_auth
from caputchin_gate.endpoints.answers import not_found
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Answer, Guarding, OwnPath, Ruling, Settings, follow
from caputchin_gate.routes import Rule


async def handle(head: RequestHead, settings: Settings) -> Ruling:
    """What becomes of a request that some rule might guard."""
    found = settings.routes.match(head)
    own = _own_path(found)
    return await follow(found, head, settings) if own is None else await _answer(own, head, settings)


async def serve(head: RequestHead, settings: Settings) -> Answer | None:
    """The answer of an own path, None for every other request."""
    own = _own_path(settings.routes.match(head))
    return await _answer(own, head, settings) if own is not None else None


def _own_path(found: Guarding | None) -> OwnPath | None:
    return found.terms if isinstance(found, Rule) and isinstance(found.terms, OwnPath) else None


async def _answer(own: OwnPath, head: RequestHead, settings: Settings) -> Answer:
    if own.front_proxy is not None:
        proxy = forward_auth.FRONT_PROXIES[own.front_proxy]
        match forward_auth.below(head, own.mount):
            case "forward-auth":
                return await forward_auth.advise(head, proxy, settings)
            case "refusal":
                return forward_auth.page_of(head, proxy, settings)
            case _:
                pass
    if own.endpoints is None:
        return Answer(not_found())
    from caputchin_gate.endpoints.paths import respond  # only who verifies in process pays for it

    return Answer(await respond(head, own.endpoints))
