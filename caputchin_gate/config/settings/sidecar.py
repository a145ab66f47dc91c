"""[sidecar]: where the gate's own servers listen, what stands behind them, how long anything may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate import addresses
from caputchin_gate.addresses import Address
from caputchin_gate.config.settings.plain import TEXT, choice, duration, flag, one_or_more, size, text, texts, whole
from caputchin_gate.config.settings.reading import Setting, TableOf, Wrong, reads
from caputchin_gate.config.settings.secrets import signing_key

_LIKE: Final = 'write it like "127.0.0.1:8080" or "[::1]:8080"'


@reads(TEXT)
def address(value: object) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    host, colon, port = text(value).rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise Wrong("names no port", _LIKE, value)
    if not host.strip("[]") or (":" in host and not bracketed):
        raise Wrong("is no host and port", _LIKE, value)
    return host.strip("[]") if bracketed else host, int(port)


@reads(one_or_more(TEXT, least=1))
def listening(value: object) -> tuple[Address, ...]:
    """Hosts and ports, or Unix sockets: one, or a list of them."""
    if not value or not isinstance(value, str | list | tuple):
        raise Wrong("is no address, and no list of addresses", _LIKE)
    return tuple(map(one_listening, texts(value)))


@reads(TEXT)
def one_listening(value: object) -> Address:
    path = addresses.socket_path(text(value))
    return Address(*address(value)) if path is None else Address(path=path)


@reads(one_or_more(TEXT, least=1), shown=False)
def upstreams(value: object) -> tuple[Address, ...]:
    typed = texts(value) if isinstance(value, str | list | tuple) else ()
    found = tuple(map(addresses.upstream, typed))
    known = tuple(address for address in found if address is not None)
    if not found or len(known) < len(found):
        raise Wrong(
            "is no address of an application",
            'write it like "http://127.0.0.1:8000", "https://app.internal" or "unix:/run/app.sock"',
        )
    return known


SIDECAR_TLS: Final[Mapping[str, Setting]] = {
    "certificate": Setting(
        text, None, "The certificate and those of its issuers, PEM.", '"/etc/gate/fullchain.pem"', required=True
    ),
    "key": Setting(text, None, "Its private key, PEM, without a passphrase.", '"/etc/gate/privkey.pem"', required=True),
}

SIDECAR_TIMEOUTS: Final[Mapping[str, Setting]] = {
    "connect": Setting(duration(0.05, 60), 5.0, "Until a connection to the application is there.", '"5s"'),
    "head": Setting(duration(0.1, 300), 10.0, "Until the head of a request is complete.", '"10s"'),
    "body_rate": Setting(size(), 1024, "Bytes a second that a body keeps as a whole.", '"1KiB"'),
    "response": Setting(
        duration(0.1, 3600), 60.0, "Until the application begins to answer, or takes more of a body.", '"60s"'
    ),
    "total": Setting(duration(1, 86400), 3600.0, "From the head of a request to the first byte of its answer.", '"1h"'),
    "silence": Setting(
        duration(1, 86400), 3600.0, "How long an answer that has begun, or a WebSocket, may be silent.", '"1h"'
    ),
    "idle": Setting(duration(0.1, 3600), 60.0, "How long a connection is kept for its next request.", '"60s"'),
    "upstream_idle": Setting(
        duration(0, 3600), 4.0, "How long a connection to the application is kept; less than it keeps its own.", '"4s"'
    ),
    "drain": Setting(duration(0, 3600), 30.0, "What requests in flight get when the sidecar ends.", '"30s"'),
}

SIDECAR: Final[Mapping[str, Setting]] = {
    "listen": Setting(
        listening, (Address("127.0.0.1", 8080),), "Where clients connect; a list for several places.", '"0.0.0.0:80"'
    ),
    "upstream": Setting(upstreams, (), "The application; a list for several instances of it.", '"unix:/run/app.sock"'),
    "allow_http": Setting(flag, False, "Whether the way to an upstream on another machine may be plain http.", "true"),
    "upstream_ca": Setting(
        text,
        None,
        "The authority that signed the certificate of an https upstream.",
        '"/etc/ssl/certs/ca-certificates.crt"',
    ),
    "tls": Setting(
        TableOf(SIDECAR_TLS),
        None,
        "The certificate and its key, for https.",
        '{ certificate = "fullchain.pem", key = "privkey.pem" }',
    ),
    "admin": Setting(
        one_listening, None, "Where health, metrics and the dashboard are; off without it.", '"127.0.0.1:9090"'
    ),
    "workers": Setting(whole(1, 256), 1, "How many processes share the work.", "2"),
    "websockets": Setting(flag, True, "Whether WebSockets pass, on paths that no rule guards.", "false"),
    "log_format": Setting(
        choice("auto", "text", "json"),
        "auto",
        "The lines of the log; auto is text on a terminal, and JSON elsewhere.",
        '"json"',
    ),
    "sign_verdicts": Setting(
        signing_key, None, "Signs what the application is told about the decision.", '{ env = "GATE_VERDICT_KEY" }'
    ),
    "timeouts": Setting(TableOf(SIDECAR_TIMEOUTS), {}, "How long anything may take.", '{ response = "2m" }'),
}
