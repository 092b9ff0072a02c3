"""SimpLeNet v1 distilled from the teacher on fashion_mnist.

python -m distill.main --config=configs/fashion_mnist_simplenet_v1.py

On paper: 0.06 PFLOP; an A100 needs 3.1 seconds or more, and nobody has tried.
The recipe is the one that was chosen for MNIST.
"""

from distill import presets


def get_config(arg=None):
    return presets.simplenet(1, arg, dataset="fashion_mnist")
