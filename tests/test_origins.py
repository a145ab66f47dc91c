"""One reading of where a request comes from, for challenges and for refusals alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.origins import host_name, host_of, host_of_origin, meant_by


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://shop.example", "shop.example"),
        ("http://shop.example:8080", "shop.example"),
        ("https://SHOP.example", "shop.example"),
        ("https://xn--shp-tna.example", "xn--shp-tna.example"),
        ("https://my_site.example", "my_site.example"),
        ("http://127.0.0.1:8000", "127.0.0.1"),
        ("http://[::1]:3000", "::1"),
        ("https://shop.example.", "shop.example."),
    ],
)
def test_an_origin_names_a_host_in_any_scheme_and_port(origin: str, host: str) -> None:
    assert host_of_origin(origin) == host_of(origin) == host_of(f"{origin}/contact?a=b") == host
    assert host_of_origin(f"{origin}/") == ""


@pytest.mark.parametrize(
    "page",
    [
        None,
        "",
        "null",
        "shop.example",
        "//shop.example",
        "ftp://shop.example",
        "javascript://shop.example/%0aalert(1)",
        "https://shop.example@evil.example",
        "https://evil.example@shop.example",
        "https://shop.example\\@evil.example",
        "https://evil.example\\@shop.example",
        "https://shop.example, https://evil.example",
        "https://sh\top.example",
        "https://shop.example\t",
        "https://shop.example\r\nX: 1",
        "https://shop.example:443x",
        "https://shop.example:",
        "https://\uff53hop.example",
        "https://shop\u3002example",
        "https://\u212aelvin.example",
        "https://[::1",
        "https://[shop.example]",
        " https://shop.example",
    ],
)
def test_what_no_browser_sends_names_no_host(page: str | None) -> None:
    assert host_of(page) == host_of_origin(page) == ""


@pytest.mark.parametrize("host", ["shop.example", "a", "127.0.0.1", "::1", "xn--shp-tna.example", "my_site.example"])
def test_a_host_name_is_what_the_origins_of_its_pages_name(host: str) -> None:
    assert host_name(host) == host_name(host.upper()) == host
    assert host_of_origin(f"https://[{host}]" if ":" in host else f"https://{host}") == host


ALMOST = st.from_regex(r"(https?://)?(\*\.)?[a-zö-]{1,8}(\.[a-zö]{1,4}){0,2}(:[0-9]*)?[/.]?", fullmatch=True)


@given(st.text(max_size=40) | ALMOST)
def test_what_is_proposed_is_a_host_name_itself(typed: str) -> None:
    meant = meant_by(typed)
    assert meant is None or host_name(meant) == meant
