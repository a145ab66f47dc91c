"""Which dialect is spoken on which path below the mount: clients have the end of the path built in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.endpoints.siteverify.captchaapi import CAPTCHAAPI
from caputchin_gate.endpoints.siteverify.findings import Dialect
from caputchin_gate.endpoints.siteverify.friendly import FRIENDLY
from caputchin_gate.endpoints.siteverify.mcaptcha import MCAPTCHA
from caputchin_gate.endpoints.siteverify.procaptcha import PROCAPTCHA
from caputchin_gate.endpoints.siteverify.recaptcha import CAPUTCHIN, GOTCHA, HCAPTCHA, RECAPTCHA, TURNSTILE

PATHS: Final[Mapping[str, Dialect]] = {
    "recaptcha/api/siteverify": RECAPTCHA,
    "siteverify": RECAPTCHA,
    "hcaptcha/siteverify": HCAPTCHA,
    "turnstile/v0/siteverify": TURNSTILE,
    "v1/siteverify": CAPUTCHIN,
    "api/v1/siteverify": CAPUTCHIN,
    "api/siteverify": GOTCHA,
    "api/v1/captcha/verify": CAPTCHAAPI,
    "procaptcha/siteverify": PROCAPTCHA,
    "api/v2/captcha/siteverify": FRIENDLY,
    "api/v1/pow/siteverify": MCAPTCHA,
}

# Cap's clients name the site before `siteverify`, so no site may be called like the beginning of another path.
RESERVED_SITE_KEYS: Final = frozenset({"cap", *(path.partition("/")[0] for path in PATHS)})
