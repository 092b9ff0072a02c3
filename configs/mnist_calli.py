"""The MNIST classifier of Çallı (2017), table 2.2: 0.45 M parameters, 11.1 M MACs.

python -m distill.main --config=configs/mnist_calli.py[:quick]
python -m distill.main --config=configs/mnist_calli.py:1d
python -m distill.summary --config=configs/mnist_calli.py

With `1d`, each convolution is a row and a column (section 2.3.1). Not measured yet.
"""

from configs import common


def get_config(arg=None):
    quick = {"features": (4, 8, 16)}
    config, words = common.from_labels(
        "calli", "mnist", arg, quick_args=quick, words=("1d",), epochs=12
    )
    if "1d" in words:
        config.student.model = "calli_1d"
    return config
