"""MobileNet v1 on ImageNet: 4.2 M parameters, 569 M MACs.

python -m distill.main --config=configs/imagenet_mobilenet_v1.py[:quick]
python -m distill.summary --config=configs/imagenet_mobilenet_v1.py

On paper: 393 PFLOP; an A100 needs 6 hours or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"width": 0.25}
    return presets.from_labels("mobilenet_v1", "imagenet2012", arg, quick_args=quick)
