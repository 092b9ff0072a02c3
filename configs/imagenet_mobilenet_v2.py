"""MobileNet v2 on ImageNet: 3.5 M parameters, 301 M MACs.

python -m distill.main --config=configs/imagenet_mobilenet_v2.py[:quick]
python -m distill.summary --config=configs/imagenet_mobilenet_v2.py

On paper: 208 PFLOP; an A100 needs 3 hours or more, and nobody has tried.
"""

from distill import presets


def get_config(arg=None):
    quick = {"blocks": (1,) * 7, "width": 0.25, "head": 160}
    return presets.from_labels("mobilenet_v2", "imagenet2012", arg, quick_args=quick)
