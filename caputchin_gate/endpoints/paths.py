"""Which protocol answers which path below the mount.

    captcha.js                 our widget
    api/v1/captcha/challenge   captchaapi.eu's protocol, which is our own too
    cap/SITEKEY/...            Cap's
    altcha/SITEKEY/challenge   ALTCHA's
    v1/widget/bootstrap, v1/verify/..., caputchin/...   Caputchin's
    .../siteverify             verdicts for other back ends, in the words of many providers: `siteverify/paths.py`

No request below the mount reaches the application, and no rule locks
these paths (threats.md R41).
"""

from __future__ import annotations

from caputchin_gate.endpoints import cap, caputchin, caputchin_files, native, siteverify, widget
from caputchin_gate.endpoints.answers import not_found
from caputchin_gate.endpoints.sites import Endpoints
from caputchin_gate.endpoints.siteverify.cap import CAP
from caputchin_gate.endpoints.siteverify.paths import PATHS
from caputchin_gate.messages import RequestHead, Response


async def respond(head: RequestHead, own: Endpoints) -> Response:
    """Answer a request below the mount."""
    path = head.path.removeprefix(head.root_path) if head.root_path else head.path
    if not path.startswith(own.mount + "/"):
        return not_found()
    below = path[len(own.mount) + 1 :].rstrip("/")
    if (dialect := PATHS.get(below)) is not None:
        return await siteverify.respond(head, dialect, own)
    match below.split("/"):
        case ["captcha.js"]:
            return widget.respond(head)
        case ["api", "v1", "captcha", "challenge"]:
            return await native.respond(head, own)
        case ["cap", site_key, act]:
            return await cap.respond(head, site_key, act, own)
        case ["cap", "siteverify"]:
            return await cap.respond(head, None, "siteverify", own)
        case ["v1", "widget" | "verify" as part, act]:
            return await caputchin.respond(head, f"{part}/{act}", own)
        case ["caputchin", name] if (file := own.caputchin_files.get(name)) is not None:
            return caputchin_files.respond(file, head)
        case ["altcha", *site_key, "challenge"] if len(site_key) <= 1:
            from caputchin_gate.endpoints import altcha  # only who has this kind pays for it

            return await altcha.respond(head, site_key[0] if site_key else None, own)
        case [site_key, "siteverify"] if site_key in own.sites or site_key in own.test_sites:
            return await siteverify.respond(head, CAP, own, site_key)
        case _:
            return not_found()
