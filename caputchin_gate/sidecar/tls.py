"""TLS on either side: a certificate of ours for clients, an authority for upstreams."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.sidecar.settings import RelaySettings


def listening_context(settings: RelaySettings) -> ssl.SSLContext | None:
    """For clients; None without a certificate. Raises ConfigurationError when it can't be used."""
    if settings.tls is None:
        return None
    problems = [
        Problem(f"sidecar.tls.{key}", f"can't be read ({failure.strerror or type(failure).__name__})", _where(path))
        for key, path in (("certificate", settings.tls.certificate), ("key", settings.tls.key))
        if (failure := _unreadable(path)) is not None
    ]
    if problems:
        raise ConfigurationError(problems)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase would ask the terminal for it.
        context.load_cert_chain(settings.tls.certificate, settings.tls.key, password=lambda: "")
    except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
        what = f"certificate and key can't be used ({getattr(failure, 'reason', None) or type(failure).__name__})"
        fix = "they have to belong together, in PEM, the key without a passphrase"
        raise ConfigurationError([Problem("sidecar.tls", what, fix)]) from None
    return context


def _where(path: str) -> str:
    return "" if path.startswith("/") else f"it is looked for in {os.getcwd()}"


def _unreadable(path: str) -> OSError | None:
    try:
        Path(path).open("rb").close()
    except OSError as failure:
        return failure
    except ValueError:  # a NUL in it
        return FileNotFoundError()
    return None


def upstream_context(settings: RelaySettings) -> ssl.SSLContext | None:
    """For https upstreams, whose certificates are always checked; None without any."""
    if not any(address.tls for address in settings.upstreams):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.upstream_ca)
    except (OSError, ValueError) as failure:
        what = f"can't be used ({getattr(failure, 'reason', None) or type(failure).__name__})"
        raise ConfigurationError([Problem("sidecar.upstream_ca", what, "name a file of PEM certificates")]) from None
    context.set_alpn_protocols(["http/1.1"])
    return context
