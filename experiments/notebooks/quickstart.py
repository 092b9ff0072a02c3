# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From training to a drawing in a minute
#
# Trains two small networks on the 5,000 images that are installed with `distill`, compares them,
# looks at their mistakes, and classifies a drawing with the file that a phone would run. Open it
# with Jupyter and jupytext (`jupytext --to ipynb quickstart.py`), or run it as a script.

# %%
import importlib
import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np

from distill import data, pipeline
from distill.export import bundle, preprocess, reference
from distill.export.runtime import Model
from distill.progress import Display

workdir = pathlib.Path(tempfile.mkdtemp(prefix="quickstart-"))
display = Display()

# %% [markdown]
# ## Train
#
# `baseline` learns from labels alone, and `quick` is a run of seconds. Without the two this is the
# recipe of the README, with a teacher.


# %%
def train(name: str) -> dict:
    """Trains a network, exports it, and returns what `results.json` holds."""
    config = importlib.import_module(f"configs.{name}").get_config("baseline,quick")
    config.student.epochs = 5
    config.export.formats = "int8"
    return pipeline.run(config, workdir / name, display)


NAMES = ("simplenet_v1", "simplenet_v5")
results = {name: train(name) for name in NAMES}

# %% [markdown]
# ## Compare

# %%
for name in NAMES:
    found = bundle.read(workdir / name / "export" / "int8")
    about = found.manifest["provenance"]
    print(
        f"{name}: {about['num_params']:,} weights in {len(found.model):,} bytes, "
        f"{100 * about['accuracy']:.1f} % of {about['dataset']}'s test images"
    )

# %% [markdown]
# ## Look at mistakes
#
# By the int8 file, as a phone runs it.

# %%
config = importlib.import_module("configs.simplenet_v1").get_config("quick")
test = data.load(config, *data.find(config, display.warn)).test
found = bundle.read(workdir / NAMES[0] / "export" / "int8")
model = Model(found)
scores = model.scores(test.images)
answers = scores.argmax(axis=1)
mistakes = np.flatnonzero(answers != test.labels)
print(f"{len(mistakes)} of {len(answers)} are wrong")

figure, axes = plt.subplots(1, 8, figsize=(10, 1.6))
for axis, i in zip(axes, mistakes, strict=False):
    axis.imshow(test.images[i, :, :, 0], cmap="gray")
    axis.set_title(f"{test.labels[i]}, not {answers[i]}", fontsize=9)
for axis in axes:
    axis.axis("off")
figure.savefig(workdir / "mistakes.png")

# %% [markdown]
# ## Classify a drawing
#
# Ink on grey paper, off the middle. The bundle says how an image is made what the model was trained
# on, and app and page do exactly this.

# %%
paper = np.full((200, 300), 190, np.uint8)
paper[60:150, 180:190] = 40  # a stroke, downwards
seen = preprocess.see_image(paper, found.manifest["input"])
drawing = model.run(seen.tensor)[0]
for answer in reference.top_k(drawing, 3):
    print(f"{found.manifest['labels'][answer]}: {100 * drawing[answer]:.1f} %")
