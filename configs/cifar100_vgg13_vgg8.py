"""VGG-8 distilled from VGG-13 on CIFAR-100, a pair that methods are compared on.

python -m distill.main --config=configs/cifar100_vgg13_vgg8.py[:baseline,quick]

3.97 M parameters and 68 M MACs of 9.46 M and 228 M; the recipe is mdistiller's.
By its MACs and bytes on an A100 (float32: 19.5 TFLOP/s, 2 TB/s) the teacher trains for at least 14
minutes, the student with it in the step for 9; see experiments/benchmarks/on_paper.py. Not
measured yet.
"""

from distill import presets


def get_config(arg=None):
    return presets.compared("vgg13", "vgg8", arg)
