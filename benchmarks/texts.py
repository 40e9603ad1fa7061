"""Real texts: what the packages that are installed here, and Python itself, say of themselves."""

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FEWEST, MOST = 300, 1500  # characters of a text
FOLDERS = ("stdlib", "purelib", "platlib")


class Text(NamedTuple):
    """A title and what follows it."""

    title: str
    content: str


def texts(most: int) -> list[Text]:
    """Return so many different texts, or as many as there are."""
    folders = {Path(sysconfig.get_path(name)) for name in FOLDERS}
    found: dict[str, Text] = {}
    for folder in sorted(folders):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".md", ".rst", ".txt") and path.is_file():
                for each in _of_file(path):
                    found.setdefault(each.content, each)
            if len(found) >= most:
                return list(found.values())[:most]
    return list(found.values())


def _of_file(path: Path) -> Iterator[Text]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    parts = _docstrings(text) if path.suffix == ".py" else re.split(r"\n(?=#+ )|\n{3,}", text)
    for part in parts:
        content = part.strip().replace("\0", "")[:MOST]
        if len(content) >= FEWEST:
            yield Text(content.splitlines()[0].strip("#= ")[:200], content)


def _docstrings(source: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
