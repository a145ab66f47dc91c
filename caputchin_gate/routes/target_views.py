"""Views: every reading of a request target that a server, a router or a hop in front might take (threats.md R1).

A view is added, never substituted (R2): the target as sent and the path as the server decoded it stay among the
views whatever else is read out of them. The views are closed under `_steps`, each of which was seen in a real
server or framework, or in a proxy that people put behind the gate. The search is bounded: `views_of` answers None
for a target that has too many readings, and its caller must take that for a match.

Nothing here knows rules, methods or headers: see `table.py`.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import a2b_qp
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

LONGEST_TARGET: Final = 8192  # characters (threats.md R30)
MOST_VIEWS: Final = 128
_MOST_MARKS: Final = 32  # combining marks of one view; no script piles them up like that
_MOST_CHARACTERS: Final = 32_768  # of all views together: what a hostile target can cost
_MOST_MOUNTS: Final = 4

# Targets of one reading: no step changes them, but for a slash at their end. A property test holds this to `_steps`.
_WORD: Final = r"[A-Za-z0-9_~@!$&'()*+,:=-]+"
PLAIN: Final = re.compile(rf"(?:/\.?{_WORD}(?:\.{_WORD})*)*/?")

_SLASHES: Final = re.compile(r"//+")
_GLUED_DOTS: Final = re.compile(r"([^/.])\.\.(?=/|\Z)")
_PARAMETERS: Final = re.compile(r";[^/]*")
_ORIGIN: Final = re.compile(r"[^/?#:]*:(?://[^/?#\\]*)?")  # any scheme, known or not, and its authority
_NO_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_BLANK_RANGES: Final = (
    *((0, 0x20), (0x7F, 0xA0), (0x1680, 0x1680), (0x2000, 0x200F)),
    *((0x2028, 0x202F), (0x205F, 0x206F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_BLANK: Final = "".join(  # blanks, controls, separators and invisible characters
    chr(code) for first, last in _BLANK_RANGES for code in range(first, last + 1)
)
_AN_I: Final = {0x130: "i", 0x131: "i"}  # equal to an i where case is ignored, but not folded to one


@dataclass(frozen=True, slots=True)
class Views:
    """usual: what a rule is compared with.
    doubled: views that have the mount prefix already, with the prefix before them once more. It is right only for an
        application that has a path named like its own mount, so these count only where no usual view matches.
    plain: the target was sent in the one spelling that has a single reading, mounts aside.
    """

    usual: tuple[str, ...]
    doubled: tuple[str, ...] = ()
    plain: bool = False


def views_of(path: str, raw_path: bytes | str | None, root_path: str) -> Views | None:
    """All views of a target, or None when there are too many of them."""
    sent = raw_path.decode("latin-1") if isinstance(raw_path, bytes) else raw_path
    if not root_path and (sent is None or sent == path) and path and PLAIN.fullmatch(path):
        return Views((path,), plain=True)
    mounts = _mounts(root_path) if root_path else ()
    readings = _readings(path, sent, root_path, mounts)
    if readings is None or mounts is None:
        return None
    found, plain = readings
    if not mounts:
        return Views(tuple(found), plain=plain)
    usual, doubled = dict.fromkeys(found), dict[str, None]()
    for view in found:
        if view.startswith("/"):
            for mount in mounts:
                mounted = view == mount or view.startswith(mount + "/")
                (doubled if mounted else usual)[mount + view] = None
    return Views(tuple(usual), tuple(doubled), plain)


def way_to(view: str, path: str, raw_path: str | None, root_path: str) -> tuple[str, ...]:
    """How the target that was sent is read as one of its views: each reading is one step from the one before."""
    mounts = (_mounts(root_path) if root_path else ()) or ()
    readings = _readings(path, raw_path, root_path, mounts)
    if readings is None:
        return (view,)
    origins, _ = readings
    way = [view]
    if view not in origins:
        spelled = ((mount + seen, seen) for seen in origins for mount in ("", *mounts))
        way += [seen for reading, seen in spelled if view in (reading, fold(reading))][:1]
    while (origin := origins.get(way[-1])) is not None:
        way.append(origin)
    return tuple(reversed(way))


def _readings(
    path: str, sent: str | None, root_path: str, mounts: tuple[str, ...] | None
) -> tuple[Mapping[str, str | None], bool] | None:
    """What a target reads as, with the reading that each is one step from, and whether it was sent plain."""
    if mounts is None or max(len(path), len(sent or ""), len(root_path)) > LONGEST_TARGET:
        return None
    path = path or "/"
    seeds: dict[str, str | None] = {sent: None} if sent else {}
    seeds.setdefault(path, sent or None)
    for seed in tuple(seeds):
        for rest in _below(seed, mounts):
            seeds.setdefault(rest, seed)
    if all(map(PLAIN.fullmatch, seeds)):
        return seeds, True
    found = _closure(seeds, mounts)
    return (found, False) if found is not None else None


def _costs_too_much(view: str) -> bool:
    """Whether normalising would take long: Python sorts runs of combining marks in quadratic time."""
    if view.isascii():
        return False
    marks = [character for character in set(view) if unicodedata.combining(character)]
    return sum(map(view.count, marks[: _MOST_MARKS + 1])) > _MOST_MARKS


def fold(view: str) -> str:
    """The form in which letters that look or fold alike are equal, those that `re.IGNORECASE` takes for another too."""
    if view.isascii():
        return view.lower()
    view = view.translate(_AN_I)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", view).casefold())


def decode(view: str) -> str:
    """Percent-decoded once, as UTF-8. What is no UTF-8 is replaced: no spelling may raise (bypasses.md 1, row 9)."""
    sent = view.encode("utf-8", "surrogatepass")
    # Once each "%" begins an escape, it is quoted-printable in all but the sign, which is decoded at the speed of C.
    quoted = _NO_ESCAPE.sub(b"%25", sent).replace(b"=", b"%3D").replace(b"%", b"=")
    return a2b_qp(quoted).decode("utf-8", "replace")


def _mounts(root_path: str) -> tuple[str, ...] | None:
    """The spellings of the mount prefix, without a slash at the end."""
    if PLAIN.fullmatch(root_path):
        spelled: Iterable[str] | None = (root_path,)
    else:
        spelled = _closure({root_path: None}, ())
    if spelled is None:
        return None
    mounts = tuple({view.rstrip("/") for view in spelled if view.startswith("/")} - {""})
    return mounts if len(mounts) <= _MOST_MOUNTS else None


def _below(view: str, mounts: tuple[str, ...]) -> Iterator[str]:
    """The view without its mount prefix; servers glue the prefix before anything: `/applogin`, `/apphttp://h/login`."""
    for mount in mounts:
        if view.startswith(mount):
            yield view[len(mount) :] or "/"


def _closure(seeds: Mapping[str, str | None], mounts: tuple[str, ...]) -> dict[str, str | None] | None:
    """Everything the steps reach from the seeds, each with what it was reached from; None when that is too much."""
    found = dict(seeds)
    if any(map(_costs_too_much, found)):
        return None
    waiting = list(found)
    characters = 0
    for view in waiting:  # it grows while we walk it
        for reading in chain(_steps(view), _below(view, mounts)):
            if reading not in found:
                found[reading] = view
                waiting.append(reading)
                characters += len(reading)
                if len(found) > MOST_VIEWS or characters > _MOST_CHARACTERS or _costs_too_much(reading):
                    return None
    return found


def _steps(view: str) -> Iterator[str]:
    """Each reading that is one step away from this one."""
    if "%" in view:
        yield decode(view)
    for mark in "?#\0":
        if mark in view:
            yield view[: view.index(mark)]
    if not view.startswith("/"):
        yield "/" + view
        yield view.lstrip(_BLANK)
        if origin := _ORIGIN.match(view):
            yield view[origin.end() :]
    if "//" in view:
        yield "/" + view.lstrip("/")
        yield _SLASHES.sub("/", view)
        if view.startswith("//"):  # read as `//host/path`
            yield "/" + view[2:].partition("/")[2]
    if "\\" in view:
        yield view.replace("\\", "/")
    if ".." in view:
        yield _GLUED_DOTS.sub(r"\1/..", view)
    if "/." in view:
        yield _without_dot_segments(view)
    if ";" in view:
        yield _PARAMETERS.sub("", view)
        before, slash, last = view.rpartition("/")
        yield before + slash + last.partition(";")[0]
    if "\t" in view or "\r" in view or "\n" in view:
        yield view.replace("\t", "").replace("\r", "").replace("\n", "")
    if "\ufffd" in view:  # bytes that are no UTF-8, which some routers leave out
        yield view.replace("\ufffd", "")
    yield view.rstrip(_BLANK)
    yield view.rstrip(_BLANK + "./")
    if not view.isascii():
        yield unicodedata.normalize("NFKC", view)
        yield from _as_utf_8(view)


def _as_utf_8(view: str) -> Iterator[str]:
    """WSGI hands over UTF-8 bytes as Latin-1 characters."""
    try:
        yield view.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return


def _without_dot_segments(view: str) -> str:
    """RFC 3986 5.2.4."""
    segments = view.split("/")
    kept: list[str] = []
    for segment in segments:
        match segment:
            case ".":
                pass
            case "..":
                if len(kept) > 1:  # the first is the empty one before the leading slash
                    kept.pop()
            case _:
                kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)
