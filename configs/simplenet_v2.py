"""SimpLeNet v2 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v2.py
"""

from distill import presets


def get_config(arg=None):
    return presets.simplenet(2, arg)
