"""WRN-16-2 distilled from WRN-40-2 on CIFAR-100, a pair that methods are compared on.

python -m distill.main --config=configs/cifar100_wrn_40_2_wrn_16_2.py[:baseline,quick]

0.70 M parameters and 101 M MACs of 2.26 M and 328 M; the recipe is mdistiller's.
By its MACs and bytes on an A100 (float32: 19.5 TFLOP/s, 2 TB/s) the teacher trains for at least 20
minutes, the student with it in the step for 13; see experiments/benchmarks/on_paper.py. Not
measured yet.
"""

from distill import presets


def get_config(arg=None):
    return presets.compared("wrn_40_2", "wrn_16_2", arg)
