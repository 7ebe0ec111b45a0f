"""Pages of the site that are not files of this folder: those of the repository's root, and the reference of the API."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}

CONTRACTS = (
    "netwright.strategies.base",
    "netwright.spaces.base",
    "netwright.tasks.base",
    "netwright.tasks.predictor",
)


def on_files(files: Files, config: Any) -> Files:
    """Add them."""
    for page, source in PAGES.items():
        files.append(
            File.generated(config, page, content=_moved((ROOT / source).read_text(encoding="utf-8")))
        )
    files.append(File.generated(config, "api.md", content=_reference()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Files of the repository that are no pages are named, not linked; pages of its root are linked as the site's."""
    for page, source in PAGES.items():
        markdown = markdown.replace(f"](../{source}", f"]({page}")
    return re.sub(
        r"\[([^\]]*)\]\((?:\.\./)?(?:src|tests|benchmarks|examples|findings)/[^)]*\)", r"\1", markdown
    )


def _moved(text: str) -> str:
    """A page of the root with its links as they are from the site's first page."""
    text = re.sub(r"\]\(docs/", "](", text)
    text = text.replace("](CONTRIBUTING.md", "](contributing.md").replace("](CHANGELOG.md", "](changelog.md")
    return re.sub(r"\[([^\]]*)\]\(LICENSE\)", r"\1", text)


def _reference() -> str:
    """The public names of the package, each described by its docstring."""
    tree = ast.parse((ROOT / "src" / "netwright" / "__init__.py").read_text(encoding="utf-8"))
    (homes,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "_HOMES" for t in node.targets)
    )
    public = [f"::: {home}.{name}" for name, home in homes.items()]
    contracts = [f"::: {module}" for module in CONTRACTS]
    return "\n\n".join(["# Python", *public, "## What parts have to offer", *contracts, ""])
