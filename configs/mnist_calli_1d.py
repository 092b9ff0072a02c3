"""The MNIST classifier of Çallı (2017) with 1-D convolutions (section 2.3.1): 0.10 M parameters.

3.8 M MACs instead of 11.1 M.

python -m distill.main --config=configs/mnist_calli_1d.py[:quick]
python -m distill.summary --config=configs/mnist_calli_1d.py

On paper: 0.02 PFLOP; an A100 needs 0.8 seconds or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"features": (4, 8, 16)}
    return presets.from_labels("calli_1d", "mnist", arg, quick_args=quick)
