"""The tables of mobile/README.md: digits as people write them."""

import pandas as pd

from distill.report.tables import markdown
from experiments import RESULTS, pages

SOURCES = {
    "drawn": "{count} of six hands, drawn or as ink on paper",
    "printed": "the first {count:,} of MNIST's test set, enlarged, somewhere on paper",
}
SHIPPED = "shipped"


def in_hand_table() -> str:
    """How many digits are recognised in each condition, normalised and as they are."""
    table = pages.read_csv(RESULTS / "in_hand.csv")
    table = table[table.trained == SHIPPED]
    parts = []
    for source, title in SOURCES.items():
        found = table[table.source == source]
        count = found.images.iloc[0]
        lines = [
            [row.condition, _percent(row.right, row.images), _percent(row.right_plain, row.images)]
            for row in found.itertuples()
        ]
        header = [title.format(count=count), "right, %", "without it, %"]
        parts.append(markdown(header, lines))
    return "\n\n".join([*parts, _made_with(table)])


def training_table() -> str:
    """What the augmentation of the training does to MNIST's test set and to digits on paper."""
    table = pages.read_csv(RESULTS / "in_hand.csv")
    table = table[(table.trained != SHIPPED) & (table.source != "drawn")]
    trained = table.trained.unique()
    lines = []
    for (_, condition), group in table.groupby(["source", "condition"], sort=False):
        found = group.set_index("trained")
        lines.append(
            [condition, *(_percent(found.right[name], found.images[name]) for name in trained)]
        )
    return f"{markdown(['right, %', *trained], lines)}\n\n{_made_with(table)}"


def outliers_table() -> str:
    """What is no digit: how often it is taken for blank, and for a digit with a high score."""
    table = pages.read_csv(RESULTS / "outliers.csv")
    scores = [int(name.rpartition("_")[2]) for name in table if name.startswith("sure_from_")]
    header = ["", "images", "blank, %", *(f"score of {score} % or more, %" for score in scores)]
    lines = []
    for row in table.to_dict("records"):
        counts = [row["blank"], *(row[f"sure_from_{score}"] for score in scores)]
        shares = [_percent(count, row["images"]) for count in counts]
        lines.append([row["images_of"], f"{row['images']}", *shares])
    return f"{markdown(header, lines)}\n\n{_made_with(table)}"


def _made_with(table: pd.DataFrame) -> str:
    models = ", ".join(table.drop_duplicates("sha256").model.unique())
    return f"{models}; commit {', '.join(table.commit.unique())}."


def _percent(count: int, images: int) -> str:
    return f"{100 * count / images:.1f}"
