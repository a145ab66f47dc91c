"""The command line, as real processes: what is typed, what is printed where, and the exit code."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from caputchin_gate import __version__, load_gate
from caputchin_gate.cli import main
from caputchin_gate.cli.parser import load, names, whole_parser
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Answer
from tests.siteverify_server import Scripted, SiteverifyServer

COMMAND = (sys.executable, "-m", "caputchin_gate")
PATIENCE = 20


def typed(*arguments: str, stdin: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run_to_end([*COMMAND, *arguments], stdin, folder)


def run_to_end(command: Sequence[str], stdin: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, cwd=folder, check=False
    )


def assert_wrong_use(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(r"caputchin-gate: [^\n]+\n", done.stderr), done.stderr
    assert why in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "required: COMMAND"),
        (["dmeo"], "invalid choice: 'dmeo'; did you mean 'demo'?"),
        (["x" * 5000], "invalid choice: 'xxxx"),
        (["--versoin"], "unrecognized arguments: --versoin; did you mean '--version'? (see caputchin-gate --help)"),
        (["--prot"], "unrecognized arguments: --prot; known: --help, --version, -h"),
        (["--prot", "1"], "invalid choice: '1'"),
        (["two\nlines"], "invalid choice"),
        (["demo", "a\nb\x1b[2J"], "unrecognized arguments: a b?[2J"),
        (["demo", "more"], "unrecognized arguments: more"),
        (["demo", "--port"], "expected one argument"),
        (["demo", "--port", "http"], "'http' is not a port"),
        (["demo", "--port", "-1"], "'-1' is not a port"),
        (["demo", "--port", "65536"], "'65536' is not a port"),
        (["demo", "--port", "8" * 5000], "is not a port"),
        (["demo", "--port", "8_000"], "'8_000' is not a port"),
        (["demo", "--port", "\u0668\u0660\u0660\u0660"], "is not a port"),
        (["demo", "--host", "no host at all"], "can't listen on no host at all port 8000"),
        (["demo", "--host", "a..b"], "can't listen on a..b port 8000: not a host name"),
        (["demo", "--host", "192.0.2.1"], "can't listen on 192.0.2.1 port 8000"),
        (["check"], "required: gate.toml"),
        (["check", "a.toml", "--json"], "unrecognized arguments: --json; known: --help, -h"),
        (["check", ""], "argument gate.toml: '' names no file"),
        (["explain", "a.toml", "GET", "/", "--jsn"], "unrecognized arguments: --jsn; did you mean '--json'? (see capu"),
        (["proxy", "a.toml", "--worker", "2"], "unrecognized arguments: --worker; did you mean '--workers'?"),
        (["check", "a.toml", "b.toml"], "unrecognized arguments: b.toml"),
        (["verify"], "required: gate.toml"),
        (["verify", "gate.toml"], "one token"),
        (["verify", "gate.toml", "--"], "one token"),
        (["verify", "gate.toml", "token", "more"], "one token"),
        (["verify", "absent.toml", "token"], "absent.toml: can't be read"),
        (["explain", "gate.toml"], "required: METHOD, TARGET"),
        (["explain", "gate.toml", "/signup", "POST"], "'POST' is no path: it begins with a slash"),
        (["explain", "gate.toml", "PO ST", "/signup"], "'PO ST' is no method"),
        (["explain", "gate.toml", "", "/signup"], "'' is no method"),
        (["explain", "gate.toml", "POST", "signup"], "'signup' is no path"),
        (["explain", "gate.toml", "POST", "/signup", "-H", "no field"], "'no field' is no header field"),
        (["explain", "gate.toml", "POST", "/signup", "-H", "no name: x"], "'no name: x' is no header field"),
        (["explain", "gate.toml", "POST", "/signup", "--mount", "app"], "--mount 'app' is no path"),
        (["explain", "absent.toml", "POST", "/signup"], "absent.toml: can't be read"),
        (["explain", ".", "POST", "/signup"], "can't be read: Is a directory"),
        (["explain", "x" * 5000, "POST", "/signup"], "can't be read: File name too long"),
        (["audit", "gate.toml"], "required: APP"),
        (["audit", "absent.toml", "shop:app"], "absent.toml: can't be read"),
        (["completion"], "required: SHELL"),
        (["completion", "csh"], "invalid choice: 'csh'; did you mean"),
        (["serve"], "required: gate.toml"),
        (["serve", "absent.toml"], "absent.toml: can't be read"),
        (["serve", "gate.toml", "--workers", "many"], "'many' is not a whole number"),
    ],
)
def test_wrong_use_is_one_line_on_stderr_and_exit_2(
    arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(arguments)
    assert_wrong_use(subprocess.CompletedProcess(arguments, code, *capsys.readouterr()), why)


def test_version_and_help_are_answers_on_stdout() -> None:
    version, explained = typed("--version"), typed("--help")
    assert (version.returncode, version.stdout, version.stderr) == (0, f"caputchin-gate {__version__}\n", "")
    assert (explained.returncode, explained.stderr) == (0, "")
    assert all(f"\n  {command} " in explained.stdout for command in names())


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("command", ["", *names()])
def test_help_is_as_wide_as_the_terminal_but_for_what_can_be_copied(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*command.split(), "--help"]) == 0
    _, _, below_usage = capsys.readouterr().out.partition("\n\n")
    lines = below_usage.splitlines()
    assert [line for line in lines if len(line) > columns and not line.startswith("  caputchin-gate")] == []


@pytest.mark.parametrize("command", ["", *names()])
def test_help_fits_a_terminal_has_no_colours_and_names_examples_and_exit_codes(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    if command:
        assert f"\n  caputchin-gate {command}" in text.partition("\nexamples:")[2]
        assert re.search(r"\nexit code:\n(  \d  .+\n)*  2  wrong use", text)


@pytest.mark.parametrize("name", names())
def test_the_examples_of_the_help_can_be_typed(name: str) -> None:
    for example in load(name).EXAMPLES:
        whole_parser().parse_args(shlex.split(re.split(r" [<>|]", example)[0]))


# check


GOOD = """
protect = ["POST /contact"]
store = "memory"
[provider]
kind = "caputchin"
verification = "in-process"
"""


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ["gate.toml: provider: is missing", "gate.toml: protect: nothing is protected"]),
        (b"protect = [", ["gate.toml:1:12: is not TOML: Invalid value"]),
        (b"\xff\xfe", ["gate.toml:1:1: is not UTF-8 text; save it as UTF-8"]),
        (
            GOOD.replace("kind =", "knid =").encode(),
            [
                "gate.toml:5:1: unknown key 'provider.knid', did you mean 'kind'?",
                "gate.toml:4:2: provider.kind: is missing",
            ],
        ),
        (GOOD.replace('"memory"', "7").encode(), ["gate.toml:3:1: store: is not a text"]),
        (
            GOOD.replace('"memory"', "7").replace("in-process", "someday").encode(),
            ["gate.toml:3:1: store: is not a text", "gate.toml:6:1: provider.verification: is neither"],
        ),
        (b'protect = ["/x"]\n[provider]\nkind = "caputchn"\n', ["did you mean 'caputchin'?", "secret: is missing"]),
        (b'protect = ["/x"]\n[provider]\nkind = "caputchin"\nsecret = { env = "UNSET_" }\n', ["UNSET_ is not set"]),
    ],
)
def test_check_names_every_problem_in_a_line_of_its_own(content: bytes, problems: list[str], tmp_path: Path) -> None:
    tmp_path.joinpath("gate.toml").write_bytes(content)
    done = typed("check", "gate.toml", folder=tmp_path)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (1, "", len(problems)), done.stderr
    for problem in problems:
        assert any(problem in line and line.startswith("caputchin-gate: gate.toml") for line in lines), done.stderr


def test_check_of_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    done = typed("check", "absent.toml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "caputchin-gate: absent.toml: can't be read: No such file or directory\n"


def test_check_of_a_file_whose_name_is_no_text_is_no_traceback(tmp_path: Path) -> None:
    tmp_path.joinpath(os.fsdecode(b"\xff.toml")).write_text(GOOD)
    done = typed("check", os.fsdecode(b"\xff.toml"), folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "?.toml: no problems\n")


def test_check_says_that_all_is_well_and_what_is_risky(tmp_path: Path) -> None:
    tmp_path.joinpath("gate.toml").write_text(GOOD)
    done = typed("check", "gate.toml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "gate.toml: no problems\n")
    assert re.fullmatch(r"caputchin-gate: gate\.toml:3:1: warning: store: [^\n]+\n", done.stderr), done.stderr


# verify


IN_PROCESS = """
protect = ["POST /contact"]
store = "sqlite:///{folder}/gate.db"
[provider]
kind = "caputchin"
verification = "in-process"
[in_process]
signing_key = "a key for this test that is long enough"
"""

UPSTREAM = """
protect = ["POST /contact"]
store = "memory"
[provider]
kind = "caputchin"
secret = "canary-secret-0123456789"
endpoint = "{url}"
timeout = "2s"
"""


def solved(file: Path) -> str:
    """A token as a browser would get it from the gate of this file."""
    gate = load_gate(file)
    body: list[bytes | BodyEnd] = [BodyEnd.COMPLETE, b"{}"]
    ruling = gate.handle(RequestHead("POST", "/.caputchin/api/v1/captcha/challenge"), lambda _: body.pop())
    gate.close()
    assert isinstance(ruling, Answer)
    challenge = json.loads(ruling.response.body)
    return f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"


def test_verify_passes_a_solved_token_once_and_takes_it_from_stdin_too(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(IN_PROCESS.format(folder=tmp_path))
    token = solved(file)
    first, again = typed("verify", str(file), token), typed("verify", str(file), "-", stdin=f"{token}\n")
    assert (first.returncode, first.stderr, json.loads(first.stdout)["verdict"]) == (0, "", "passed")
    assert (again.returncode, again.stderr) == (1, "")
    assert json.loads(again.stdout) == {"verdict": "failed", "reason": "token-used"}


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ([""], "token-missing"),
        (["-"], "token-missing"),
        (["-x"], "token-malformed"),
        (["--", "-x"], "token-malformed"),
    ],
)
def test_verify_takes_whatever_stands_after_the_file_for_the_token(
    token: list[str], reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(IN_PROCESS.format(folder=tmp_path))
    done = typed("verify", str(file), *token)
    assert (done.returncode, done.stderr, json.loads(done.stdout)["reason"]) == (1, "", reason)


@pytest.mark.parametrize("arguments", [["--help"], ["gate.toml", "--help"], ["gate.toml", "-h"]])
def test_verify_explains_itself_wherever_help_is_asked_for(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *arguments]) == 0
    assert capsys.readouterr().out.startswith("usage: caputchin-gate verify [-h] gate.toml TOKEN\n")


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted.json({"success": False, "error-codes": ["invalid-input-response"]}), "failed"),
        (Scripted.json({"success": False, "error-codes": ["invalid-input-secret"]}), "misconfigured"),
        (Scripted(502), "unavailable"),
    ],
)
def test_verify_prints_what_the_provider_says_and_never_the_secret(
    reply: Scripted, verdict: str, tmp_path: Path
) -> None:
    file = tmp_path / "gate.toml"
    with SiteverifyServer([reply]) as server:
        file.write_text(UPSTREAM.format(url=server.url))
        done = typed("verify", str(file), "x" * 40)
    assert (done.returncode, done.stderr, json.loads(done.stdout)["verdict"]) == (1, "", verdict)
    assert "canary" in server.received[0].body.decode()
    assert "canary" not in done.stdout


def test_verify_with_wrong_settings_is_wrong_use_and_says_which(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(GOOD.replace('"memory"', "7"))
    assert_wrong_use(typed("verify", str(file), "token"), "store: is not a text")


# demo


@contextmanager
def demo(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running demo and its port. It is killed when it outlives the block."""
    with subprocess.Popen(
        [*COMMAND, "demo", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout is not None
            greeting = process.stdout.readline()
            found = re.fullmatch(r"Open http://(?:127\.0\.0\.1|\[::1\]):(\d+)/ .*\n", greeting)
            assert found is not None, greeting
            yield process, int(found[1])
        finally:
            process.kill()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1"])
def test_the_demo_prints_an_address_that_a_browser_on_this_machine_can_open(host: str) -> None:
    with demo("--host", host) as (_, port):
        connection = http.client.HTTPConnection("::1" if ":" in host else "127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.parametrize("impatient", [False, True])
def test_the_demo_ends_at_once_when_told_to_even_with_a_live_log_open(
    number: signal.Signals, code: int, impatient: bool
) -> None:
    with demo() as (process, port):
        page = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        page.request("GET", "/decisions")
        log = page.getresponse()
        assert log.readline().startswith(b"retry:")
        process.send_signal(number)
        rest = log.read()
        if impatient:
            process.send_signal(number)
        _, errors = process.communicate(timeout=5)
    assert b"event: snapshot" in rest
    assert (process.returncode, errors) == (code, "")


def test_the_demo_logs_a_line_for_each_decision() -> None:
    with demo() as (process, port):
        browser = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        browser.request("POST", "/contact", "name=Ada", {"Content-Type": "application/x-www-form-urlencoded"})
        assert browser.getresponse().status == 403
        assert process.stderr is not None
        assert re.match(r"\d\d:\d\d:\d\d decision token-missing route='POST /contact' ", process.stderr.readline())


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert_wrong_use(typed("demo", "--port", port), f"port {port}: Address already in use (see --host and --port)")


@pytest.mark.parametrize(
    ("missing", "arguments", "says"),
    [
        ("starlette", ["demo"], "the demo needs starlette: pip install 'caputchin-gate[demo]'"),
        ("uvicorn", ["demo"], "the demo needs uvicorn: pip install 'caputchin-gate[demo]'"),
        ("uvloop", ["proxy", "gate.toml"], "proxy needs uvloop: pip install 'caputchin-gate[sidecar]'"),
        ("uvloop", ["serve", "gate.toml"], "serve needs uvloop: pip install 'caputchin-gate[sidecar]'"),
    ],
)
def test_without_its_extra_a_command_says_what_to_install(missing: str, arguments: list[str], says: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from caputchin_gate.cli import main; sys.exit(main({arguments}))"
    )
    done = run_to_end([sys.executable, "-c", program])
    assert_wrong_use(done, says)


def test_open_opens_the_page_in_the_browser_of_the_user(tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    listening = os.open(opened, os.O_RDWR)
    with demo("--open", BROWSER=f"{browser} %s") as (_, port):
        readable, _, _ = select.select([listening], [], [], PATIENCE)
        assert readable
        assert os.read(listening, 100) == b"http://127.0.0.1:%d/\n" % port
    os.close(listening)
