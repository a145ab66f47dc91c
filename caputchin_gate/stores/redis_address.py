"""Where a Redis store is: the URL of the setting `store`, read strictly. Nothing is connected here.

    redis://[[user]:password@]host[:6379][/database]        rediss:// the same over TLS
    redis+cluster://host:7000,host:7001,...                 rediss+cluster:// the same over TLS
    unix://[[user]:password@]/run/redis.sock[?db=0]

No part of a URL that can't be read appears in a message: the password may stand anywhere in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.secret import Secret

_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # as the client names them
_PORT: Final = 6379

Node: TypeAlias = tuple[str, int]  # a host and a port, or the path of a socket and 0


@dataclass(frozen=True, slots=True)
class Address:
    """nodes: more than one for a cluster only, where any of them tells about the others."""

    nodes: tuple[Node, ...]
    cluster: bool = False
    tls: bool = False
    tls_files: Mapping[str, str] = field(default_factory=dict)
    database: int = 0
    user: str | None = None
    password: Secret | None = None

    def __str__(self) -> str:
        """For people: without user and password."""
        return ", ".join(f"{host}:{port}" if port else host for host, port in self.nodes)


def read_address(setting: str) -> Address:
    """Raises ConfigurationError for a URL that can't be used."""
    scheme, _, rest = setting.partition("://")
    body, mark, query = rest.partition("?")
    authority, slash, path = body.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    if "#" in setting or (at and not colon):
        _refuse()
    options = dict(parse_qsl(query, keep_blank_values=True))
    cluster, tls, socket = scheme.endswith("+cluster"), scheme.startswith("rediss"), scheme == "unix"
    if set(options) - set(_TLS_FILES if tls else ("db",) if socket else ()) or (mark and not options):
        names = ", ".join(_TLS_FILES) if tls else "db" if socket else "none"
        _refuse(f"options that are known here: {names}")
    database = options.pop("db", "0") if socket else path or "0"
    if not (database.isascii() and database.isdigit()) or (cluster and database != "0"):
        _refuse("a database is a number, and a cluster has none but 0")
    if socket and (hosts or not slash or not path):
        _refuse('the path of a socket is absolute: "unix:///run/redis.sock"')
    return Address(
        nodes=((f"/{unquote(path)}", 0),) if socket else _nodes(hosts, cluster),
        cluster=cluster,
        tls=tls,
        tls_files=options,
        database=int(database),
        user=unquote(user) or None,
        password=Secret(unquote(password)) if password else None,
    )


def _nodes(hosts: str, cluster: bool) -> tuple[Node, ...]:
    named = hosts.split(",")
    if len(named) > 1 and not cluster:
        _refuse("several hosts are a cluster: redis+cluster://")
    nodes = []
    for name in named:
        try:
            split = urlsplit(f"//{name}")
            host, port = split.hostname, split.port
        except ValueError:
            _refuse()
        if not host or split.path or split.username is not None:
            _refuse()
        nodes.append((host, port or _PORT))
    return tuple(nodes)


def _refuse(
    fix: str = 'write it like "redis://user:password@host:6379/0"; odd characters of the password are percent-encoded',
) -> NoReturn:
    raise ConfigurationError([Problem("store", "is not a Redis URL that can be used", fix)]) from None
