"""The pages of experiments: those of the committed results, and so are their pictures."""

import pandas as pd
import pytest
from PIL import Image

from experiments import (
    autoencoder,
    blocks,
    filter_pruning,
    pages,
    pareto,
    search,
    sensitivity,
    small_networks,
    small_recipes,
    svd,
    transfer,
    xy,
)

PAGES = [
    autoencoder.PAGE, blocks.PAGE, filter_pruning.PAGE, pareto.PAGE, search.PAGE,
    sensitivity.PAGE, small_networks.PAGE, small_recipes.PAGE, svd.PAGE, transfer.PAGE, xy.PAGE,
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_that_of_the_committed_results(page):
    csv, text, picture = page.files()
    assert text.exists() and csv.exists() == picture.exists()
    if csv.exists():
        stale = f"run python -m experiments.{page.name} --notrain"
        assert text.read_text() == page.text(pages.read_csv(csv)), stale
        with Image.open(picture) as image:
            assert image.text[pages.SOURCE] == pages.digest(csv), stale


def test_accuracy_says_how_sure_it_is():
    assert pages.accuracy(pd.Series([0.98]), 10_000) == "98.00 (97.71 to 98.26)"
    assert pages.accuracy(pd.Series([0.98, 0.99]), 10_000) == "98.50 ± 6.35"
