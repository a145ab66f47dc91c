"""Refusals: what a visitor reads whose request does not reach the application.

answers.py      a page or a problem document, and what their heads say
texts.py        the words, in eight languages
field_texts.py  the shorter ones for a field of a form
"""

from caputchin_gate.refusals.answers import (
    NO_STORE,
    field_text_of,
    is_local_path,
    render,
    stand_in,
    unavailable,
    wants_json,
    words_of,
)

__all__ = [
    "NO_STORE",
    "field_text_of",
    "is_local_path",
    "render",
    "stand_in",
    "unavailable",
    "wants_json",
    "words_of",
]
