"""`check` finds what the sidecar would find when it starts: certificates, and proxies that nobody told it about."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from caputchin_gate.cli import main

GATE = """
protect = ["POST /contact"]
{top}
[provider]
kind = "captchaapi"
verification = "in-process"
[sidecar]
upstream = "http://127.0.0.1:8000"
{sidecar}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    certificate, other = (trustme.CA().issue_cert("localhost") for _ in range(2))
    certificate.cert_chain_pems[0].write_to_path("good.pem")
    certificate.private_key_pem.write_to_path("good.key")
    other.private_key_pem.write_to_path("other.key")
    tmp_path.joinpath("text.pem").write_text("no certificate")
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], sidecar: str, top: str = "") -> tuple[int, list[str]]:
    Path("gate.toml").write_text(GATE.format(sidecar=sidecar, top=top))
    code = main(["check", "gate.toml"])
    return code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        ("absent.pem", "good.key", "10:9: sidecar.tls.certificate: can't be read (No such file or directory)"),
        ("good.pem", "absent.key", "10:35: sidecar.tls.key: can't be read (No such file or directory)"),
        ("good.pem", ".", "10:35: sidecar.tls.key: can't be read (Is a directory)"),
        ("good.pem", "other.key", "10:1: sidecar.tls: certificate and key can't be used (KEY_VALUES_MISMATCH)"),
        ("text.pem", "good.key", "10:1: sidecar.tls: certificate and key can't be used ("),
    ],
)
def test_a_certificate_that_can_not_be_used_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], certificate: str, key: str, problem: str
) -> None:
    code, lines = checked(capsys, f'listen = "0.0.0.0:443"\ntls = {{ certificate = "{certificate}", key = "{key}" }}')
    assert code == 1
    assert any(line.startswith(f"caputchin-gate: gate.toml:{problem}") for line in lines), lines


def test_an_authority_that_is_none_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sidecar = 'listen = "0.0.0.0:80"\nupstream_ca = "text.pem"'
    Path("gate.toml").write_text(GATE.format(sidecar=sidecar, top="").replace("http://127", "https://127"))
    assert main(["check", "gate.toml"]) == 1
    assert "gate.toml:10:1: sidecar.upstream_ca: can't be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listen", "top", "warned"),
    [
        ('"127.0.0.1:8080"', "", True),
        ('"unix:/run/gate.sock"', "", True),
        ('["0.0.0.0:80", "[::1]:8080"]', "", True),
        ('"0.0.0.0:80"', "", False),
        ('"127.0.0.1:8080"', 'trusted_proxies = ["127.0.0.1"]', False),
    ],
)
def test_a_sidecar_that_only_a_proxy_reaches_warns_when_it_trusts_none(
    folder: Path, capsys: pytest.CaptureFixture[str], listen: str, top: str, warned: bool
) -> None:
    code, lines = checked(capsys, f"listen = {listen}", top)
    assert code == 0
    assert any("warning: trusted_proxies: is empty, and only a proxy reaches" in line for line in lines) is warned


@pytest.mark.parametrize(
    ("sidecar", "problem"),
    [
        ('listen = ["0.0.0.0:80", "0.0.0.0:80"]', "sidecar.listen: 0.0.0.0:80 stands there twice"),
        ('listen = "0.0.0.0:80"\nadmin = "0.0.0.0:80"', "sidecar.admin: 0.0.0.0:80 is where clients connect"),
        ('listen = "127.0.0.1:8000"', "sidecar.upstream: 127.0.0.1:8000 is the sidecar itself"),
        ('listen = "0.0.0.0:8000"', "sidecar.upstream: 127.0.0.1:8000 is the sidecar itself"),
        ('listen = "[::]:8000"', "sidecar.upstream: 127.0.0.1:8000 is the sidecar itself"),
        ('listen = "192.0.2.1:8000"', None),
        ('listen = ["0.0.0.0:0", "0.0.0.0:0"]\nadmin = "127.0.0.1:0"', None),
    ],
)
def test_addresses_that_are_in_each_others_way_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], sidecar: str, problem: str | None
) -> None:
    code, lines = checked(capsys, sidecar)
    assert code == (problem is not None), lines
    assert problem is None or problem in "\n".join(lines)


def test_a_trial_that_refuses_nothing_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = checked(capsys, 'listen = "0.0.0.0:80"', 'mode = "report"')
    assert code == 0
    assert any("gate.toml:3:1: warning: mode: is report" in line for line in lines), lines


def test_a_right_certificate_is_no_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = checked(capsys, 'listen = "0.0.0.0:443"\ntls = { certificate = "good.pem", key = "good.key" }')
    assert (code, lines) == (0, [])
