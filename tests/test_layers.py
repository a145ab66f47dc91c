"""The second law of the house: a file imports only from lower levels, or from files left of it in its own row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "caputchin_gate"

# Read from the ground up, and each row from left to right; a folder counts as one file.
LEVELS = (
    ("__init__", "values", "errors", "secret", "clock", "messages", "verdict", "effects", "events"),
    (
        "durations",
        "addresses",
        "routes",
        "tokens",
        "client_address",
        "origins",
        "refusals",
        "widgets",
        "difficulty",
        "hardening",
        "providers",
        "engines",
        "receipt",
    ),
    (
        "decision_log",
        "traffic",
        "quotas",
        "site_terms",
        "secret_health",
        "verification",
        "endpoints",
        "submissions",
        "policy",
        "forward_auth",
        "own_paths",
        "explanation",
    ),
    ("http_client", "body_pace", "kept_body", "awaited_body", "stores", "asn", "drivers"),
    (
        "config",
        "own_sites",
        "assembly",
        "own_widgets",
        "marks",
        "gate_options",
        "gate",
    ),
    ("doors", "asgi", "wsgi", "starlette", "fastapi", "flask", "django", "fake_provider", "testing"),
    ("service_log", "sidecar", "demo", "audit", "cli", "__main__"),
)
ORDER = {name: (level, place) for level, row in enumerate(LEVELS) for place, name in enumerate(row)}

# What the policy must not know: sockets, event loops, frameworks, clocks and randomness.
WORLD = frozenset(
    {"asyncio", "socket", "threading", "time", "random", "secrets", "httpx2", "sqlite3", "redis"}
    | {"starlette", "fastapi", "flask", "django", "uvicorn", "anyio", "concurrent", "selectors", "ssl"}
)


def own_name(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                if module == "caputchin_gate":
                    yield from (f"caputchin_gate.{alias.name}" for alias in names)
                else:
                    yield module
            case ast.ImportFrom(level=level) if level:
                raise AssertionError(f"{file.name}: relative import")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_from_below_or_from_its_left(file: Path) -> None:
    own = own_name(file)
    assert own in ORDER, f"{own} has no place in the levels"
    if own == "__init__":  # the front door re-exports what users construct
        return
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "caputchin_gate" and len(parts) > 1:
            other = parts[1] if parts[1] in ORDER else "__init__"
            allowed = other == own or ORDER[other] < ORDER[own]
            assert allowed, f"{file.relative_to(PACKAGE)} imports {name}, which stands above it"


@pytest.mark.parametrize(
    "file", [file for file in FILES if ORDER[own_name(file)][0] <= 2], ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_the_policy_and_what_is_below_it_know_no_world(file: Path) -> None:
    known = {name.split(".")[0] for name in imports(file)}
    assert not known & WORLD, f"{file.relative_to(PACKAGE)} imports {sorted(known & WORLD)}"
