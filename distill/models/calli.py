"""The MNIST classifier of Çallı (2017), table 2.2, in plain and in 1-D form."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill import ops
from distill.models.blocks import Decomposed
from distill.models.channels import Channels, chain
from distill.models.layers import Structure, require_length


class CalliClassifier(Structure):
    """Convolutions 5×5, 5×5 (each with max-pooling) and 7×7 over all that is left, and the logits.

    Attributes:
      features: filters of the convolutions `conv0`, `conv1` and `conv2`.
      inner: if given, each convolution is `Decomposed` into a row and a column with so many
        channels between them (section 2.3.1). It saves MACs below 4.8, 106 and 298 of them; the
        thesis does not say how many it took.
      num_classes: width of the output.
    """

    features: Sequence[int] = (32, 64, 128)
    inner: Sequence[int] = ()
    num_classes: int = 10

    def __post_init__(self):
        require_length("features", self.features, 3)
        if self.inner:
            require_length("inner", self.inner, 3)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        shapes = ((5, "SAME"), (5, "SAME"), (7, "VALID"))
        for i, (features, (size, padding)) in enumerate(zip(self.features, shapes, strict=True)):
            if self.inner:
                x = Decomposed(
                    features=features, inner=self.inner[i], kernel_size=size, padding=padding,
                    name=f"conv{i}", **self.shared,
                )(x, train=train)  # fmt: skip
            else:
                x = self.conv2d(features, size, name=f"conv{i}", padding=padding)(x)
            x = nn.relu(x)
            if padding == "SAME":
                x = ops.max_pool(x)
        return self.linear(self.num_classes, name="logits")(x.reshape(x.shape[0], -1))

    def channels(self) -> Channels:
        """Returns which channels can be removed."""
        names, widths = [], []
        for i, features in enumerate(self.features):
            names += [f"conv{i}/row", f"conv{i}/column"] if self.inner else [f"conv{i}"]
            widths += [(("inner", i), self.inner[i])] if self.inner else []
            widths += [(("features", i), features)]
        return Channels(
            {"features": list(self.features), "inner": list(self.inner)},
            chain([*names, "logits"], widths),
        )
