"""The documentation holds: links lead somewhere, examples run, and what is copied from the code is still so.

The python examples of a page run from top to bottom in one namespace. What a reader has already is there from the
start (NAMESPACE); every name that the public interface exports is imported.
"""

from __future__ import annotations

import ast
import copy
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate import Decision, Reason, config, load_gate
from caputchin_gate.config.settings import (
    ALTCHA,
    CAP,
    CAPUTCHIN,
    HARDENING,
    IN_PROCESS,
    LIMITS,
    ROUTE,
    SIDECAR,
    SIDECAR_TIMEOUTS,
    SIDECAR_TLS,
    SITE,
    TOP,
    TableOf,
    TablesOf,
)
from caputchin_gate.config.tables import read_table
from caputchin_gate.decision_log import log_decision
from caputchin_gate.errors import Problem
from caputchin_gate.events import hand_to
from caputchin_gate.refusals.answers import _notice_of
from caputchin_gate.refusals.texts import LANGUAGES
from caputchin_gate.service_log.lines import json_line, text_line
from caputchin_gate.verdict import ADMITTING
from tests.test_asn import database

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*|\{[\w-]+\})\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECRETS = {
    "CAPUTCHIN_SECRET": "cpt_sec_an-example",
    "PROSOPO_SECRET": "0xan-example-of-a-secret",
    "GOTCHA_SECRET": "R290Q0hBIGlzIGEgY2FwdGNoYSwgYW5kIHRoaXMgaXMgbm90IGEgc2VjcmV0LiE=",
    "CAPTCHAAPI_SECRET": "sk_live_an-example",
    "CAP_SECRET": "an-example-of-a-key-secret",
    "SENTINEL_SECRET": "an-example-of-a-secret-of-a-sentinel",
    "TURNSTILE_SECRET": "an-example-of-a-secret",
    "HCAPTCHA_SECRET": "an-example-of-a-secret",
    "RECAPTCHA_SECRET": "an-example-of-a-secret",
    "FRIENDLY_API_KEY": "an-example-of-an-api-key",
    "MCAPTCHA_SECRET": "an-example-of-a-secret",
    "MTCAPTCHA_PRIVATE_KEY": "MTPrivat-an-example",
    "SITE_SECRET": "an-example-of-a-secret",
    "GATE_VERDICT_KEY": "an-example-of-a-key-of-more-than-32-characters",
    "GATE_SIGNING_KEY": "an-example-of-a-key-of-more-than-32-characters",
}
TABLES = (
    TOP,
    ROUTE,
    IN_PROCESS,
    HARDENING,
    CAP,
    ALTCHA,
    CAPUTCHIN,
    SITE,
    LIMITS,
    SIDECAR,
    SIDECAR_TLS,
    SIDECAR_TIMEOUTS,
)


def name(value: object) -> str | None:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else None


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in words}


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text()))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader's machine: secrets in the environment, a state directory, a gate.toml in the current directory."""
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (example,) = (text for text in blocks(ROOT / "docs" / "settings.md", "toml") if "[limits]" in text)
    (tmp_path / "gate.toml").write_text(example)
    (tmp_path / "cdn-ranges.txt").write_text("192.0.2.0/24\n2001:db8::/32\n")
    (tmp_path / "widget.js").write_text("https://verify.caputchin.com")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


NAMESPACE = """
import caputchin_gate
from django.conf import settings

async def app(scope, receive, send): ...

application = lambda environ, start_response: []
gate = caputchin_gate.Gate(provider="caputchin", verification="in-process", store="memory", protect=["POST /contact"])
token = "A" * 32 + ".1"
settings.configure(SECRET_KEY="an example")
"""


DJANGO = ROOT / "docs" / "django.md"  # its examples are a project: test_django_docs.py


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python") and page != DJANGO], ids=name)
def test_every_python_example_runs(page: Path, tmp_path: Path) -> None:
    examples = [text.replace("/var/lib/myapp", str(tmp_path)) for text in blocks(page, "python")]
    program = "\n".join([NAMESPACE, *examples])
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", blocks(ROOT / "README.md", "python"))
def test_an_example_of_the_readme_needs_nothing_that_stands_elsewhere(example: str) -> None:
    command = [sys.executable, "-"]
    done = subprocess.run(command, input=example, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


TOML = [(page, text) for page in PAGES for text in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "text"), TOML, ids=[f"{name(page)}-{i}" for i, (page, _) in enumerate(TOML)])
def test_every_gate_toml_loads(page: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "example.toml").write_text(text.replace("/var/lib/myapp", str(tmp_path)))
    load_gate(tmp_path / "example.toml").close()


def test_the_settings_page_is_what_the_settings_say() -> None:
    made: dict[str, Any] = {"__name__": "made", "__file__": str(ROOT / "docs" / "make_settings.py")}
    exec(compile((ROOT / "docs" / "make_settings.py").read_text(), "make_settings.py", "exec"), made)
    fix = "run `python docs/make_settings.py`"
    assert made["page"]() == (ROOT / "docs" / "settings.md").read_text(), fix


@pytest.mark.parametrize(
    ("key", "setting"),
    [(key, setting) for table in TABLES for key, setting in table.items()],
)
def test_every_example_of_a_setting_can_be_read(key: str, setting: Any, tmp_path: Path) -> None:
    example = setting.example.replace("/var/lib/myapp", str(tmp_path))
    problems: list[Problem] = []
    read_table(tomllib.loads(f"{key} = {example}"), {key: setting}, "", problems)
    assert problems == []


BASE: dict[str, Any] = {
    "protect": ["POST /contact"],
    "store": "memory",
    "provider": {"kind": "captchaapi", "verification": "in-process"},
}
SCORES: dict[str, Any] = {"provider": {"kind": "procaptcha", "secret": "0xan-example-of-a-secret"}}
HOSTS: dict[str, Any] = {"provider": {"kind": "gotcha", "secret": SECRETS["GOTCHA_SECRET"]}}

# What an example needs beside it.
BESIDE: dict[str, dict[str, Any]] = {
    "exempt": {"protect": ["POST /{rest:path}"]},
    "forward_auth": {"trusted_proxies": ["10.0.0.1/32"], "token_from": ["cookie"]},
    "receipt_uses": {"receipt": "2m"},
    "route.provider": {"providers": {"old": SCORES["provider"]}, "provider": {**BASE["provider"], "kind": "caputchin"}},
    "route.hostnames": HOSTS,
    "route.min_score": SCORES,
    "route.max_score": SCORES,
    "route.receipt_uses": {"receipt": "2m"},
    "in_process.cap.squarings": {"in_process": {"cap": {"format": 2}}},
    "in_process.sites.score": {"in_process": {"sites": [{"site_key": "a", "v3": True}]}},
}


def minimal(path: str, value: Any) -> dict[str, Any]:
    """The smallest settings with one key in them that say something."""
    made = copy.deepcopy({**BASE, **BESIDE.get(path, {})})
    *tables, key = path.split(".")
    if tables[:1] == ["route"]:
        made["route"] = [{"match": "POST /signup", key: value}]
    elif tables == ["in_process", "sites"]:
        (site,) = made.setdefault("in_process", {}).setdefault("sites", [{"site_key": "a"}])
        site[key] = value
    elif path.startswith("sidecar.tls."):
        made["sidecar"] = {"tls": {"certificate": "a", "key": "b", key: value}}
    else:
        table = made
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
    return made


def paths(known: Mapping[str, Any] = TOP, above: str = "") -> Iterator[tuple[str, Any]]:
    for key, setting in known.items():
        match setting.read:
            case TableOf(inner) | TablesOf(inner):
                yield from paths(inner, f"{above}{key}.")
            case _:
                yield f"{above}{key}", setting


@pytest.mark.parametrize(("path", "setting"), list(paths()), ids=[path for path, _ in paths()])
def test_every_example_of_a_setting_works(path: str, setting: Any, tmp_path: Path) -> None:
    example = setting.example.replace("/var/lib/myapp", str(tmp_path)).replace("/var/lib", str(tmp_path))
    value = tomllib.loads(f"key = {example}")["key"]
    if path.endswith("asn_database"):
        database(Path(value))
    config.read(minimal(path, value))


@pytest.mark.parametrize("path", [path for path, _ in paths()])
def test_the_reference_has_every_key_in_the_section_of_its_table(path: str) -> None:
    table, _, key = path.rpartition(".")
    titles = {"": "Keys at the top", "route": "Keys of a route", "in_process.sites": "Keys of a site"}
    title = titles.get(table, "Keys of [sidecar]" if table == "sidecar.tls" else f"Keys of [{table}]")
    page = (ROOT / "docs" / "settings.md").read_text()
    section = re.split(r"^#+ ", page.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert f"| `{key}` |" in section


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    places = (ROOT, ROOT / "caputchin_gate", ROOT / "tests")
    named = re.findall(r"`([\w/]+(?:/|\.py|\.js))`", (ROOT / "docs" / "contributing.md").read_text())
    missing = [file for file in named if "NAME" not in file and not any((place / file).exists() for place in places)]
    assert len(named) > 20
    assert missing == []


@pytest.mark.parametrize("reason", sorted(Reason))
def test_every_reason_is_explained_as_it_is_answered(reason: Reason) -> None:
    page = (ROOT / "docs" / "refusals.md").read_text()
    (row,) = re.findall(rf"^\| `{reason}` \|.*$", page, re.MULTILINE)
    if reason not in ADMITTING:
        decision = Decision(reason)
        assert row.startswith(f"| `{reason}` | {decision.status} | `{decision.error_codes[0]}` |")
        assert row.endswith(f"| {LANGUAGES['en'].notices[_notice_of(reason)].title} |")


# docs/logging.md


def told_events() -> Iterator[tuple[str, set[str]]]:
    """Every event that some line of code tells of, with the names of the fields that stand there."""
    for file in (ROOT / "caputchin_gate").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id="tell" | "tell_line") | ast.Attribute(attr="take"),
                    args=[_, ast.Constant(value=str(event)), *_],
                    keywords=keywords,
                ):
                    yield event, {keyword.arg for keyword in keywords if keyword.arg is not None}


def test_every_event_of_the_log_is_listed_with_its_fields() -> None:
    page = (ROOT / "docs" / "logging.md").read_text()
    rows = dict(
        re.findall(r"^\| `([a-z-]+)` \|(.*)$", page.partition("## Events")[2].partition("### ")[0], re.MULTILINE)
    )
    told = list(told_events())
    assert {event for event, _ in told} | {"log-dropped"} == set(rows)
    for event, fields in told:
        assert [field for field in sorted(fields) if f"`{field}`" not in rows[event]] == []


def test_the_lines_in_the_docs_are_what_a_decision_is_logged_as() -> None:
    page = ROOT / "docs" / "logging.md"
    (as_json,), (as_text,) = blocks(page, "json"), blocks(page, "text")
    taken: list[tuple[int, str, object, Any]] = []
    hand_to(lambda *event: taken.append(event))
    try:
        log_decision(Decision(Reason.TOKEN_MISSING, route="POST /contact", method="POST", elapsed=0.000212))
    finally:
        hand_to(None)
    [(_, event, message, fields)] = taken
    time = "2026-05-04T09:08:07.123456Z"
    assert json_line(time, 4711, "info", event, message, fields).decode() == as_json
    assert text_line(time, 4711, "info", event, message, fields).decode() == as_text
    table = page.read_text().partition("### decision")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(fields)
