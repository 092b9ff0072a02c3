"""ResNet-20 distilled from ResNet-56 on CIFAR-100, a pair that methods are compared on.

python -m distill.main --config=configs/cifar100_resnet56_resnet20.py[:baseline,quick]

0.28 M parameters and 41 M MACs of 0.86 M and 126 M; the recipe is mdistiller's.
By its MACs and bytes on an A100 (float32: 19.5 TFLOP/s, 2 TB/s) the teacher trains for at least 8
minutes, the student with it in the step for 5; see experiments/benchmarks/on_paper.py. Not
measured yet.
"""

from distill import presets


def get_config(arg=None):
    return presets.compared("resnet56", "resnet20", arg)
