"""A sign-up form whose application finds mistakes itself, once for each framework; the rules are the same.

    GET  /signup          the form, with our widget
    POST /signup          422 and the form again, without a widget, until the address has an @; then 200
    POST /plain-signup    the same without receipts
    POST /signup?broken   the application fails
    POST /login           another form with receipts
    GET  /login           a form that posts to /login/, which Starlette redirects with 307

Every answer to a POST names the reason of its decision and sets two cookies of the application's own. The gate's
settings come from the environment (GATE_STORE: its store). What the gate logs goes to the server's output.
"""

from __future__ import annotations

import logging
import os
from html import escape
from typing import Final

from caputchin_gate import Gate, Route

SIGNING_KEY: Final = "a signing key that only these tests use"
USES: Final = 2
OWN_COOKIES: Final = (("visited", "yes"), ("theme", "dark"))
PATHS: Final = ("/signup", "/plain-signup", "/login")

logging.basicConfig(level=logging.DEBUG, force=True)


def make_gate() -> Gate:
    return Gate(
        provider="caputchin",
        verification="in-process",
        protect=["POST /plain-signup", Route("POST /signup", receipt="2m"), Route("POST /login", receipt="2m")],
        receipt_uses=USES,
        store=os.environ.get("GATE_STORE", "memory"),
        trusted_proxies=["127.0.0.1"],
        forwarded_header="x-real-ip",  # no server rewrites or removes it
        in_process={"signing_key": SIGNING_KEY, "client_binding": "off", "challenges_per_minute": 10_000},
    )


def form(action: str, *, address: str = "", note: str = "", widget: bool = True) -> str:
    script = '<script src="/.caputchin/captcha.js" defer></script>' if widget else ""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign up</title>{script}
<p id="note">{note}</p>
<form method="post" action="{action}"{" data-captcha" if widget else ""}>
<label>Address <input name="address" value="{escape(address)}"></label><button>Sign up</button></form>"""


def answered(path: str, address: str) -> tuple[int, str]:
    """Status and page for a submission that the gate has let through."""
    if "@" in address:
        return 200, f'<!doctype html><html lang="en"><title>Done</title><p id="note">Welcome, {escape(address)}'
    return 422, form(path, address=address, note="An address has an @.", widget=False)
