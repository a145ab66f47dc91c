"""Shell completion, in the shells themselves: what Tab offers."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from caputchin_gate.cli.parser import names

BASH = """
source completion.sh
COMP_WORDS=({words} "$1"); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
$(complete -p caputchin-gate | sed 's/.*-F \\([^ ]*\\).*/\\1/') caputchin-gate "$1" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@cache
def script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "caputchin_gate", "completion", shell],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def in_bash(words: str, begun: str, folder: Path) -> set[str]:
    folder.joinpath("completion.sh").write_text(script("bash"))
    asked = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(words=words), "bash", begun],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=folder,
        check=True,
    )
    assert asked.stderr == ""
    return set(asked.stdout.split())


def test_bash_offers_the_commands(tmp_path: Path) -> None:
    assert set(names()) <= in_bash("caputchin-gate", "", tmp_path)
    assert in_bash("caputchin-gate", "exp", tmp_path) == {name for name in names() if name.startswith("exp")}


def test_bash_offers_files_options_and_choices(tmp_path: Path) -> None:
    tmp_path.joinpath("gate.toml").touch()
    assert "gate.toml" in in_bash("caputchin-gate check", "ga", tmp_path)
    assert in_bash("caputchin-gate audit", "--", tmp_path) >= {"--json", "--ignore", "--traceback", "--help"}
    assert in_bash("caputchin-gate completion", "f", tmp_path) == {"fish"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_good_grammar_and_knows_every_command(shell: str, tmp_path: Path) -> None:
    written = script(shell)
    assert all(name in written for name in names())
    tmp_path.joinpath("script").write_text(written)
    home = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=20, env=home)


def test_fish_offers_the_commands(tmp_path: Path) -> None:
    tmp_path.joinpath("completion.fish").write_text(script("fish"))
    asked = subprocess.run(
        ["fish", "--no-config", "-c", "source completion.fish; complete -C 'caputchin-gate '"],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
    )
    assert set(names()) <= {line.split("\t")[0] for line in asked.stdout.splitlines()}
