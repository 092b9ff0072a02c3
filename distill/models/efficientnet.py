"""EfficientNet-Lite: EfficientNets (Tan and Le 2019, arXiv:1905.11946) for phones.

Google's variant of 2020: relu6 for swish, no squeeze-and-excitation, and a stem and head that do
not grow with the network. What is left are MobileNetV2's blocks, with wider kernels in some stages.
"""

import math
from typing import Any

from distill.models.mobilenet import scaled

_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_FEATURES = (16, 24, 40, 80, 112, 192, 320)


def lite(width: float, depth: float) -> dict[str, Any]:
    """Returns the arguments that make a `MobileNetV2` an EfficientNet-Lite.

    Args:
      width: multiplier of the channels of the stages.
      depth: multiplier of their blocks, rounded up; the first and the last stage keep one.
    """
    return {
        "blocks": (1, *(math.ceil(depth * blocks) for blocks in _BLOCKS[1:-1]), 1),
        "features": tuple(scaled(features, width) for features in _FEATURES),
        "strides": (1, 2, 2, 2, 1, 2, 1),
        "kernels": (3, 3, 5, 3, 5, 5, 3),
    }
