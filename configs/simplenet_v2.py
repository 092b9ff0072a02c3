"""SimpLeNet v2 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v2.py
"""

from configs import common


def get_config(arg=None):
    return common.simplenet(2, arg)
