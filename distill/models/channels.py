"""Which channels of a network belong together, so that some of them can be removed."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Part(NamedTuple):
    """Where the channels of a group are in the arrays of a layer.

    Attributes:
      layer: its path, such as `stage0_block1/conv0`.
      start: of the first, where other channels stand before them.
      of: how many channels the layer reads at each position, where its kernel does not say: a dense
        layer behind a flattened image has `positions · channels` inputs. None: the kernel says it.
    """

    layer: str
    start: int = 0
    of: int | None = None


class Group(NamedTuple):
    """Channels (or neurons) that are numbered alike wherever they occur.

    Attributes:
      name: of the group, that of the layer that computes it first.
      size: number of channels.
      widths: where the arguments of the model count them: `("features", 3)`.
      writers: layers that compute them. Their batch normalisation `NAME_norm` goes with them.
      readers: layers that they are the input of.
      along: layers between the two that have an entry for each channel: batch normalisation, and
        depthwise convolutions, with theirs.
    """

    name: str
    size: int
    widths: tuple[tuple[str | int, ...], ...]
    writers: tuple[Part, ...]
    readers: tuple[Part, ...]
    along: tuple[Part, ...] = ()


class Channels(NamedTuple):
    """What of a network can be removed.

    Attributes:
      widths: the arguments that count its channels, complete and as lists.
      groups: of channels.
    """

    widths: dict[str, Any]
    groups: list[Group]


def chain(
    layers: Sequence[str],
    widths: Sequence[tuple[tuple[str | int, ...], int]],
    flat: Sequence[str] = (),
) -> list[Group]:
    """Returns the groups of layers that run one after the other.

    Args:
      layers: their names; the channels of the last are not to be removed.
      widths: for each but the last, the argument that counts its channels and their number.
      flat: those that read a flattened image.
    """
    return [
        Group(
            name, size, (width,), (Part(name),), (Part(after, of=size if after in flat else None),)
        )
        for name, after, (width, size) in zip(layers, layers[1:], widths, strict=False)
    ]
