"""Whatever stands where a gate.toml should be: its problems are told with their places, or it is valid; no traceback,
no wait without end, and never a secret.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from caputchin_gate import ConfigurationError, load_gate
from caputchin_gate.config import bounded_file, gate_file

CANARY: Final = "canary-of-a-secret-0123456789abcdef"

SAMPLE: Final = """\
protect = ["POST /contact", "POST /t/{slug}/reply"]
exempt = ["POST /t/news/reply"]
store = "memory"
trusted_proxies = ["10.0.0.0/8"]

[provider]
kind = "captchaapi"
verification = "in-process"

[providers.old]
kind = "procaptcha"
secret = 'canary-of-a-secret-0123456789abcdef'
timeout = "3s"

[[route]]
match = "POST /signup"
provider = ["captchaapi", "old"]

[in_process]
signing_key = [\"""canary-of-a-secret-0123456789abcdef\"""]
hardening = { enabled = true, multipliers = [1.5, 4, 16] }

[[in_process.sites]]
site_key = "shop"
secret = ["canary-of-a-secret-0123456789abcdef"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("gate.toml")


def problems_of(file: Path) -> list[str]:
    """One line each; none where the file is valid."""
    failure = failure_of(file)
    if failure is None:
        return []
    lines = str(failure).split("\n")
    assert CANARY not in str(failure)
    assert len(lines) == len(failure.problems)
    assert all(re.match(r"gate\.toml(:\d+:\d+)?: \S", line) for line in lines), lines
    return lines


def failure_of(file: Path) -> ConfigurationError | None:
    try:
        load_gate(file).close()
    except ConfigurationError as failure:
        return failure
    return None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "gate.toml: provider: is missing"),
        (b"\xef\xbb\xbf", "gate.toml: provider: is missing"),
        (b"protect = [", "gate.toml:1:12: is not TOML: Invalid value"),
        (b"a = 1\nb = \x00\n", "gate.toml:2:5: is not TOML: Invalid value"),
        (b"a = 'x\x00'\n", "gate.toml:1:7: is not TOML: "),
        (b"a = 1\n\xff\n", "gate.toml:2:1: is not UTF-8 text; save it as UTF-8"),
        ("protect = []".encode("utf-16"), "gate.toml:1:1: is not UTF-8 text"),
        ("protect = []".encode("utf-16-le"), "gate.toml:1:2: is not TOML"),
        (bytes(range(256)), "gate.toml:2:118: is not UTF-8 text"),
        (b"a = 1\na = 2\n", "gate.toml:2:6: is not TOML: Cannot overwrite a value"),
        (b"[a]\n[a]\n", "gate.toml:2:3: is not TOML: Cannot declare this twice"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "gate.toml: nests tables or lists too deep"),
        (b"a = " + b"{ b = " * 5000 + b"1" + b"}" * 5000, "gate.toml: nests tables or lists too deep"),
        (b"receipt_uses = " + b"9" * 5000, "gate.toml: is not TOML: a number has too many digits"),
        (b"receipt_uses = 0x" + b"f" * 5000, "gate.toml:1:1: receipt_uses: is not a whole number from 1 to 10"),
        (b"receipt = 0x" + b"f" * 5000, "gate.toml:1:1: receipt: is not a duration"),
        (b"max_body = 0x" + b"f" * 5000, "gate.toml:1:1: max_body: is not a size"),
        (b"max_body = inf", "gate.toml:1:1: max_body: is not a size"),
        (b"receipt = nan", "gate.toml:1:1: receipt: nan is not a duration"),
        (b"receipt = 1979-05-27", "gate.toml:1:1: receipt: is not a duration"),
        (b"protect = 07:32:00", "gate.toml:1:1: protect: is not a list"),
        (b"protect = [1979-05-27]", "gate.toml:1:12: protect[0]: is neither a text nor a Route"),
        (b"[protect]", "gate.toml:1:2: protect: is not a list"),
        (b"exempt = { a = 1 }", "gate.toml:1:1: exempt: is not a list of texts"),
        (b"[[in_process]]", "gate.toml:1:3: in_process: is not a table"),
        (b"route = [1]", "gate.toml:1:10: route[0]: is not a table"),
        (b"[provider]\nkind = 7", "gate.toml:2:1: provider.kind: 7 is not a text"),
        (b"[provider]\nkind = ['x']", "gate.toml:2:1: provider.kind: ['x'] is not a text"),
        (b"[provider]\nverification = {}", "gate.toml:1:2: provider.kind: is missing"),
        (b"[providers]\nold = 3", "gate.toml: provider: is missing"),
        (b"#" * gate_file.LARGEST + b"\n", "gate.toml: is larger than 1 MiB: no gate.toml is"),
    ],
)
def test_a_file_that_is_no_configuration_says_what_is_wrong_and_where(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    assert any(line.startswith(problem) for line in problems_of(file)), problems_of(file)


WHERE: Final = [
    ("protect =", "protct =", "1:1: unknown key 'protct', did you mean 'protect'?"),
    ("POST /t/{slug}/reply", "PSOT /x", "1:29: protect[1]: 'PSOT /x': unknown method 'PSOT'; did you mean 'POST'?"),
    ("POST /t/{slug}/reply", "POST /contact", "1:29: protect[1]: 'POST /contact': can never match"),
    ("POST /t/news/reply", "POST /elsewhere", "2:11: exempt[0]: 'POST /elsewhere': exempts nothing"),
    ('store = "memory"', 'store = "sqllite"', "3:1: store: "),
    ("10.0.0.0/8", "10.0.0.0/40", "4:1: trusted_proxies: "),
    ("secret = 'canary", "secrte = 'canary", "12:1: unknown key 'providers.old.secrte', did you mean 'secret'?"),
    ("secret = 'canary", "secrte = 'canary", "10:12: providers.old.secret: is missing"),
    ('"3s"', '"3 parsecs"', "13:1: providers.old.timeout: "),
    ('match = "POST /signup"\n', "", "15:3: route[0].match: is missing; add match = "),
    ('"old"]', '"odl"]', "17:1: route[0].provider: no provider is named 'odl'; did you mean 'old'?"),
    ("[1.5, 4, 16]", "[1.5, 4, 17]", "21:1: in_process.hardening.multipliers: "),
    ("[1.5, 4, 16]", "[4, 2, 16]", "21:31: in_process.hardening.multipliers: [4, 2, 16] "),
    ('site_key = "shop"', 'site_kye = "shop"', "24:1: unknown key 'in_process.sites[0].site_kye', did you mean"),
    ('site_key = "shop"', 'site_key = "cap"', "24:1: in_process.sites[0].site_key: 'cap' is a path of the gate's own"),
    ('["canary-of-a-secret-0123456789abcdef"]', '["short"]', "25:1: in_process.sites[0].secret: is shorter than 16"),
]


@pytest.mark.parametrize(("typed", "instead", "problem"), WHERE)
def test_a_problem_tells_where_it_is_and_how_to_fix_it(file: Path, typed: str, instead: str, problem: str) -> None:
    assert typed in SAMPLE
    file.write_text(SAMPLE.replace(typed, instead, 1))
    problem = problem.replace("21:1:", "21:31:")
    assert any(line.startswith(f"gate.toml:{problem}") for line in problems_of(file)), problems_of(file)


def test_problems_come_in_the_order_of_the_file(file: Path) -> None:
    text = SAMPLE
    for typed, instead, _ in WHERE[4:14]:
        text = text.replace(typed, instead, 1)
    file.write_text(text)
    lines = [int(found[1]) for line in problems_of(file) if (found := re.match(r"gate\.toml:(\d+):", line))]
    assert len(lines) >= 7
    assert lines == sorted(lines)


def test_a_file_that_ends_too_early_is_valid_or_its_problems_are_told(file: Path) -> None:
    content = SAMPLE.encode()
    file.write_bytes(content)
    assert problems_of(file) == []
    for end in range(len(content)):
        file.write_bytes(content[:end])
        problems_of(file)


def spoiled_secrets() -> Iterator[tuple[str, str]]:
    """Many ways to spoil the line of a secret."""
    for line in SAMPLE.splitlines():
        if CANARY in line:
            key = line.split(" = ")[0]
            value = line.split(" = ")[1]
            for spoiled in (
                *(f"{key[:-1]}x = {value}", f"{key} {value}", f"{key} = {value[:-1]}", f"{key} = {value}{value}"),
                *(f"{key} = {CANARY}", f"{key} = [{value}", f"{key} = {{ {key} = {value} }}", f"{key} = \\{value}"),
                *(f"{key} = {{ file = {value} }}", f"{value} = {key}", f"{key} = [[{value}]]", f"{line}\n{line}"),
                *(
                    f"kind = {value}",
                    f"timeout = {value}",
                    f"[{value}]",
                    f"{key} = {{ evn = {value} }}",
                    f"{key} = {{ env = {value} }}",
                    value,
                ),
            ):
                yield line, spoiled


@pytest.mark.parametrize(("line", "spoiled"), list(spoiled_secrets()))
def test_no_problem_shows_a_secret_however_it_was_mistyped(file: Path, line: str, spoiled: str) -> None:
    file.write_text(SAMPLE.replace(line, spoiled, 1))
    assert CANARY not in str(failure_of(file))


# What is no regular file


def test_a_folder_and_what_is_not_there_and_what_may_not_be_read_are_told(file: Path) -> None:
    assert problems_of(file) == ["gate.toml: can't be read: No such file or directory"]
    file.mkdir()
    assert problems_of(file) == ["gate.toml: can't be read: Is a directory"]
    with pytest.raises(ConfigurationError, match="there is no such name"):
        load_gate("gate\0.toml")
    with pytest.raises(ConfigurationError, match="File name too long"):
        load_gate("x" * 5000)


def test_a_pipe_without_a_writer_is_an_empty_file(file: Path) -> None:
    os.mkfifo(file)
    assert any("provider: is missing" in line for line in problems_of(file))


def test_a_pipe_that_never_ends_is_not_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_file, "PATIENCE", 0.05)
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)
    os.write(writer, b"protect = []\n")
    assert problems_of(file) == ["gate.toml: can't be read: it is a pipe that does not end within 0.05 seconds"]
    os.close(writer)


def test_a_pipe_of_the_shell_is_read_to_its_end() -> None:
    read, write = os.pipe()

    def typing() -> None:
        for start in range(0, len(SAMPLE), 100):
            os.write(write, SAMPLE[start : start + 100].encode())
        os.close(write)

    thread = threading.Thread(target=typing)
    thread.start()
    load_gate(f"/dev/fd/{read}").close()
    thread.join()
    os.close(read)


def test_the_command_takes_a_pipe_too(tmp_path: Path) -> None:
    (tmp_path / "right.toml").write_text(SAMPLE)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m caputchin_gate check <(cat right.toml)"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "/dev/fd/63: no problems\n"), done.stderr


def test_what_never_ends_is_too_large() -> None:
    with pytest.raises(ConfigurationError, match="/dev/zero: is larger than 1 MiB"):
        load_gate("/dev/zero")
