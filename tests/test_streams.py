"""The command line where its surroundings are odd: closed or full streams, another encoding, Ctrl-C, no such letter."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.siteverify_server import Pace, Scripted, SiteverifyServer

COMMAND = (sys.executable, "-m", "caputchin_gate")
PATIENCE = 30
SETTINGS = """
protect = ["POST /contact"]
store = "memory"
[provider]
kind = "caputchin"
verification = "in-process"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gate.toml"
    path.write_text(SETTINGS)
    return path


def in_shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run by a shell, with `gate` for the command."""
    script = f'gate() {{ {" ".join(COMMAND)} "$@"; }}\n{command}'
    usual = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": ""}
    variables = {**os.environ, **usual, **environment}
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, timeout=PATIENCE, cwd=folder, env=variables, check=False
    )


EXPLAIN = "gate explain gate.toml GET /contact"  # unguarded: exit code 1


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("gate --help | true; exit ${PIPESTATUS[0]}", (0,), b""),
        (f"{EXPLAIN} | true; exit ${{PIPESTATUS[0]}}", (1,), b""),
        (f"export PYTHONUNBUFFERED=1; {EXPLAIN} | true; exit ${{PIPESTATUS[0]}}", (1, 141), b""),
        (f"{EXPLAIN} >&-", (1,), b""),
        (f"{EXPLAIN} 2>&-", (1,), b""),
        ("gate explain absent.toml GET / 2>&-", (2,), b""),
        (f"{EXPLAIN} <&-", (1,), b""),
        ("gate verify gate.toml - <&-", (2,), b"caputchin-gate: there is no stdin to read the token from\n"),
        ("head -c 300000 /dev/zero | gate verify gate.toml -", (1,), b""),
        ("printf '\\xff\\xfe' | gate verify gate.toml -", (1,), b""),
        ("gate verify gate.toml $'\\xff'", (1,), b""),
        (f"{EXPLAIN} > /dev/full", (2,), b"caputchin-gate: can't write the answer: No space left on device\n"),
        ("gate $'\\xff' ", (2,), None),
        ("gate check $'\\xff.toml' ", (1,), None),
        ("gate explain gate.toml POST $'/\\xff' ", (1,), b""),
        ("gate explain gate.toml $'\\xff' $'/\\xff' --json", (2,), None),
        ("gate audit gate.toml $'\\xff'", (2,), None),
        ("printf '%0.s[' {1..20000} > deep.toml; gate check deep.toml", (1, 2), None),
        ("mkfifo pipe; gate check pipe & echo > pipe; wait $!", (1,), None),
    ],
)
def test_it_ends_with_its_code_and_at_most_one_line(
    command: str, code: tuple[int, ...], says: bytes | None, tmp_path: Path, file: Path
) -> None:
    done = in_shell(command, tmp_path)
    assert done.returncode in code, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert says is None or done.stderr == says
    assert says is not None or done.stderr.count(b"\n") <= 3


@pytest.mark.parametrize(
    ("environment", "has_colours"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_only_a_terminal_has_colours(environment: dict[str, str], has_colours: bool, tmp_path: Path) -> None:
    tmp_path.joinpath("gate.toml").write_text(SETTINGS)
    tmp_path.joinpath("shop.py").write_text("from flask import Flask\napp = Flask(__name__)\napp.post('/x')(print)\n")
    usual = {name: value for name, value in os.environ.items() if name not in ("TERM", "NO_COLOR")}
    for command in (["check", "gate.toml"], ["check", "absent.toml"], ["audit", "gate.toml", "shop"]):
        ours, terminal = pty.openpty()
        subprocess.run(
            [*COMMAND, *command], stdout=terminal, stderr=terminal, cwd=tmp_path, timeout=PATIENCE, check=False,
            env={**usual, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
        )  # fmt: skip
        os.close(terminal)
        assert (b"\x1b[" in os.read(ours, 65536)) is has_colours
        os.close(ours)
        piped = in_shell(f"gate {' '.join(command)}", tmp_path, **environment)
        assert b"\x1b" not in piped.stdout + piped.stderr


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_letter_that_the_terminal_does_not_know_is_escaped(locale: dict[str, str], tmp_path: Path) -> None:
    tmp_path.joinpath("gate.toml").write_text(SETTINGS.replace("/contact", "/über"), encoding="utf-8")
    for command in (
        "gate explain gate.toml POST /%C3%BCber",
        "gate check gate.toml",
        "gate explain gate.toml POST /über",
    ):
        done = in_shell(command, tmp_path, **locale)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr


def test_a_verification_that_is_interrupted_has_not_passed(tmp_path: Path) -> None:
    with SiteverifyServer([Scripted(pace=Pace.SILENT)]) as server:
        tmp_path.joinpath("gate.toml").write_text(
            'protect = ["/x"]\n[provider]\nkind = "caputchin"\n'
            f'secret = "cpt_sec_{"x" * 32}"\nendpoint = "{server.url}"\n'
        )
        with subprocess.Popen(
            [*COMMAND, "verify", "gate.toml", "x" * 40],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        ) as process:
            assert server.got_request.wait(PATIENCE)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in errors
