"""What is settled about a site beyond its keys: whether it is served, and which dialects of siteverify there are."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Whether a site is served (captchaapi.md 4)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    INACTIVE = "inactive"


# The names of the dialects; what each says stands in `endpoints/siteverify/`, a file a dialect.
DIALECTS: Final = (
    "recaptcha",
    "hcaptcha",
    "turnstile",
    "caputchin",
    "gotcha",
    "captchaapi",
    "procaptcha",
    "friendly",
    "mcaptcha",
    "cap",
)
