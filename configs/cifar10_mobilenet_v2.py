"""MobileNet v2 with the strides for CIFAR-10: 2.24 M parameters, 88 M MACs.

python -m distill.main --config=configs/cifar10_mobilenet_v2.py[:quick]
python -m distill.summary --config=configs/cifar10_mobilenet_v2.py

On paper: 2.64 PFLOP; an A100 needs 2 minutes or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"blocks": (1,) * 7, "width": 0.25, "head": 160}
    return presets.from_labels("mobilenet_v2_cifar", "cifar10", arg, quick_args=quick)
