"""DenseNet-BC-100 with k = 12 on CIFAR-10: 0.77 M parameters, 288 M MACs.

python -m distill.main --config=configs/cifar10_densenet_bc100.py[:quick]
python -m distill.summary --config=configs/cifar10_densenet_bc100.py

On paper: 8.64 PFLOP; an A100 needs 7 minutes or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"growth": ((6, 6),) * 3, "inner": ((12, 12),) * 3, "transitions": (12, 12)}
    return presets.from_labels("densenet_bc100", "cifar10", arg, quick_args=quick)
