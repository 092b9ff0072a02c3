"""ResNet-50 on ImageNet: 25.6 M parameters, 4.1 G MACs.

python -m distill.main --config=configs/imagenet_resnet50.py[:quick]
python -m distill.summary --config=configs/imagenet_resnet50.py

On paper: 2,829 PFLOP; an A100 needs 40 hours or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"blocks": (1, 1, 1, 1), "features": (16, 32, 64, 128), "stem": 16}
    return presets.from_labels("resnet50", "imagenet2012", arg, quick_args=quick)
