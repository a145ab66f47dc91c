"""Solves challenges, as ALTCHA's widget does in the page. For tests and examples: the gate itself never solves."""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Mapping
from itertools import count
from typing import Any

from caputchin_gate.engines.altcha import version1, version2


def solve(document: Mapping[str, Any]) -> str:
    """The field value for a challenge of either version."""
    payload = _solved2(document) if "parameters" in document else _solved1(document)
    return b2a_base64(json.dumps(payload).encode(), newline=False).decode()


def _solved1(document: Mapping[str, Any]) -> Mapping[str, Any]:
    algorithm, salt, challenge = document["algorithm"], document["salt"], document["challenge"]
    number = next(number for number in count() if version1.hashed(algorithm, salt, number) == challenge)
    kept = {name: document[name] for name in ("algorithm", "challenge", "salt", "signature")}
    return {**kept, "number": number, "took": 1}


def _solved2(document: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = document["parameters"]
    derived = (version2.derived_key(parameters, counter) for counter in count())
    counter, key = next((n, key) for n, key in enumerate(derived) if key.startswith(parameters["keyPrefix"]))
    return {"challenge": dict(document), "solution": {"counter": counter, "derivedKey": key, "time": 1}}
