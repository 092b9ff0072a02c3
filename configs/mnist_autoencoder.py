"""The MNIST autoencoder of Çallı (2017), section 2.2.3: 37,698 parameters, 1.9 M MACs.

python -m distill.main --config=configs/mnist_autoencoder.py[:quick]
python -m distill.summary --config=configs/mnist_autoencoder.py

It learns the images without their classes. Measured in docs/autoencoder.md.
"""

from distill import presets


def get_config(arg=None):
    quick = {"encoder": (8, 16), "decoder": (8, 1)}
    config = presets.from_labels("autoencoder", "mnist", arg, quick_args=quick)
    config.loss.name = "reconstruction"
    config.student.augmentation = "none"
    return config
