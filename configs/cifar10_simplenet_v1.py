"""SimpLeNet v1 distilled from the teacher on cifar10.

python -m distill.main --config=configs/cifar10_simplenet_v1.py

On paper: 0.07 PFLOP; an A100 needs 3.8 seconds or more, and nobody has tried.
The recipe is the one that was chosen for MNIST.
"""

from distill import presets


def get_config(arg=None):
    return presets.simplenet(1, arg, dataset="cifar10")
