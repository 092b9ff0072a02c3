"""ResNet-56 on CIFAR-10: 0.85 M parameters, 125 M MACs.

python -m distill.main --config=configs/cifar10_resnet56.py[:quick]
python -m distill.summary --config=configs/cifar10_resnet56.py

A quarter as wide, it is measured in docs/filter_pruning.md.

On paper: 3.76 PFLOP; an A100 needs 3 minutes or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"blocks": (2, 2, 2), "features": (8, 16, 32), "stem": 8}
    return presets.from_labels("resnet56", "cifar10", arg, quick_args=quick)
