"""Writes the golden files that every reader of a bundle is tested against: `mobile/golden`.

`python -m experiments.golden [--out=mobile/golden]`

Each `*.json` names arrays as `{"file", "offset", "dtype", "shape"}`: little-endian, row-major, the
offset in bytes. Nothing here depends on the machine, and a test writes the files anew and compares.
"""

import argparse
import json
import pathlib
from typing import Any

import numpy as np

from distill.export import camera, preprocess, reference
from experiments import golden_bundles, golden_digits

OUT = pathlib.Path("mobile/golden")
BYTE_SCALE = 1 / 255
INT8 = {"scale": 0.003921568859368563, "zero_point": -128}
SIGNED = {"scale": [1 / 127.5], "offset": [-1.0]}
RGB = {"scale": [0.0171247538, 0.0175070028, 0.0174291939], "offset": [-2.1179, -2.0357, -1.8044]}
SIZES = {  # name: width, height, row stride of Y, row and pixel stride of U and V
    "planar": (64, 48, 64, 32, 1),
    "padded": (70, 46, 96, 80, 2),
    "odd": (37, 53, 41, 43, 2),
    "tiny": (5, 4, 5, 3, 1),
}


class Blob:
    """A binary file that grows by one array after the other."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.data = bytearray()

    def add(self, array: np.ndarray) -> dict[str, Any]:
        """Appends an array and returns what names it in the JSON file."""
        array = np.ascontiguousarray(array)
        entry = {
            "file": self.path.name,
            "offset": len(self.data),
            "dtype": array.dtype.name,
            "shape": list(array.shape),
        }
        self.data += array.astype(array.dtype.newbyteorder("<")).tobytes()
        return entry

    def write(self) -> None:
        self.path.write_bytes(self.data)


def input_spec(
    size: tuple[int, int],
    color: str,
    dtype: str = "float32",
    polarity: str = "as_is",
    normalize: str = "none",
    **scaling: list[float],
) -> dict[str, Any]:
    """Returns the `input` of a bundle."""
    channels = {"gray": 1, "rgb": 3}[color]
    quantization = {"float32": None, "int8": INT8, "uint8": {**INT8, "zero_point": 0}}[dtype]
    return {
        "shape": [1, *size, channels],
        "dtype": dtype,
        "layout": "NHWC",
        "color": color,
        "scale": scaling.get("scale", [BYTE_SCALE] * channels),
        "offset": scaling.get("offset", [0.0] * channels),
        "quantization": quantization,
        "crop": "center_square" if size[0] == size[1] else "center",
        "resize": "area",
        "polarity": polarity,
        "normalize": normalize,
    }


SPECS = (
    input_spec((28, 28), "gray"),
    input_spec((28, 28), "gray", polarity="auto", **SIGNED),
    input_spec((28, 28), "gray", dtype="int8", polarity="auto"),
    input_spec((9, 9), "gray", dtype="uint8", polarity="invert"),
    input_spec((32, 32), "rgb", **RGB),
    input_spec((8, 8), "rgb", dtype="int8"),
    input_spec((20, 28), "gray", polarity="auto"),
    input_spec((7, 5), "rgb", dtype="uint8"),
    input_spec((28, 28), "gray", dtype="int8", polarity="auto", normalize="mnist"),
)


def drawing(height: int, width: int, paper: float) -> np.ndarray:
    """Returns a curved stroke, no symmetry to any rotation, on paper of a given brightness."""
    y, x = np.mgrid[:height, :width]
    down, across = (y + 0.5) / height, (x + 0.5) / width
    stroke = (np.abs(across - 0.35 - 0.8 * (down - 0.5) ** 2) < 0.07) & (np.abs(down - 0.5) < 0.33)
    foot = (np.abs(down - 0.78) < 0.06) & (np.abs(across - 0.55) < 0.2)
    ink = 255.0 - paper
    texture = (y * 7 + x * 13 + (y * x) % 11) % 23
    return np.clip(np.where(stroke | foot, ink, paper) + texture - 11, 0, 255).astype(np.uint8)


def packed(pixels: np.ndarray, row_stride: int, pixel_stride: int) -> np.ndarray:
    """Returns a plane's bytes: noise between pixels and rows, nothing behind the last pixel."""
    height, width = pixels.shape
    data = np.arange(height * row_stride, dtype=np.int64) * 151 % 256
    plane = data.astype(np.uint8).reshape(height, row_stride)
    plane[:, : width * pixel_stride : pixel_stride] = pixels
    return plane.reshape(-1)[: (height - 1) * row_stride + (width - 1) * pixel_stride + 1]


def frame(name: str, rotation: int, paper: float) -> camera.Frame:
    """Returns a frame of one of the sizes."""
    width, height, y_row, uv_row, uv_pixel = SIZES[name]
    y = camera.Plane(packed(drawing(height, width, paper), y_row, 1), y_row, 1)
    down, across = np.mgrid[: (height + 1) // 2, : (width + 1) // 2]
    u = (60 + down * 5 + across * 3) % 256
    v = (200 - down * 2 + across * 4) % 256
    u, v = (camera.Plane(packed(p, uv_row, uv_pixel), uv_row, uv_pixel) for p in (u, v))
    return camera.Frame(width, height, rotation, y, u, v)


def write_frames(out: pathlib.Path) -> None:
    """Writes `frames.json`: frames of a camera, and the tensors of them."""
    blob = Blob(out / "frames.bin")
    frames, cases = [], []
    for number, (name, paper) in enumerate((n, p) for n in SIZES for p in (200.0, 40.0)):
        planes = []
        for plane in frame(name, 0, paper)[3:]:
            data = blob.add(plane.data)
            strides = {"row_stride": plane.row_stride, "pixel_stride": plane.pixel_stride}
            planes.append({"data": data, **strides})
        width, height = SIZES[name][:2]
        frames.append({"name": name, "width": width, "height": height, "planes": planes})
        for rotation in camera.ROTATIONS:
            turn = rotation // 90
            for index in sorted({(turn + number + step) % len(SPECS) for step in (0, 3, 6)}):
                seen = preprocess.see_frame(frame(name, rotation, paper), SPECS[index])
                case = {
                    "frame": number,
                    "rotation": rotation,
                    "input": index,
                    "inverted": seen.inverted,
                    "notice": seen.notice,
                    "tensor": blob.add(seen.tensor),
                }
                cases.append(case)
    blob.write()
    dump(out / "frames.json", {"inputs": SPECS, "frames": frames, "cases": cases})


def write_images(out: pathlib.Path) -> None:
    """Writes `images.json`: upright RGBA images as from a canvas, and the tensors of them."""
    blob = Blob(out / "images.bin")
    images, cases = [], []
    for number, (height, width) in enumerate([(40, 60), (51, 33), (28, 28), (3, 2)]):
        red = drawing(height, width, (215.0, 30.0)[number % 2])
        rgba = np.stack([red, red[::-1] // 2, 255 - red // 3, np.full_like(red, 255)], axis=-1)
        images.append(blob.add(rgba))
        for index, spec in enumerate(SPECS):
            if (index + number) % 2 == 0 or number == 0:
                seen = preprocess.see_image(rgba, spec)
                case = {
                    "image": number,
                    "input": index,
                    "inverted": seen.inverted,
                    "notice": seen.notice,
                    "tensor": blob.add(seen.tensor),
                }
                cases.append(case)
    blob.write()
    dump(out / "images.json", {"inputs": SPECS, "images": images, "cases": cases})


def write_scores(out: pathlib.Path) -> None:
    """Writes `scores.json`: softmax, temperature, dequantisation, the filter, top-K with ties."""
    blob = Blob(out / "scores.bin")
    rng = np.random.default_rng(0)
    filters = []
    for stages, factor, classes in ((3, 0.4, 10), (1, 1.0, 3), (5, 0.1, 10)):
        scores = rng.random((50, classes), np.float32)
        state = np.zeros((stages, classes), np.float32)
        shown = []
        for row in scores:
            state = reference.low_pass(state, row, factor)
            shown.append(state[-1])
        filters.append(
            {
                "stages": stages,
                "factor": factor,
                "scores": blob.add(scores),
                "filtered": blob.add(np.stack(shown)),
            }
        )
    softmaxes = []
    for logits in ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0, -4.0], [1000.0, 999.0, -1000.0], [-80.5]):
        array = np.array(logits, np.float32)
        softmaxes.append({"logits": logits, "probabilities": blob.add(reference.softmax(array))})
    tempered = []
    for kind, scores in (
        ("probabilities", [0.0, 0.00390625, 0.99609375]),
        ("probabilities", [0.25, 0.5, 0.25, 0.0]),
        ("logits", [1.0, 2.0, 3.0, -4.0]),
    ):
        for temperature in (0.5, 1.0, 2.75):
            output = {"kind": kind, "temperature": temperature}
            found = reference.probabilities(np.array(scores, np.float32), output)
            tempered.append({**output, "scores": scores, "probabilities": blob.add(found)})
    values = np.array([-128, -127, -1, 0, 1, 127], np.int8)
    quantization = {"scale": 0.00390625, "zero_point": -128}
    dequantized = {
        "values": values.tolist(),
        "quantization": quantization,
        "real": blob.add(reference.dequantize(values, quantization)),
    }
    scores = {
        "tied": [0.25, 0.5, 0.25, 0.5, 0.0],
        "equal": [0.1, 0.1, 0.1],
        "signed_zero": [-0.0, 0.0, -1.0],
        "one": [0.75],
    }
    top = [
        {"scores": values, "k": k, "classes": reference.top_k(np.array(values, np.float32), k)}
        for values in scores.values()
        for k in (-1, 1, 2, 3, 99)
    ]
    blob.write()
    dump(
        out / "scores.json",
        {
            "filter": filters,
            "softmax": {"tolerance": 1e-6, "cases": softmaxes},
            "temper": {"tolerance": 1e-6, "cases": tempered},
            "dequantize": dequantized,
            "top_k": top,
        },
    )


def dump(path: pathlib.Path, value: Any) -> None:
    """Writes JSON, one line for each element of the lists that stand directly below the top."""
    lines = []
    for name, part in value.items():
        if isinstance(part, list | tuple):
            elements = ",\n  ".join(json.dumps(element) for element in part)
            lines.append(f"{json.dumps(name)}: [\n  {elements}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(part)}")
    path.write_text("{" + ",\n".join(lines) + "}\n")


def write(out: pathlib.Path) -> None:
    """Writes all golden files into a directory."""
    out.mkdir(parents=True, exist_ok=True)
    write_frames(out)
    write_images(out)
    write_scores(out)
    golden_digits.write(out)
    bundles = {"bundles": golden_bundles.entries(), "shown": golden_bundles.shown()}
    dump(out / "bundles.json", bundles)


def main() -> None:
    """Writes the golden files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="the directory to write")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
