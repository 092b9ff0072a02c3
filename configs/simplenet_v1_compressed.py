"""SimpLeNet v1 distilled from the teacher on MNIST, then pruned, factorised and trained for int8.

python -m distill.main --config=configs/simplenet_v1_compressed.py[:quick]

The steps show how methods are written one after the other; they were not tuned. docs/pareto.md has
what other chains come to.
"""

from distill import presets


def get_config(arg=None):
    config = presets.simplenet(1, arg)
    config.compress = (
        {"method": "filters", "score": "taylor", "amount": 0.3, "layers": "conv1"},
        {"method": "svd", "layers": "logits", "energy": 0.95},
        {"method": "quantize"},
    )
    config.fine_tune.epochs = 1 if arg and "quick" in arg else 5
    return config
