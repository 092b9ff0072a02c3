"""VGG16 on CIFAR-10, as Li et al. (2017) prune it: 15.0 M parameters, 313 M MACs.

python -m distill.main --config=configs/cifar10_vgg16.py[:quick]
python -m distill.summary --config=configs/cifar10_vgg16.py

A quarter as wide, it is measured in docs/filter_pruning.md.

On paper: 9.40 PFLOP; an A100 needs 8 minutes or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"features": (8,) * 2 + (16,) * 2 + (32,) * 9, "hidden": (64,)}
    return presets.from_labels("vgg16", "cifar10", arg, quick_args=quick)
