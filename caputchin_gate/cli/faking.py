"""`serve --fake KIND`: a provider's siteverify on this machine, and the settings that make a gate ask it."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from types import FrameType

from caputchin_gate.cli.listening import listen
from caputchin_gate.cli.parser import LONGEST_ECHO
from caputchin_gate.cli.terminal import DONE, WrongUse
from caputchin_gate.config.settings.reading import Wrong
from caputchin_gate.config.settings.sidecar import one_listening
from caputchin_gate.fake_provider import OUTCOMES, FakeProvider
from caputchin_gate.fake_provider.kinds import KINDS

LISTEN = "127.0.0.1:8765"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fake", metavar="KIND", choices=sorted(KINDS), help=f"a fake of a provider: {', '.join(sorted(KINDS))}"
    )
    parser.add_argument("--latency", metavar="SECONDS", type=seconds, help="how long a fake takes to answer")


def seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (found := float(text)) <= 3600:
            return found
    raise argparse.ArgumentTypeError(f"{text[:LONGEST_ECHO]!r} is not a time: seconds, as in 2.5")


def run(typed: argparse.Namespace) -> int:
    given = {"gate.toml": typed.file}
    given |= {"--admin": typed.admin, "--workers": typed.workers, "--log-format": typed.log_format}
    if surplus := [name for name, value in given.items() if value is not None]:
        raise WrongUse(f"{surplus[0]} has no meaning with --fake, which takes --listen and --latency")
    from caputchin_gate.fake_provider.server import server_of, url_of  # only who serves pays for it

    host, port = _address(typed.listen or [LISTEN])
    fake = FakeProvider(typed.fake, latency=typed.latency or 0.0, on_answer=lambda found: print(found, file=sys.stderr))
    with listen(host, port, "--listen") as listener:
        server = server_of(fake, listener)
    signal.signal(signal.SIGTERM, _end)
    print(_settings(typed.fake, fake, url_of(server)), end="", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()
    return DONE


def _address(typed: list[str]) -> tuple[str, int]:
    if len(typed) > 1:
        raise WrongUse("a fake listens in one place: --listen can't be repeated with --fake")
    try:
        address = one_listening(typed[0])
    except Wrong as wrong:
        raise WrongUse(f"--listen {typed[0][:LONGEST_ECHO]!r} {wrong}") from None
    if address.path is not None or not address.is_local:
        raise WrongUse("a fake lets everybody in, so it listens on this machine alone: --listen 127.0.0.1:PORT")
    return address.host, address.port


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _settings(kind: str, fake: FakeProvider, url: str) -> str:
    """As TOML, so that it can be pasted, or stdout be a file of it."""
    where, secret = url + fake.kind.path, fake.secret
    own = f'\nsite_key = "{fake.site_key}"' if fake.kind.names_site else ""
    return f"""# A fake {kind}, for development. Its settings:
allow_test_keys = true

[provider]
kind = "{kind}"
endpoint = "{where}"
secret = "{secret}"{own}

# In pages:  <script src="{url}/widget.js" defer></script>
# Tokens:    curl '{url}/token?outcome=verified'
# Outcomes:  {", ".join(OUTCOMES)}
"""
