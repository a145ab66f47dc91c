"""How Sphinx makes the site of these pages, which are read on a forge too: `make docs`, then `_build/html/index.html`.

The pages are plain Markdown. What only a site has is added here: the navigation, which follows the links of the pages
that list others, and the reference, made from docstrings.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import caputchin_gate

DOCS = Path(__file__).parent

project = "caputchin_gate"
author = "the authors of caputchin_gate"
version = release = caputchin_gate.__version__
html_title = f"caputchin_gate {release}"
html_theme = "furo"
html_show_copyright = False
html_copy_source = False
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4  # GitHub's, so that a link is the same on both
suppress_warnings = ["misc.highlighting_failure"]  # a console that shows JSON with "..." in it

nitpicky = True
nitpick_ignore_regex = [  # what others document, and parts that are ours alone
    (r"py:.*", r"(?!caputchin_gate\.).*"),
    (r"py:.*", r".*\.(View|Marked|A|T)"),
    (r"py:.*", r"caputchin_gate\.(messages|effects|clock|policy|secret_health)\..*"),
]
default_role = "code"
autodoc_default_options = {"member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {alias: alias for alias in ("Application", "Refuse", "Environ", "StartResponse")}
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 100
add_module_names = False


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
    app.connect("source-read", lead_outside)
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-signature", with_plain_aliases)


# Navigation

LISTS = ("index", "why/README")  # the pages whose links are the navigation below them


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """A hidden table of contents for each section of a page that lists others, with the pages that it links first."""
    if page not in LISTS:
        return
    trees = []
    for section in re.split(r"^## ", source[0], flags=re.MULTILINE):
        title = section.partition("\n")[0]
        pages = re.findall(r"^\| \[[^]]*\]\(([^)#]+\.md)\) \|", section, re.MULTILINE)
        caption = [f":caption: {title}"] if page == "index" else []
        if pages:
            trees.append("\n".join(("```{toctree}", ":hidden:", *caption, "", *pages, "```")))
    source[0] += "\n\n" + "\n\n".join(trees) + "\n"


def lead_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Links to what is in the repository and not on the site keep their words alone."""
    folder = (DOCS / page).parent

    def shown(link: re.Match[str]) -> str:
        target = (folder / link[2].partition("#")[0]).resolve()
        return link[1] if not target.is_relative_to(DOCS) else link[0]

    source[0] = re.sub(r"(?<!!)\[([^]]*)\]\((\.\.?/[^)\s]*)\)", shown, source[0])


# Docstrings


def as_restructured_text(app: Sphinx, kind: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings: examples are indented, and what is a parameter or a field stands as `name: what it is`."""
    parameters = _parameters(documented) if kind in ("class", "exception", "function", "method") else ()
    written: list[str] = []
    example = False
    for line in (re.sub(r" \(threats\.md [^)]*\)", "", line) for line in lines):
        before = written[-1] if written else ""
        field = re.match(r"`?(\w+)`?:\s+(\S.*)$", line)
        if field is not None and kind != "module":
            written += [""] if before and not before.startswith((":", " ")) else []
            written.append(f":param {field[1]}: {field[2]}" if field[1] in parameters else f":{field[1]}: {field[2]}")
            example = False
        elif line.startswith("    ") and not before and not example:
            written += ["::", "", line]
            example = True
        else:
            example = example and (line.startswith("    ") or not line)
            written.append(line)
    lines[:] = written


def with_plain_aliases(
    app: Sphinx, kind: str, name: str, documented: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Signatures with the names of type aliases, where a union hides them behind a class of Sphinx."""
    plain = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature) if signature is not None else None
    return plain, returned


def _parameters(documented: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(documented).parameters)
    except (TypeError, ValueError):
        return ()
