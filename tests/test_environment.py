"""Environment variables in place of settings: their names, what their texts mean, which source wins, what is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from caputchin_gate import ConfigurationError, Gate, load_gate
from caputchin_gate.config.environment import Path as SettingPath
from caputchin_gate.config.environment import typed_in, variable_of
from caputchin_gate.config.sources import gather
from caputchin_gate.errors import Problem
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Terms
from caputchin_gate.routes import Rule

CANARY: Final = "canary-of-a-secret-0123456789abcdef"
TABLES: Final = {"providers": {"old": {"kind": "procaptcha"}, "my-new": {"kind": "cap"}}}
FILE: Final = """
protect = ["POST /contact"]
on_outage = "refuse"
store = "memory"
[provider]
kind = "caputchin"
secret = { env = "NOT_SET_ANYWHERE" }
"""


def meant(variable: str, text: str) -> tuple[SettingPath, Any]:
    problems: list[Problem] = []
    typed = typed_in({f"CAPUTCHIN_GATE_{variable}": text}, TABLES, problems)
    assert problems == []
    ((path, (_, value)),) = typed.items()
    return path, value


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("ON_OUTAGE", "admit", "on_outage", "admit"),
        ("ALLOW_TEST_KEYS", "true", "allow_test_keys", True),
        ("ALLOW_TEST_KEYS", "yes", "allow_test_keys", "yes"),
        ("RECEIPT", "2m", "receipt", "2m"),
        ("RECEIPT", "0", "receipt", 0),
        ("RECEIPT_USES", "3", "receipt_uses", 3),
        ("MAX_BODY", "64MiB", "max_body", "64MiB"),
        ("PROTECT", "POST /a, POST /b", "protect", ["POST /a", "POST /b"]),
        ("PROTECT", "POST /a", "protect", ["POST /a"]),
        ("TRUSTED_PROXIES", "10.0.0.0/8,unix", "trusted_proxies", ["10.0.0.0/8", "unix"]),
        ("TRUSTED_PROXIES", "", "trusted_proxies", []),
        ("STORE", "redis://cache:6379/0", "store", "redis://cache:6379/0"),
        ("STORE", "5", "store", "5"),
        ("LIMITS__VERIFICATIONS", "64", "limits.verifications", 64),
        ("IN_PROCESS__HARDENING__ENABLED", "false", "in_process.hardening.enabled", False),
        ("IN_PROCESS__HARDENING__SPIKE", "false", "in_process.hardening.spike", False),
        ("IN_PROCESS__HARDENING__SPIKE", "3,8.5,20", "in_process.hardening.spike", [3, 8.5, 20]),
        ("IN_PROCESS__HARDENING__STICKY", "5m,5m,10m", "in_process.hardening.sticky", ["5m", "5m", "10m"]),
        ("IN_PROCESS__SIGNING_KEY", "a,b", "in_process.signing_key", "a,b"),
        ("IN_PROCESS__SIGNING_KEY__FILE", "/run/key", "in_process.signing_key", {"file": "/run/key"}),
        ("SIDECAR__LISTEN", "0.0.0.0:80,unix:/run/gate.sock", "sidecar.listen", ["0.0.0.0:80", "unix:/run/gate.sock"]),
        ("SIDECAR__TLS__KEY", "/etc/key.pem", "sidecar.tls.key", "/etc/key.pem"),
        ("SIDECAR__TIMEOUTS__RESPONSE", "2m", "sidecar.timeouts.response", "2m"),
        ("PROVIDER__KIND", "cap", "provider.kind", "cap"),
        ("PROVIDER__VERIFICATION", "in-process", "provider.verification", "in-process"),
        ("PROVIDER__SECRET", CANARY, "provider.secret", CANARY),
        ("PROVIDER__SECRET", "7", "provider.secret", "7"),
        ("PROVIDERS__OLD__MAX_SCORE", "0.7", "providers.old.max_score", 0.7),
        ("PROVIDERS__OLD__SEND_REMOTE_IP", "true", "providers.old.send_remote_ip", True),
        ("PROVIDERS__MY_NEW__SECRET__FILE", "/run/key", "providers.my-new.secret", {"file": "/run/key"}),
    ],
)
def test_a_variable_is_a_setting_and_its_text_means_what_the_setting_takes(
    variable: str, text: str, path: str, value: Any
) -> None:
    assert meant(variable, text) == (tuple(path.split(".")), value)


def test_a_name_is_made_of_the_path() -> None:
    assert variable_of(("provider", "secret")) == "CAPUTCHIN_GATE_PROVIDER__SECRET"
    assert variable_of(("in_process", "cap", "puzzles")) == "CAPUTCHIN_GATE_IN_PROCESS__CAP__PUZZLES"


@pytest.mark.parametrize(
    ("variable", "fix"),
    [
        ("ON_OUTTAGE", "did you mean CAPUTCHIN_GATE_ON_OUTAGE?"),
        ("PROVIDER_SECRET", "did you mean CAPUTCHIN_GATE_PROVIDER__SECRET?"),
        ("PROVIDER__SECRTE", "did you mean CAPUTCHIN_GATE_PROVIDER__SECRET?"),
        ("on_outage", "did you mean CAPUTCHIN_GATE_ON_OUTAGE?"),
        ("ROUTE", ""),
        ("IN_PROCESS__SITES", ""),
        ("PROVIDERS__NEW__SECRET", "did you mean"),
        ("ON_OUTAGE__FILE", "did you mean"),
        ("", "remove it"),
        ("SERVICE", "remove it"),
    ],
)
def test_a_variable_that_is_no_setting_is_a_problem(
    variable: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CAPUTCHIN_GATE_{variable}", CANARY)
    monkeypatch.setenv("NOT_SET_ANYWHERE", f"cpt_sec_{'x' * 32}")
    (tmp_path / "gate.toml").write_text(FILE)
    with pytest.raises(ConfigurationError) as caught:
        load_gate(tmp_path / "gate.toml")
    (line,) = str(caught.value).split("\n")
    assert line.startswith(f"CAPUTCHIN_GATE_{variable}: stands for no setting; ")
    assert fix in line
    assert CANARY not in line


def test_variables_that_are_no_settings_hide_no_other_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FOO", "1"), ("ON_OUTAGE", "bla"), ("MODE", "x")):
        monkeypatch.setenv(f"CAPUTCHIN_GATE_{name}", value)
    (tmp_path / "gate.toml").write_text(FILE + "timeout = 5_000\nfoo = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        load_gate(tmp_path / "gate.toml")
    named = [(problem.place and Path(problem.place.source).name, problem.setting) for problem in caught.value.problems]
    assert named == [
        ("gate.toml", "provider.secret"),
        ("gate.toml", "provider.timeout"),
        ("gate.toml", "provider.foo"),
        ("CAPUTCHIN_GATE_FOO", ""),
        ("CAPUTCHIN_GATE_MODE", "mode"),
        ("CAPUTCHIN_GATE_ON_OUTAGE", "on_outage"),
    ]


@pytest.mark.parametrize("kind", ["captuchin", "nonsense"])
def test_a_mistyped_kind_makes_no_variable_of_the_provider_unknown(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPUTCHIN_GATE_PROVIDER__SECRET", CANARY)
    (tmp_path / "gate.toml").write_text(FILE.replace('"caputchin"', f'"{kind}"'))
    with pytest.raises(ConfigurationError) as caught:
        load_gate(tmp_path / "gate.toml")
    assert [problem.setting for problem in caught.value.problems] == ["provider.kind"]


def test_a_variable_in_small_letters_is_told_and_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("caputchin_gate_on_outage", "admit")
    with pytest.raises(ConfigurationError, match="did you mean CAPUTCHIN_GATE_ON_OUTAGE"):
        load_gate()


def test_what_kubernetes_says_about_a_service_of_our_name_is_no_setting() -> None:
    said = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR")
    problems: list[Problem] = []
    assert typed_in({f"CAPUTCHIN_GATE_{name}": "tcp://10.0.0.1:8080" for name in said}, {}, problems) == {}
    assert problems == []


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("ON_OUTAGE", "on_outage: is not one of refuse, admit"),
        ("PROTECT", "protect[0]: the path does not begin with a slash"),
        ("STORE", "store: "),
        ("RECEIPT", "receipt: is not a duration"),
        ("PROVIDER__TIMEOUT", "provider.timeout: is not a duration"),
        ("PROVIDER__ENDPOINT", "provider.endpoint: "),
        ("SIDECAR__LISTEN", "sidecar.listen: names no port"),
        ("IN_PROCESS__SIGNING_KEY__ENV", "in_process.signing_key: names an environment variable that is not set"),
    ],
)
def test_a_problem_names_the_variable_and_not_its_value(
    variable: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CAPUTCHIN_GATE_{variable}", CANARY)
    monkeypatch.setenv("NOT_SET_ANYWHERE", "a secret for this test")
    (tmp_path / "gate.toml").write_text(FILE)
    with pytest.raises(ConfigurationError) as caught:
        load_gate(tmp_path / "gate.toml")
    assert f"CAPUTCHIN_GATE_{variable}: {problem}" in str(caught.value)
    assert CANARY not in str(caught.value)


# Which source wins


def test_a_variable_wins_over_the_file_and_the_command_line_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(FILE + '[sidecar]\nlisten = "127.0.0.1:1"\nworkers = 2\n')
    variables = {"CAPUTCHIN_GATE_SIDECAR__LISTEN": "127.0.0.1:2", "CAPUTCHIN_GATE_SIDECAR__WORKERS": "3"}
    assert gather(file, {}).tables["sidecar"] == {"listen": "127.0.0.1:1", "workers": 2}
    assert gather(file, variables).tables["sidecar"] == {"listen": ["127.0.0.1:2"], "workers": 3}
    typed = gather(file, variables, {"sidecar.listen": "127.0.0.1:3"})
    assert typed.tables["sidecar"] == {"listen": "127.0.0.1:3", "workers": 3}
    assert typed.tables["provider"] == {"kind": "caputchin", "secret": {"env": "NOT_SET_ANYWHERE"}}


def test_a_problem_of_the_command_line_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(FILE)
    typed = gather(tmp_path / "gate.toml", {}, {"sidecar.listen": "nowhere"})
    assert str(typed.placed(Problem("sidecar.listen", "names no port"))) == "--listen: sidecar.listen: names no port"


def test_a_gate_of_the_file_heeds_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gate.toml").write_text(FILE)
    monkeypatch.setenv("CAPUTCHIN_GATE_PROVIDER__SECRET", CANARY)
    monkeypatch.setenv("CAPUTCHIN_GATE_PROTECT", "POST /signup")
    gate = load_gate(tmp_path / "gate.toml")
    assert gate.untouched("/contact", None, "")
    assert not gate.untouched("/signup", None, "")


def test_a_gate_without_a_file_is_made_of_variables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPUTCHIN_GATE_PROVIDER__KIND", "caputchin")
    monkeypatch.setenv("CAPUTCHIN_GATE_PROVIDER__SECRET", CANARY)
    monkeypatch.setenv("CAPUTCHIN_GATE_PROTECT", "POST /signup")
    monkeypatch.setenv("CAPUTCHIN_GATE_ON_OUTAGE", "admit")
    gate = load_gate()
    match gate._settings.routes.match(RequestHead("POST", "/signup")):
        case Rule(terms=Terms(admit_outages=admits)):
            assert admits
        case other:
            raise AssertionError(other)


def test_without_a_file_what_is_missing_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPUTCHIN_GATE_PROVIDER__KIND", "caputchin")
    with pytest.raises(ConfigurationError) as caught:
        load_gate(must_guard=True)
    assert {problem.setting for problem in caught.value.problems} == {"provider.secret", "protect"}


def test_no_variable_changes_what_is_typed_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPUTCHIN_GATE_PROTECT", "POST /signup")
    monkeypatch.setenv("CAPUTCHIN_GATE_NONSENSE", "1")
    gate = Gate(provider="caputchin", secret=CANARY, protect=["POST /contact"], store="memory")
    assert not gate.untouched("/contact", None, "")
    assert gate.untouched("/signup", None, "")


def test_the_command_says_it_too(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(FILE)
    done = subprocess.run(
        [sys.executable, "-m", "caputchin_gate", "check", "gate.toml"],
        env={"CAPUTCHIN_GATE_ON_OUTAGE": CANARY, "CAPUTCHIN_GATE_PROVIDER__SECRET": CANARY},
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "caputchin-gate: CAPUTCHIN_GATE_ON_OUTAGE: on_outage: is not one of refuse, admit\n"
