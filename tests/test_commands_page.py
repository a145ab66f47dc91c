"""`docs/commands.md` and `examples/configs/`: what is shown there is what happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from caputchin_gate.cli import main
from tests.test_docs import BLOCK, ROOT, SECRETS, blocks

PAGE = ROOT / "docs" / "commands.md"
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.toml"))
MARK = "- - - end of the answer - - -"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def conversations() -> list[list[tuple[str, str]]]:
    """The commands of each block with the answers that the page shows."""
    return [
        [(found[1], found[2]) for found in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]
        for block in blocks(PAGE, "console")
    ]


@pytest.mark.parametrize("conversation", conversations(), ids=lambda told: told[0][0])
def test_every_command_of_the_page_answers_as_shown(conversation: list[tuple[str, str]], folder: Path) -> None:
    (folder / "gate.toml").write_text(blocks(PAGE, "toml")[0])
    (folder / "shop.py").write_text(blocks(PAGE, "python")[0])
    script = f'caputchin-gate() {{ "{sys.executable}" -m caputchin_gate "$@"; }}\n'
    for command, _ in conversation:
        script += f'{command}\ncode=$?; echo "{MARK}"; (exit $code)\n'
    done = subprocess.run(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    answers = done.stdout.split(f"{MARK}\n")
    for (command, shown), answer in zip(conversation, answers, strict=False):
        assert answer == shown, command


def test_the_page_fits_a_terminal() -> None:
    for _, text in BLOCK.findall(PAGE.read_text()):
        assert max(map(len, text.splitlines())) <= 110


# The configurations


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_configuration_has_no_problems_and_but_for_the_trial_no_warnings(
    file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = trustme.CA().issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "fullchain.pem")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    (folder / "gate.toml").write_text(file.read_text().replace("/etc/gate", str(folder)))
    assert main(["check", "gate.toml"]) == 0
    told, warned = capsys.readouterr()
    assert told == "gate.toml: no problems\n"
    assert ("warning: mode: is report" in warned) if file.stem == "trial" else warned == ""


def test_the_index_names_every_example() -> None:
    index = (ROOT / "examples" / "README.md").read_text()
    listed = set(re.findall(r"\]\(([^)]+)\)", index))
    there = {str(path.relative_to(ROOT / "examples")) for path in (*CONFIGS, *(ROOT / "examples").glob("*.py"))}
    assert there <= listed
    assert all((ROOT / "examples" / link).exists() for link in listed)


@pytest.mark.parametrize(
    ("config", "request_line", "told"),
    [
        ("upstream", "POST /contact", {"found": "guarded", "open": False}),
        ("upstream", "GET /contact", {"found": "unguarded", "open": True}),
        ("in_process", "GET /.caputchin/captcha.js", {"found": "own path"}),
        ("migration", "POST /signup", {"providers": ["caputchin", "procaptcha"]}),
        ("migration", "POST /contact", {"providers": ["caputchin"]}),
        ("json_api", "PATCH /api/users/7", {"token_in": ["JSON at /captcha/token", "header X-Caputchin-Token"]}),
        ("uploads", "POST /upload", {"max_body": 4 * 2**20, "max_memory": 256 * 2**10}),
        ("outages", "POST /newsletter", {"the provider is down": "admitted", "a rejected token": "refused"}),
        ("outages", "POST /login", {"the provider is down": "refused"}),
        ("trial", "POST /contact", {"mode": "report", "open": True, "no token": "admitted"}),
        ("receipts", "POST /signup", {"receipt": {"seconds": 120, "uses": 2}}),
    ],
)
def test_a_configuration_does_what_its_comment_says(
    config: str, request_line: str, told: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["explain", str(ROOT / "examples" / "configs" / f"{config}.toml"), *request_line.split(), "--json"])
    explained = json.loads(capsys.readouterr().out)
    asks = explained["asks"] or {"providers": ()}
    becomes = {outcome["when"]: outcome["becomes"] for outcome in explained["outcomes"]}
    known = {**explained, **asks, **becomes, "providers": [provider["kind"] for provider in asks["providers"]]}
    assert {name: known[name] for name in told} == told
