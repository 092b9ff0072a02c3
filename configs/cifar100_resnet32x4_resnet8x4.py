"""ResNet-8×4 distilled from ResNet-32×4 on CIFAR-100, a pair that methods are compared on.

python -m distill.main --config=configs/cifar100_resnet32x4_resnet8x4.py[:baseline,quick]

1.23 M parameters and 177 M MACs of 7.43 M and 1,083 M; the recipe is mdistiller's.
By its MACs and bytes on an A100 (float32: 19.5 TFLOP/s, 2 TB/s) the teacher trains for at least 67
minutes, the student with it in the step for 33; see experiments/benchmarks/on_paper.py. Not
measured yet.
"""

from distill import presets


def get_config(arg=None):
    return presets.compared("resnet32x4", "resnet8x4", arg)
