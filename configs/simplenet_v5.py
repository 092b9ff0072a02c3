"""SimpLeNet v5 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v5.py
"""

from distill import presets


def get_config(arg=None):
    return presets.simplenet(5, arg)
