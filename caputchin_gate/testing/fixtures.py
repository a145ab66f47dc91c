"""The fixtures of `pytest_plugins = ["caputchin_gate.testing"]`. There is no entry point: nobody gets them unasked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from caputchin_gate.gate import Gate
from caputchin_gate.testing import Captcha

_WRITE = """the fixture `captcha_gate` has to give the application's gate. In conftest.py:

    @pytest.fixture
    def captcha_gate():
        return gate     # of your application"""


@pytest.fixture
def captcha_gate() -> Gate:
    """The gate under test: overridden by the application's conftest.py."""
    raise pytest.UsageError(_WRITE)


@pytest.fixture
def captcha(captcha_gate: Gate) -> Iterator[Captcha]:
    """What visitors bring and verifications come to, for one test (`Captcha`)."""
    with Captcha(captcha_gate) as captcha:
        yield captcha
