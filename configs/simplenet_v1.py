"""SimpLeNet v1 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v1.py
"""

from distill import presets


def get_config(arg=None):
    return presets.simplenet(1, arg)
