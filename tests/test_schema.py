"""The JSON Schema of gate.toml takes what the gate takes, and refuses what it refuses by the kind of value."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from caputchin_gate import providers
from caputchin_gate.config.provider_tables import IN_PROCESS_KINDS, readers_of
from caputchin_gate.config.schema import json_schema, schema_of
from caputchin_gate.config.settings import TOP, Reader, Setting, TableOf, TablesOf
from caputchin_gate.config.tables import read_table
from caputchin_gate.errors import Problem

ROOT: Final = Path(__file__).parents[1]
SCHEMA: Final = json_schema()
VALIDATOR: Final = Draft202012Validator(SCHEMA)


def errors_of(document: Mapping[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def every_setting(known: Mapping[str, Setting] = TOP, above: str = "") -> Iterator[tuple[str, Setting]]:
    for key, setting in known.items():
        yield f"{above}{key}", setting
        match setting.read:
            case TableOf(inner) | TablesOf(inner):
                yield from every_setting(inner, f"{above}{key}.")
            case _:
                pass


EVERY: Final = dict(every_setting())
PLAIN: Final = {path: setting for path, setting in EVERY.items() if isinstance(setting.read, Reader)}


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def examples() -> Iterator[tuple[str, str]]:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for index, text in enumerate(re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)):
            yield f"{page.name}-{index}", text
    for file in (ROOT / "examples").rglob("*.toml"):
        yield str(file.relative_to(ROOT)), file.read_text()


@pytest.mark.parametrize("text", [text for _, text in examples()], ids=[name for name, _ in examples()])
def test_every_example_of_the_documentation_validates(text: str) -> None:
    assert errors_of(tomllib.loads(text)) == []


@pytest.mark.parametrize("path", EVERY)
def test_the_example_and_the_default_of_every_setting_validate(path: str) -> None:
    key = path.rpartition(".")[2]
    schema = schema_of(key, EVERY[path])
    for value in (*schema["examples"], *([schema["default"]] if "default" in schema else [])):
        assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == []
    assert schema["description"] == EVERY[path].purpose


# Values of every kind: whether a reader takes one is compared with whether the schema does.
VALUES: Final[list[Any]] = [
    *(True, False, 0, 1, 2, 7, 120, -1, 10**9, 1.5, 0.5, "", "x", "1", "5s", "64KiB", "2m", "form", "admit"),
    *([], ["x"], ["form"], [7], [True], [1, 2, 4], [0.1, 0.2, 0.3], ["5m", "5m", "5m"], [[]], [{}]),
    *({}, {"x": 1}, {"env": "PATH"}, {"env": 7}, {"env": "PATH", "file": "/x"}, date(2026, 1, 1)),
]


def reads(reader: Reader[Any], value: Any) -> bool:
    problems: list[Problem] = []
    read_table({"key": value}, {"key": Setting(reader, None, "", '""')}, "", problems)
    return not problems


def of_another_kind(value: Any, reader: Reader[Any]) -> bool:
    """Whether the reader takes no value at all of this one's kind, as far as VALUES tell; what texts say is no kind."""
    items = value if isinstance(value, list) else [value]
    says = value == {"env": "PATH"} or any(isinstance(item, str) for item in items)
    return not says and not any(type(other) is type(value) and reads(reader, other) for other in VALUES)


READERS: Final = {
    path: setting.read for path, setting in PLAIN.items() if path not in ("protect", "provider", "providers")
}
READERS.update(
    {f"{kind}.{key}": reader for kind in providers.kinds() for key, reader in readers_of(providers.load(kind)).items()}
)


@pytest.mark.parametrize("path", READERS)
def test_the_schema_takes_what_is_read_and_refuses_what_is_of_another_kind(path: str) -> None:
    reader: Any = READERS[path]
    validator = Draft202012Validator(dict(reader.schema))
    for value in VALUES:
        if reads(reader, value):
            assert validator.is_valid(value), value
        elif of_another_kind(value, reader):
            assert not validator.is_valid(value), value


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"protct": []}, "'protct' was unexpected"),
        ({"protect": 7}, "7 is not valid"),
        ({"on_outage": "allow"}, "'allow' is not one of"),
        ({"in_process": {"lifetme": 1}}, "'lifetme' was unexpected"),
        ({"in_process": {"sites": [{"domains": []}]}}, "'site_key' is a required property"),
        ({"sidecar": {"tls": {"key": "x"}}}, "'certificate' is a required property"),
        ({"route": [{"max_body": "1MiB"}]}, "'match' is a required property"),
        ({"provider": {"kind": "captuchin"}}, "not valid under any"),
        ({"provider": {"kind": "procaptcha", "verification": "in-process"}}, "not valid under any"),
        ({"provider": {"kind": "caputchin", "max_score": 0.5}}, "not valid under any"),
        ({"provider": {"kind": "cap"}}, "not valid under any"),
        ({"providers": {"old": {"kind": "captchaapi", "verification": "in-process", "secret": "x"}}}, "not valid"),
        ({"provider": {"kind": "caputchin", "secret": {"evn": "X"}}}, "not valid under any"),
    ],
)
def test_mistakes_are_seen_in_the_editor(document: dict[str, Any], problem: str) -> None:
    assert any(problem in error for error in errors_of(document)), errors_of(document)


@pytest.mark.parametrize("kind", providers.kinds())
def test_every_kind_of_provider_is_in_it_with_the_keys_it_has(kind: str) -> None:
    upstream = providers.load(kind)
    table = {"kind": kind, "secret": {"file": "/run/secret"}, "timeout": "3s", "attempts": 1}
    table |= {} if upstream.endpoints else {"endpoint": "https://own.example"}
    table |= {"site_key": "a-site"} if upstream.needs_site_key else {}
    assert errors_of({"provider": table}) == []
    in_process = {"kind": kind, "verification": "in-process", "token_field": "x"}
    assert (errors_of({"providers": {"own": in_process}}) == []) == (kind in IN_PROCESS_KINDS)


def test_the_command_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "caputchin_gate", "schema"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == SCHEMA
