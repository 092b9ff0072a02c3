"""ResNet-20 on CIFAR-10: 0.27 M parameters, 41 M MACs.

python -m distill.main --config=configs/cifar10_resnet20.py[:quick]
python -m distill.summary --config=configs/cifar10_resnet20.py

For 20 of its 100 epochs, it is measured in docs/filter_pruning.md.

On paper: 1.22 PFLOP; an A100 needs 62.4 seconds or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"blocks": (1, 1, 1), "features": (8, 16, 32), "stem": 8}
    return presets.from_labels("resnet20", "cifar10", arg, quick_args=quick)
