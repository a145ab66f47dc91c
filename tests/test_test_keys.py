"""Public test keys let everybody in, so no gate starts with one, however it was typed, unless the settings say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from caputchin_gate import ConfigurationError, Gate, flask, load_gate
from caputchin_gate.cli import main
from caputchin_gate.endpoints.siteverify import test_keys
from caputchin_gate.errors import Place
from caputchin_gate.fake_provider.kinds import KINDS
from caputchin_gate.gate import gate_from
from caputchin_gate.providers import kinds, load
from tests.servers import ROOT

KEY = "5EARALUe4HXQwKo5KanZSGGKqJV4VTaytpezFwv8ZHbZewmh"  # of Procaptcha's: everybody passes
PROBLEM = "provider.secret: is a public test key; use your own, or allow_test_keys = true outside production"


def public_keys() -> Iterator[tuple[str, str]]:
    """All that everybody knows: those of the providers, and those of their fakes."""
    for kind in kinds():
        yield from ((kind, key) for key in sorted(load(kind).test_keys))
        yield kind, KINDS[kind].secret


def settings(kind: str = "procaptcha", key: str = KEY, **more: Any) -> dict[str, Any]:
    endpoint = {"endpoint": "https://captcha.example/siteverify"} if not load(kind).endpoints else {}
    own = {"site_key": "a-site"} if load(kind).needs_site_key else {}
    return {"protect": ["POST /contact"], "provider": {"kind": kind, "secret": key, **endpoint, **own}, **more}


@pytest.mark.parametrize(("kind", "key"), list(public_keys()))
def test_a_public_key_is_refused_and_can_be_allowed(kind: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        gate_from(settings(kind, key))
    assert PROBLEM in str(refused.value)
    assert key not in str(refused.value)
    gate = gate_from(settings(kind, key, allow_test_keys=True))
    assert f"allow_test_keys: is on: the public test keys of {kind} let everybody in" in map(str, gate.warnings)


# However it was typed


def as_arguments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(provider="procaptcha", secret=KEY, protect=["POST /contact"])


def as_an_object(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(provider=load("procaptcha")(secret=KEY), protect=["POST /contact"])


def in_flask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Flask(__name__)
    app.config["CAPUTCHIN_GATE"] = settings()
    flask.install(app)


def written(folder: Path, secret: str) -> Path:
    file = folder / "gate.toml"
    file.write_text(f'protect = ["POST /contact"]\n\n[provider]\nkind = "procaptcha"\nsecret = {secret}\n')
    return file


@pytest.mark.parametrize(
    ("before", "place"),
    [("[provider]", (3, 1)), ("secret", (5, 1))],
)
def test_the_warning_that_they_are_allowed_is_told_where_that_stands(
    before: str, place: tuple[int, int], tmp_path: Path
) -> None:
    file = written(tmp_path, f'"{KEY}"')
    file.write_text(file.read_text().replace(before, f"allow_test_keys = true\n{before}"))
    (found,) = (warning.place for warning in load_gate(file).warnings if "public test keys" in warning.what)
    assert found == Place(str(file), *place)


def in_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return load_gate(written(folder, f'"{KEY}"'))


def in_a_variable_that_a_file_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setenv("A_SECRET", KEY)
    return load_gate(written(folder, '{ env = "A_SECRET" }'))


def in_a_file_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    (folder / "secret").write_text(f"{KEY}\n")
    return load_gate(written(folder, f'{{ file = "{folder / "secret"}" }}'))


def in_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setenv("CAPUTCHIN_GATE_PROVIDER__SECRET", KEY)
    return load_gate(written(folder, '"0xan-example-of-a-secret"'))


@pytest.mark.parametrize(
    "typed",
    [
        as_arguments,
        as_an_object,
        in_flask,
        in_a_file,
        in_a_variable_that_a_file_names,
        in_a_file_of_its_own,
        in_the_environment,
    ],
)
def test_it_is_refused_however_it_was_typed(
    typed: Callable[[Path, pytest.MonkeyPatch], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"is a public test key; use your own"):
        typed(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "command",
    [
        ["check", "gate.toml"],
        ["verify", "gate.toml", "0x00"],
        ["explain", "gate.toml", "POST", "/contact"],
        ["proxy", "gate.toml", "--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"],
        ["serve", "gate.toml", "--listen", "127.0.0.1:0"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_so_with_the_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, f'"{KEY}"')
    assert main(command) != 0
    told = f"gate.toml:5:1: {PROBLEM}\n"
    assert told in capsys.readouterr().err
    assert told in (ROOT / "docs" / "testing.md").read_text()


# In process


@pytest.mark.parametrize("secret", [*test_keys.SECRETS, "1x0000000000000000000000000000000AA", "0x" + "0" * 40])
def test_no_site_has_a_secret_that_everybody_knows(secret: str) -> None:
    own = {"sites": [{"site_key": "shop", "secret": secret}]}
    with pytest.raises(ConfigurationError, match=r"sites\[0\]\.secret: is one of the public test keys"):
        Gate(provider="caputchin", verification="in-process", protect=["POST /contact"], in_process=own)


def test_siteverify_that_says_yes_to_everybody_is_a_warning() -> None:
    gate = Gate(provider="caputchin", verification="in-process", store="memory", protect=["/"], allow_test_keys=True)
    assert "allow_test_keys: is on: siteverify says yes to secrets that everybody knows" in map(str, gate.warnings)
