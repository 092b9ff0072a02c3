"""Parameters and MACs of the published networks, from shapes alone.

The first pair of numbers follows from the architecture of the paper and is exact; the second is how
the paper, or the library named, prints it. Biases that batch normalisation cancels are left out, as
in all of them but VGG-8 and VGG-13.
"""

import pytest

from distill import models
from distill.cost import cost, layers

# name: input, classes, parameters, MACs, printed
PUBLISHED = {
    # Li et al. 2017, table 1: 1.5e7, 3.13e8.
    "vgg16": (32, 10, 14_987_210, 313_463_808, ("1.50e+07", "3.13e+08")),
    # He et al. 2016, table 6: 0.27 M, 0.85 M, 1.7 M; Li et al.: 1.25e8, 2.53e8.
    "resnet8": (32, 10, 75_290, 12_239_488, ("7.53e+04", "1.22e+07")),  # 6n + 2 layers, n = 1
    "resnet20": (32, 10, 269_722, 40_551_040, ("2.70e+05", "4.06e+07")),
    "resnet56": (32, 10, 853_018, 125_485_696, ("8.53e+05", "1.25e+08")),
    "resnet110": (32, 10, 1_727_962, 252_887_680, ("1.73e+06", "2.53e+08")),
    # Tian et al. 2020 (arXiv:1910.10699), whose code has them: 1.23 M, 7.43 M.
    "resnet8x4": (32, 100, 1_233_540, 177_071_104, ("1.23e+06", "1.77e+08")),
    "resnet32x4": (32, 100, 7_433_860, 1_083_040_768, ("7.43e+06", "1.08e+09")),
    # The same: 2.26 M, 0.70 M, 0.57 M; 9.46 M, 3.97 M.
    "wrn_40_2": (32, 100, 2_255_156, 327_610_880, ("2.26e+06", "3.28e+08")),
    "wrn_16_2": (32, 100, 703_284, 101_118_464, ("7.03e+05", "1.01e+08")),
    "wrn_40_1": (32, 100, 569_780, 83_286_272, ("5.70e+05", "8.33e+07")),
    "vgg13": (32, 100, 9_462_180, 228_313_088, ("9.46e+06", "2.28e+08")),
    "vgg8": (32, 100, 3_965_028, 67_880_960, ("3.97e+06", "6.79e+07")),
    # torchvision: 21,797,672 and 3.66 G; 25,557,032 and 4.09 G. He et al., table 1: 3.6e9.
    "resnet34": (224, 1000, 21_797_672, 3_663_761_408, ("2.18e+07", "3.66e+09")),
    "resnet50": (224, 1000, 25_557_032, 4_089_184_256, ("2.56e+07", "4.09e+09")),
    # Huang et al. 2017, table 2: 1.0 M and 0.8 M.
    "densenet40": (32, 10, 1_019_722, 264_812_928, ("1.02e+06", "2.65e+08")),
    # torchvision: 7,978,856 and 2.83 G.
    "densenet121": (224, 1000, 7_978_856, 2_834_161_664, ("7.98e+06", "2.83e+09")),
    "densenet_bc100": (32, 10, 769_162, 287_929_692, ("7.69e+05", "2.88e+08")),
    # Howard et al. 2017, table 8: 4.2 M, 569 M.
    "mobilenet_v1": (224, 1000, 4_231_976, 568_740_352, ("4.23e+06", "5.69e+08")),
    # Sandler et al. 2018, table 4: 3.4 M, 300 M; torchvision: 3,504,872, 0.30 G.
    "mobilenet_v2": (224, 1000, 3_504_872, 300_774_272, ("3.50e+06", "3.01e+08")),
    # The authors' table at github.com/tensorflow/tpu, efficientnet/lite: 4.7 M and 407 M, 5.4 M and
    # 631 M, 6.1 M and 899 M, which count more than the products of convolutions and dense layers.
    "efficientnet_lite0": (224, 1000, 4_652_008, 385_187_552, ("4.65e+06", "3.85e+08")),
    "efficientnet_lite1": (240, 1000, 5_416_680, 600_185_232, ("5.42e+06", "6.00e+08")),
    "efficientnet_lite2": (260, 1000, 6_092_072, 859_736_272, ("6.09e+06", "8.60e+08")),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    side, num_classes, num_params, macs, printed = PUBLISHED[name]
    counted = cost(models.build(name, {}, num_classes=num_classes), (side, side, 3))
    assert counted == (num_params, macs)
    assert tuple(f"{number:.2e}" for number in counted) == printed


def test_vgg16_layer_by_layer():
    """Li et al. 2017, table 2: parameters of the convolutions and dense layers, without norms."""
    convolutions = 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 2 * 256 * 256)
    convolutions += 9 * (256 * 512 + 5 * 512 * 512)
    weights = convolutions + 512 * 512 + 512 * 10
    norms = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512 + 512)
    assert weights == 14_977_728  # the 14.98 M that others print
    assert cost(models.build("vgg16", {}, num_classes=10), (32, 32, 3)).num_params == (
        weights + norms + 10
    )


def test_vgg8_layer_by_layer():
    widths = (3, 64, 128, 256, 512, 512)
    weights = sum(9 * a * b for a, b in zip(widths, widths[1:], strict=False))
    assert weights == 3_909_312
    channels = sum(widths[1:])  # each with a bias, and a scale and a shift of its norm
    assert weights + 3 * channels + 512 * 100 + 100 == PUBLISHED["vgg8"][2]


def test_wrn_16_2_layer_by_layer():
    def block(c, f):  # two norms, two convolutions, and a shortcut where it is widened
        return 2 * c + 9 * c * f + 2 * f + 9 * f * f + (c * f if c != f else 0)

    stages = [(16, 32), (32, 64), (64, 128)]
    blocks = sum(block(c, f) + block(f, f) for c, f in stages)
    assert 9 * 3 * 16 + blocks + 2 * 128 + 128 * 100 + 100 == PUBLISHED["wrn_16_2"][2]


@pytest.mark.parametrize(
    ("name", "num_params"),
    [("resnet20", 278_324), ("resnet32", 472_756), ("resnet56", 861_620), ("resnet110", 1_736_564)],
)
def test_resnets_that_distillation_is_compared_with(name, num_params):
    """Tian et al. 2020: 0.28 M, 0.47 M, 0.86 M, 1.74 M; their shortcuts are projected."""
    model = models.build(name, {"projection": True}, num_classes=100)
    assert cost(model, (32, 32, 3)).num_params == num_params


def test_resnet50_with_the_stride_of_the_paper():
    """He et al. 2016, table 1, and Çallı 2017, table 2.3: 3.8e9."""
    model = models.build("resnet50", {"stride_at": 0}, num_classes=1000)
    assert cost(model, (224, 224, 3)) == (25_557_032, 3_857_973_248)


@pytest.mark.parametrize(
    ("name", "width", "macs", "params"),
    [
        # Howard et al. 2017, table 6: 325 M and 2.6 M, 41 M and 0.5 M.
        ("mobilenet_v1", 0.75, 325_400_448, 2.57),
        ("mobilenet_v1", 0.25, 41_030_272, 0.46),
        # The authors' table at github.com/tensorflow/models, research/slim/nets/mobilenet: 582 M
        # and 6.06 M, 300 M and 3.47 M.
        ("mobilenet_v2", 1.4, 582_195_824, 6.06),
        ("mobilenet_v2", 1.0, 300_774_272, 3.47),
    ],
)
def test_width_multiplier(name, width, macs, params):
    """Parameters in millions, without those of the batch normalisation, as the authors count."""
    model = models.build(name, {"width": width}, num_classes=1000)
    counted = layers(model, (224, 224, 3))
    assert sum(layer.macs for layer in counted) == macs
    weights = sum(layer.num_params for layer in counted if layer.kind != "batch norm")
    assert round(weights / 1e6, 2) == params


def test_calli_2017_table_2_2():
    plain = models.build("calli", {}, num_classes=10)
    macs = 28**2 * 25 * 32 + 14**2 * 25 * 32 * 64 + 49 * 64 * 128 + 128 * 10
    assert cost(plain, (28, 28, 1)) == (832 + 51_264 + 401_536 + 1_290, macs)


@pytest.mark.parametrize(
    ("args", "macs"),
    [
        ({"inner": (0, 32, 0)}, 5 * 32 * (32 + 64)),  # N·P·(K + L)
        ({"block": "separable"}, 32 * (5**2 + 64)),  # I·K·(N² + L), I = 1
        ({"block": "bottleneck"}, 32 * 16 + 5**2 * 16 * 16 + 16 * 64),  # K·P + N²·P·Q + Q·L
        # K·(A + B' + C' + D) + 9·B'·B + 25·C'·C
        ({"block": "inception"}, 32 * (16 + 24 + 4 + 8) + 9 * 24 * 32 + 25 * 4 * 8),
        ({"block": "residual"}, 9 * 32 * 32 + 9 * 32 * 64 + 32 * 64),
    ],
)
def test_calli_2017_with_blocks(args, macs):
    """The formulas of sections 2.3 to 2.5, for K = 32 and L = 64, at each of 14·14 positions."""
    plain, other = (cost(models.build("calli", a, num_classes=10), (28, 28, 1)) for a in ({}, args))
    assert other.macs == plain.macs - 14**2 * 25 * 32 * 64 + 14**2 * macs
    assert macs < 25 * 32 * 64 and other.num_params < plain.num_params


def test_calli_2017_in_1d():
    """N·P·(K + L) for each position; the row of the last convolution sees 7×1 positions."""
    in_1d = models.build("calli_1d", {}, num_classes=10)
    macs = (
        28**2 * 5 * 4 * (1 + 32)
        + 14**2 * 5 * 32 * (32 + 64)
        + 7 * 7 * 64 * 64 + 7 * 64 * 128
        + 128 * 10
    )  # fmt: skip
    params = (5 * 4 + 4 + 5 * 4 * 32 + 32) + (5 * 32 * (32 + 64) + 96) + (7 * 64 * 192 + 192)
    assert cost(in_1d, (28, 28, 1)) == (params + 1_290, macs)
