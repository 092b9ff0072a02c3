"""What the documentation's site makes of the pages of the repository."""

import pathlib

import pytest

pytest.importorskip("mkdocs")
from experiments import site  # noqa: E402

KNOWN = {"index.md", "results.md", "app/phone.png", "web.png", "mobile/README.md"}


@pytest.mark.parametrize(
    "page, given, expected",
    [
        ("index.md", "[a](docs/results.md#answers)", "[a](results.md#answers)"),
        ("results.md", "see [the app](../mobile/README.md).", "see [the app](mobile/README.md)."),
        ("mobile/README.md", "![A](../docs/app/phone.png)", "![A](../app/phone.png)"),
        ("mobile/web/README.md", '<img src="../../docs/web.png">', '<img src="../../web.png">'),
        ("results.md", '<img src="gone.png">', '<img src="gone.png">'),
        ("mobile/README.md", "[home](../README.md)", "[home](../index.md)"),
        ("results.md", "in [`c.py`](../distill/config.py)", "in `c.py`"),  # code is no page
        ("results.md", "[gone](../no/file.md)", "[gone](../no/file.md)"),  # mkdocs reports it
        ("results.md", "[b](#here) [c](https://a.org/x)", "[b](#here) [c](https://a.org/x)"),
    ],
)
def test_links_lead_to_pages_and_only_to_them(page, given, expected):
    assert site.linked(given, page, KNOWN) == expected


def test_every_module_has_its_place_in_the_api():
    pages = site.api()
    text = "".join(pages.values())
    modules = [
        ".".join(path.relative_to(site.ROOT).with_suffix("").parts)
        for path in (site.ROOT / "distill").rglob("*.py")
        if path.stem[0] != "_"
    ]
    assert len(modules) > 90
    assert [name for name in modules if f"::: {name}\n" not in text] == []
    navigation = (pathlib.Path(site.ROOT) / "mkdocs.yml").read_text()
    assert [name for name in pages if f"api/{name}.md" not in navigation] == []
