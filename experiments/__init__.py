"""Measurements that are too long for a test, and the documents that are made from them."""

import pathlib

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PUBLISHED = ROOT / "third_party" / "rusu2018"
