"""The MNIST classifier of Çallı (2017), table 2.2: 0.45 M parameters, 11.1 M MACs.

python -m distill.main --config=configs/mnist_calli.py[:quick]
python -m distill.summary --config=configs/mnist_calli.py

On paper: 0.05 PFLOP; an A100 needs 2.5 seconds or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"features": (4, 8, 16)}
    return presets.from_labels("calli", "mnist", arg, quick_args=quick)
