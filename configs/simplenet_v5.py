"""SimpLeNet v5 distilled from the teacher on MNIST."""

from configs import common


def get_config(arg=None):
    return common.simplenet(5, arg)
