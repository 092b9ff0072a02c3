"""Hooks of mkdocs: pages that lie elsewhere in the repository, and those of the API.

mkdocs build --strict

In the repository pages link to one another, and to code, where they lie. On the site a link to a
page leads to that page, and one to code is plain text.
"""

import pathlib
import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[1]  # mkdocs reads this file as no part of a package
HOME = "README.md"
ELSEWHERE = (
    HOME, "CONTRIBUTING.md", "CHANGELOG.md", "mobile/README.md", "mobile/web/README.md",
    "experiments/README.md", "experiments/launch/README.md", "experiments/results/README.md",
    "third_party/README.md", "third_party/rusu2018/README.md", "third_party/calli2017/README.md",
    "third_party/li2017/README.md", "third_party/small_networks/README.md",
)  # fmt: skip
PACKAGE = "distill"
LINK = re.compile(r"(!?)\[((?:[^][]|\[[^][]*\])*)\]\(([^)\s]+)\)")
SOURCE = re.compile(r'src="([^"]+)"')
OTHERS = re.compile(r"[a-z]+:|#|/")  # what such a link begins with is none between files


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are not in docs/."""
    for path in ELSEWHERE:
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, _on_site(path), content=text))
    for name, text in api().items():
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Makes links lead to the site's pages."""
    return linked(markdown, page.file.src_uri, {file.src_uri for file in files})


def api() -> dict[str, str]:
    """Returns a page for the modules of each package, and one for those that are in none."""
    packages = sorted(path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py"))
    return {name: _api_page(name) for name in (PACKAGE, *packages)}


def _api_page(package: str) -> str:
    is_whole = package == PACKAGE  # of which only the modules that are in no other
    name = PACKAGE if is_whole else f"{PACKAGE}.{package}"
    folder = ROOT / name.replace(".", "/")
    found = folder.glob("*.py") if is_whole else folder.rglob("*.py")
    modules = [] if is_whole else [name]
    for path in sorted(found):
        if path.stem[0] != "_":
            modules.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    sections = (f"## {module}\n\n::: {module}" for module in modules)
    return "\n\n".join([f"# {name}", *sections]) + "\n"


def linked(markdown: str, page: str, known: set[str]) -> str:
    """Returns a page with its links as they are on the site.

    Args:
      markdown: as it is in the repository.
      page: its place on the site.
      known: the places of all pages and pictures there.
    """
    start = posixpath.dirname(_in_repository(page))

    def place(target: str) -> str | None:
        """Returns where a link leads on the site, nowhere if that is not a part of it."""
        path, hash, anchor = target.partition("#")
        found = _on_site(posixpath.normpath(posixpath.join(start, path)))
        if found not in known:
            return None
        return posixpath.relpath(found, posixpath.dirname(page) or ".") + hash + anchor

    def link(match: re.Match) -> str:
        image, text, target = match.groups()
        text = LINK.sub(link, text)
        if OTHERS.match(target):
            return f"{image}[{text}]({target})"
        found = place(target)
        if found is None and not (ROOT / start / target.partition("#")[0]).exists():
            return match[0]  # a mistake, which mkdocs reports
        return text if found is None else f"{image}[{text}]({found})"

    def source(match: re.Match) -> str:
        found = None if OTHERS.match(match[1]) else place(match[1])
        return match[0] if found is None else f'src="{found}"'

    return SOURCE.sub(source, LINK.sub(link, markdown))


def _on_site(path: str) -> str:
    """Returns where a file of the repository is on the site."""
    return "index.md" if path == HOME else path.removeprefix("docs/")


def _in_repository(page: str) -> str:
    """Returns where a page of the site is in the repository."""
    if page == "index.md":
        return HOME
    return page if page in ELSEWHERE else f"docs/{page}"
