"""DenseNet-40 with k = 12 on CIFAR-10: 1.02 M parameters, 265 M MACs.

python -m distill.main --config=configs/cifar10_densenet40.py[:quick]
python -m distill.summary --config=configs/cifar10_densenet40.py

A quarter as wide, it is measured in docs/filter_pruning.md.

On paper: 7.94 PFLOP; an A100 needs 7 minutes or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"growth": ((6,) * 3,) * 3, "stem": 8, "transitions": (16, 24)}
    return presets.from_labels("densenet40", "cifar10", arg, quick_args=quick)
