"""The networks for 32×32 images in PyTorch, layer by layer those of `distill.models`."""

import torch
from torch import nn
from torch.nn import functional


def conv_norm(c_in: int, c_out: int, size: int = 3, strides: int = 1, groups: int = 1) -> list:
    """A convolution and its batch normalisation."""
    conv = nn.Conv2d(c_in, c_out, size, strides, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out)]


class MeanOverImage(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions; a shortcut without parameters (option A)."""

    def __init__(self, c_in: int, c_out: int, strides: int):
        super().__init__()
        self.strides, self.missing = strides, c_out - c_in
        self.stack = nn.Sequential(
            *conv_norm(c_in, c_out, strides=strides), nn.ReLU(), *conv_norm(c_out, c_out)
        )

    def forward(self, x):
        y = self.stack(x)
        if self.missing:
            x = x[:, :, :: self.strides, :: self.strides]
            x = functional.pad(x, (0, 0, 0, 0, 0, self.missing))
        return torch.relu(x + y)


def resnet20() -> nn.Module:
    layers, width = [*conv_norm(3, 16), nn.ReLU()], 16
    for features in (16, 32, 64):
        for _ in range(3):
            layers.append(ResidualBlock(width, features, 1 if width == features else 2))
            width = features
    return nn.Sequential(*layers, MeanOverImage(), nn.Linear(64, 10))


def vgg16() -> nn.Module:
    layers, width = [], 3
    for i, features in enumerate((64,) * 2 + (128,) * 2 + (256,) * 3 + (512,) * 6):
        layers += [*conv_norm(width, features), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i + 1 in (2, 4, 7, 10, 13) else []
        width = features
    hidden = [nn.Linear(512, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *hidden, nn.Linear(512, 10))


class InvertedResidual(nn.Module):
    def __init__(self, c_in: int, c_out: int, expanded: int, strides: int, residual: bool):
        super().__init__()
        self.residual, width = residual, expanded or c_in
        expand = [*conv_norm(c_in, expanded, 1), nn.ReLU6()] if expanded else []
        depthwise = [*conv_norm(width, width, 3, strides, width), nn.ReLU6()]
        self.stack = nn.Sequential(*expand, *depthwise, *conv_norm(width, c_out, 1))

    def forward(self, x):
        y = self.stack(x)
        return x + y if self.residual else y


def mobilenet_v2_cifar() -> nn.Module:
    layers, width = [*conv_norm(3, 32), nn.ReLU6()], 32
    blocks, features = (1, 2, 3, 4, 3, 3, 1), (16, 24, 32, 64, 96, 160, 320)
    for stage, strides in enumerate((1, 1, 2, 2, 1, 2, 1)):
        for block in range(blocks[stage]):
            layers.append(
                InvertedResidual(
                    width, features[stage], 6 * width if stage else 0,
                    1 if block else strides, block > 0,
                )
            )  # fmt: skip
            width = features[stage]
    head = [*conv_norm(320, 1280, 1), nn.ReLU6()]
    return nn.Sequential(*layers, *head, MeanOverImage(), nn.Linear(1280, 10))


class DenseLayer(nn.Module):
    def __init__(self, c_in: int):
        super().__init__()
        conv = nn.Conv2d(c_in, 12, 3, 1, 1, bias=False)
        self.stack = nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), conv)

    def forward(self, x):
        return torch.cat([x, self.stack(x)], 1)


def densenet40() -> nn.Module:
    layers, width = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
    for block in range(3):
        layers += [DenseLayer(width + 12 * i) for i in range(12)]
        width += 12 * 12
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        if block < 2:
            layers += [nn.Conv2d(width, width, 1, bias=False), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, MeanOverImage(), nn.Linear(width, 10))
