"""Whose request is it: threats.md R25."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.client_address import ForwardingHeader, TrustedProxies, client_of, network_of
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.messages import RequestHead

PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"
LOCAL = ("10.0.0.0/8", "2001:db8:ffff::/48")
XFF, FORWARDED, REAL_IP = "x-forwarded-for", "forwarded", "x-real-ip"


def client(
    *values: str,
    peer: str | None = PROXY,
    trusted: tuple[str, ...] = LOCAL,
    header: ForwardingHeader = "x-forwarded-for",
    sent_as: str | None = None,
) -> str | None:
    head = RequestHead("POST", "/", headers={sent_as or header: values} if values else {}, peer=peer)
    return client_of(head, TrustedProxies(trusted, header))


@pytest.mark.parametrize("header", [XFF, FORWARDED, REAL_IP])
@pytest.mark.parametrize("value", [CLIENT, f"for={CLIENT}", "garbage"])
def test_no_header_counts_unless_its_sender_is_trusted(header: ForwardingHeader, value: str) -> None:
    assert client(value, peer="198.51.100.1", header=header) == "198.51.100.1"
    assert client(value, peer=PROXY, trusted=(), header=header) == PROXY
    assert client(value, peer=None, header=header) is None


@pytest.mark.parametrize("header", [XFF, FORWARDED, REAL_IP])
@pytest.mark.parametrize("other", [XFF, FORWARDED, REAL_IP, "x-client-ip", "true-client-ip"])
def test_only_the_configured_kind_of_header_counts(header: ForwardingHeader, other: str) -> None:
    value = f"for={CLIENT}" if other == FORWARDED else CLIENT
    assert client(value, header=header, sent_as=other) == (CLIENT if header == other else PROXY)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), PROXY),
        ((CLIENT,), CLIENT),
        ((f"198.51.100.7, {CLIENT}",), CLIENT),
        ((f"198.51.100.7,{CLIENT}, 10.9.9.9",), CLIENT),
        (("198.51.100.7", CLIENT), CLIENT),
        ((f"198.51.100.7, {CLIENT}", "10.1.1.1, 10.2.2.2"), CLIENT),
        ((f"\t{CLIENT} ",), CLIENT),
        ((f"{CLIENT}:51234",), CLIENT),
        (("2001:db8::17",), "2001:db8::17"),
        (("[2001:DB8:0::17]",), "2001:db8::17"),
        (("[2001:db8::17]:443",), "2001:db8::17"),
        (("2001:db8::17%eth0",), "2001:db8::17"),
        (("::ffff:203.0.113.9",), CLIENT),
        (("::ffff:cb00:7109",), CLIENT),
        (("[::ffff:203.0.113.9]:80",), CLIENT),
        (("2001:db8:1::1, 2001:db8:ffff::2",), "2001:db8:1::1"),
        (("10.3.3.3, 10.2.2.2",), "10.3.3.3"),  # an inner client: each hop is ours
        (("garbage, 10.2.2.2",), PROXY),
        (("garbage",), PROXY),
        (("",), PROXY),
        ((f"{CLIENT},",), PROXY),
        ((f"{CLIENT}, ,10.2.2.2",), PROXY),
        (("203.0.113.009",), PROXY),
        (("203.0.113",), PROXY),
        (("3405803785",), PROXY),
        (("203.0.113.9%eth0",), PROXY),
        (("203.0.113.9:port",), PROXY),
        (("203.0.113.9:123456",), PROXY),
        (("[203.0.113.9]",), PROXY),
        (("[2001:db8::17",), PROXY),
        (("unknown",), PROXY),
        (("\u0661.2.3.4",), PROXY),
        ((f"for={CLIENT}",), PROXY),
    ],
)
def test_of_x_forwarded_for_the_rightmost_untrusted_hop_counts(values: tuple[str, ...], expected: str) -> None:
    assert client(*values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((f"for={CLIENT}",), CLIENT),
        ((f"For={CLIENT};proto=https;by=10.0.0.1",), CLIENT),
        ((f'proto=https;host="a, b; c";FOR="{CLIENT}"',), CLIENT),
        (('for="[2001:db8:cafe::17]:4711"',), "2001:db8:cafe::17"),
        (('for="[2001:db8:cafe::17]:_port"',), "2001:db8:cafe::17"),
        (("for=[2001:db8:cafe::17]",), "2001:db8:cafe::17"),
        ((f"for={CLIENT}:4711",), CLIENT),
        ((r'for="203.0.113.\9"',), CLIENT),
        ((f"for=198.51.100.7, for={CLIENT}, for=10.2.2.2",), CLIENT),
        (("for=198.51.100.7", f"for={CLIENT}"), CLIENT),
        (('for="', f"for={CLIENT}"), CLIENT),  # garbage of the client in a header of its own
        (("for=unknown, for=10.2.2.2",), PROXY),
        (("for=_hidden",), PROXY),
        ((f'for=", for={CLIENT}',), PROXY),
        ((f'for="x, for="{CLIENT}"',), PROXY),
        ((f"for={CLIENT};for=198.51.100.7",), PROXY),
        (("proto=https",), PROXY),
        ((f"for = {CLIENT}",), PROXY),
        ((f"for={CLIENT},",), PROXY),
        ((f"for={CLIENT};",), PROXY),
        ((CLIENT,), PROXY),
        (("",), PROXY),
    ],
)
def test_of_forwarded_the_rightmost_untrusted_hop_counts(values: tuple[str, ...], expected: str) -> None:
    assert client(*values, header="forwarded") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((CLIENT,), CLIENT),
        (("10.2.2.2",), "10.2.2.2"),
        (("2001:db8::17",), "2001:db8::17"),
        ((CLIENT, "198.51.100.7"), PROXY),
        ((f"{CLIENT}, 198.51.100.7",), PROXY),
        (("garbage",), PROXY),
    ],
)
def test_x_real_ip_names_one_address_or_none(values: tuple[str, ...], expected: str) -> None:
    assert client(*values, header="x-real-ip") == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (CLIENT, CLIENT),
        ("::ffff:203.0.113.9", CLIENT),
        ("2001:DB8::0017", "2001:db8::17"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_of_the_peer_is_canonical(peer: str | None, expected: str | None) -> None:
    assert client(peer=peer, trusted=()) == expected


@pytest.mark.parametrize(
    ("peer", "trusted", "expected"),
    [
        (None, ("unix",), CLIENT),
        ("", ("unix",), CLIENT),
        (None, LOCAL, None),
        (None, (), None),
        (PROXY, ("unix",), PROXY),
        ("testclient", ("unix", "0.0.0.0/0"), None),
        ("::ffff:10.0.0.1", ("10.0.0.0/8",), CLIENT),
        ("10.0.0.1", ("::ffff:10.0.0.0/104",), CLIENT),
        ("198.51.100.1", ("::ffff:10.0.0.0/104",), "198.51.100.1"),
        ("10.0.0.1", ("::/0",), PROXY),
        ("fe80::1%eth0", ("fe80::/10",), CLIENT),
        ("10.0.0.1", ("10.0.0.1",), CLIENT),
        ("10.0.0.2", ("10.0.0.1",), "10.0.0.2"),
    ],
)
def test_who_is_trusted(peer: str | None, trusted: tuple[str, ...], expected: str | None) -> None:
    assert client(CLIENT, peer=peer, trusted=trusted) == expected


def test_every_wrong_entry_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        TrustedProxies(["10.0.0.1/8", "10.0.0.0/8", "unix", "proxy.example", " 10.0.0.0/8"], "x-real-ipp")  # type: ignore[arg-type]
    settings = [problem.setting for problem in raised.value.problems]
    assert settings == ["trusted_proxies"] * 3 + ["forwarded_header"]
    assert "did you mean 'x-real-ip'" in str(raised.value)


@pytest.mark.parametrize(
    ("address", "prefix", "network"),
    [
        (CLIENT, 64, CLIENT),
        (CLIENT, 48, CLIENT),
        ("::ffff:203.0.113.9", 56, CLIENT),  # CVE-2026-30827: a mapped address is not cut to a /56 of everybody
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2ff:3:4:5:6", 56, "2001:db8:1:200::/56"),
        ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48"),
        ("fe80::1%eth0", 64, "fe80::/64"),
        ("not an address", 64, None),
        ("", 64, None),
    ],
)
def test_ipv6_clients_are_counted_and_bound_by_their_network(address: str, prefix: int, network: str | None) -> None:
    assert network_of(address, prefix) == network


ADDRESSES = st.ip_addresses().map(str).filter(lambda address: network_of(address) != PROXY)
NOISE = st.one_of(
    st.text(st.characters(max_codepoint=255)),
    st.text('";,=for[]: .123456789abcdef\\', max_size=40),
    ADDRESSES,
    ADDRESSES.map('for={};x="'.format),
)
ONE_PROXY = ("10.0.0.1/32",)


@given(NOISE, ADDRESSES)
def test_whatever_a_client_sends_it_is_known_by_the_address_its_proxy_appended(noise: str, address: str) -> None:
    found = client(f"{noise}, {address}", trusted=ONE_PROXY)
    assert found is not None
    assert network_of(found, 128) == network_of(address, 128)


@given(NOISE, ADDRESSES)
def test_a_garbled_forwarded_header_leaves_the_proxy_and_never_an_address_of_choice(noise: str, address: str) -> None:
    appended = f'for="[{address}]"' if ":" in address else f"for={address}"
    real = client(appended, trusted=ONE_PROXY, header="forwarded")
    assert client(f"{noise}, {appended}", trusted=ONE_PROXY, header="forwarded") in {real, PROXY}
    assert client(noise, appended, trusted=ONE_PROXY, header="forwarded") == real


@given(st.lists(NOISE, max_size=3), st.sampled_from([XFF, FORWARDED, REAL_IP]))
def test_no_header_breaks_the_reading_and_the_answer_is_always_an_address(
    values: list[str], header: ForwardingHeader
) -> None:
    found = client(*values, header=header)
    assert found is not None
    assert str(ip_address(found)) == found
