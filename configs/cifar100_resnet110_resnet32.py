"""ResNet-32 distilled from ResNet-110 on CIFAR-100, a pair that methods are compared on.

python -m distill.main --config=configs/cifar100_resnet110_resnet32.py[:baseline,quick]

0.47 M parameters and 69 M MACs of 1.74 M and 253 M; the recipe is mdistiller's.
By its MACs and bytes on an A100 (float32: 19.5 TFLOP/s, 2 TB/s) the teacher trains for at least 16
minutes, the student with it in the step for 9; see experiments/benchmarks/on_paper.py. Not
measured yet.
"""

from distill import presets


def get_config(arg=None):
    return presets.compared("resnet110", "resnet32", arg)
