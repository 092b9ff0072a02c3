"""The teacher alone, on MNIST.

python -m distill.main --config=configs/teacher.py
"""

from distill import presets


def get_config(arg=None):
    config = presets.simplenet(4, arg)
    config.stages = "teacher,evaluate,report"
    return config
