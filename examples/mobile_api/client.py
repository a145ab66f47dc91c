"""What an application on a phone does, here in Python: asks for a challenge, solves it, sends the token along.

python examples/mobile_api/client.py http://127.0.0.1:8000 Ann
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Post = Callable[[str, Any, Mapping[str, str]], Any]


def token(post: Post, action: str) -> str:
    """Some milliseconds of work, in which the button may already show that something happens."""
    challenge = post("/.caputchin/api/v1/captcha/challenge", {"action": action}, {})
    for number in itertools.count():
        digest = hashlib.sha256(f"{challenge['token']}{number}".encode()).digest()
        if int.from_bytes(digest[:4]) <= challenge["target"]:
            return f"{challenge['token']}.{number}"
    raise AssertionError


def create_account(post: Post, name: str) -> Any:
    return post("/api/accounts", {"name": name}, {"X-Caputchin-Token": token(post, "account")})


def main(server: str, name: str) -> None:
    def post(path: str, body: Any, headers: Mapping[str, str]) -> Any:
        request = Request(server + path, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})  # noqa: S310
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310, the server is the user's own
                return json.load(answer)
        except HTTPError as refused:
            sys.exit(json.load(refused)["detail"])  # in the language of Accept-Language

    print(create_account(post, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
