"""The teacher alone, on MNIST.

python -m distill.main --config=configs/teacher.py
"""

from configs import common


def get_config(arg=None):
    config = common.simplenet(4, arg)
    config.stages = "teacher,evaluate,report"
    return config
