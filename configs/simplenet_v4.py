"""SimpLeNet v4 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v4.py
"""

from configs import common


def get_config(arg=None):
    return common.simplenet(4, arg)
