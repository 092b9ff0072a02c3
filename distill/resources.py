"""Where the folders are that come with the package but lie beside it in the repository.

An installed package has them inside, under names of its own, so that it takes no name from others.
"""

import importlib.metadata
import pathlib

import distill

_PACKAGE = pathlib.Path(distill.__file__).parent


def configs() -> pathlib.Path:
    """Returns the folder of the configuration files."""
    return _folder("_configs", "configs")


def web() -> pathlib.Path:
    """Returns the folder of the page that tries models in the browser."""
    return _folder("_web", "mobile/web")


def license_file() -> pathlib.Path | None:
    """Returns the file with the licence, if it can be found."""
    checkout = _PACKAGE.parent / "LICENSE"
    if checkout.is_file():
        return checkout
    try:
        files = importlib.metadata.files("distill") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [pathlib.Path(str(file.locate())) for file in files if file.name == "LICENSE"]
    return found[0] if found else None


def _folder(installed: str, checkout: str) -> pathlib.Path:
    inside = _PACKAGE / installed
    return inside if inside.is_dir() else _PACKAGE.parent / checkout
