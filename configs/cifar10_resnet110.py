"""ResNet-110 on CIFAR-10: 1.73 M parameters, 253 M MACs.

python -m distill.main --config=configs/cifar10_resnet110.py[:quick]
python -m distill.summary --config=configs/cifar10_resnet110.py

On paper: 7.59 PFLOP; an A100 needs 6 minutes or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"blocks": (3, 3, 3), "features": (8, 16, 32), "stem": 8}
    return presets.from_labels("resnet110", "cifar10", arg, quick_args=quick)
