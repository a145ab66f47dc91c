"""Datacenters by AS number, with databases that the tests write themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from caputchin_gate import ConfigurationError, Gate, asn
from caputchin_gate.asn import open_datacenters

HOSTER, ISP = 64496, 64497  # numbers for documentation (RFC 5398)


def database(file: Path, kind: str = "GeoLite2-ASN", version: int = 6) -> str:
    """The networks of a hoster and of an internet provider, and one whose entry has no number."""
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    own = {"autonomous_system_organization": "Example"}
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"autonomous_system_number": HOSTER, **own})
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"autonomous_system_number": ISP, **own})
    writer.insert_network(IPSet(["203.0.113.0/24"]), own)
    if version == 6:
        writer.insert_network(IPSet(["2001:db8:1::/48"]), {"autonomous_system_number": HOSTER, **own})
    writer.to_db_file(str(file))
    return str(file)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", True),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("8.8.8.8", False),
        ("2001:db8:1::1", True),
        ("2001:db8:2::1", False),
        ("no address", False),
    ],
)
def test_an_address_is_looked_up_by_its_number(tmp_path: Path, address: str, expected: bool) -> None:
    is_datacenter = open_datacenters(database(tmp_path / "asn.mmdb"), [HOSTER, 64499])
    assert is_datacenter(address) is expected


def test_a_database_of_ipv4_knows_no_ipv6(tmp_path: Path) -> None:
    is_datacenter = open_datacenters(database(tmp_path / "asn.mmdb", version=4), [HOSTER])
    assert (is_datacenter("192.0.2.1"), is_datacenter("2001:db8:1::1")) == (True, False)


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\0" * 4000])
def test_a_file_that_is_no_database_says_so(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "asn.mmdb"
    file.write_bytes(damage)
    with pytest.raises(ConfigurationError, match=r"asn_database: .*is no database.*download"):
        open_datacenters(str(file), [HOSTER])


def test_a_database_of_something_else_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'GeoLite2-City', which has no AS numbers"):
        open_datacenters(database(tmp_path / "city.mmdb", "GeoLite2-City"), [HOSTER])


def test_without_the_package_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asn, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'caputchin-gate\[asn\]'"):
        Gate(
            provider="caputchin",
            verification="in-process",
            store="memory",
            in_process={"hardening": {"asn_database": database(tmp_path / "asn.mmdb")}},
        )
