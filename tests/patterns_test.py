"""Names chosen by patterns."""

import pytest

from distill.errors import InputError
from distill.patterns import matching


def test_patterns_choose_layers_in_order():
    names = ["conv0", "conv1", "hidden", "logits"]
    assert matching("logits,conv*", names) == ["conv0", "conv1", "logits"]
    assert matching("!logits", names) == ["conv0", "conv1", "hidden"]
    assert matching("*,!conv1", names) == ["conv0", "hidden", "logits"]
    with pytest.raises(InputError, match=r"layers='dense\*' matches nothing; there are conv0, "):
        matching("dense*", names)
    with pytest.raises(InputError, match="leaves nothing"):
        matching("*,!*", names)
