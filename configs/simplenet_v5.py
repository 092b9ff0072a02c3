"""SimpLeNet v5 distilled from the teacher on MNIST.

python -m distill.main --config=configs/simplenet_v5.py
"""

from configs import common


def get_config(arg=None):
    return common.simplenet(5, arg)
