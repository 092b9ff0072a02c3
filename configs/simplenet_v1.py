"""SimpLeNet v1 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v1.py
"""

from configs import common


def get_config(arg=None):
    return common.simplenet(1, arg)
