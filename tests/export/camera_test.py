"""Frames of a camera: strides, rotations, colours."""

import numpy as np
import pytest

from distill.errors import InputError
from distill.export import camera, reference
from distill.export.camera import Frame, Plane
from distill.pixels import center_crop


def plane(pixels, row_stride=None, pixel_stride=1):
    height, width = pixels.shape
    row_stride = row_stride or width * pixel_stride
    data = np.full((height, row_stride), 99, np.uint8)
    data[:, : width * pixel_stride : pixel_stride] = pixels
    return Plane(data.reshape(-1), row_stride, pixel_stride)


def gray_frame(pixels, rotation=0, **strides):
    height, width = pixels.shape
    chroma = plane(np.full(((height + 1) // 2, (width + 1) // 2), 128))
    return Frame(width, height, rotation, plane(pixels, **strides), chroma, chroma)


def inside(image, window):
    top, left, height, width = window
    return image[top : top + height, left : left + width]


@pytest.mark.parametrize("height, width", [(4, 7), (7, 4), (5, 5), (6, 9)])
@pytest.mark.parametrize("rows, columns", [(28, 28), (20, 28)])
@pytest.mark.parametrize("rotation", camera.ROTATIONS)
def test_what_is_stored_is_the_middle_of_the_upright_image(height, width, rotation, rows, columns):
    image = np.arange(height * width).reshape(height, width)
    stored = inside(image, camera.stored_crop(height, width, rotation, rows, columns))
    upright = np.rot90(image, -rotation // 90)
    expected = inside(upright, center_crop(*upright.shape, rows, columns))
    np.testing.assert_array_equal(np.rot90(stored, -rotation // 90), expected)


@pytest.mark.parametrize(
    "rotation, expected",
    [
        (0, [[1, 2], [3, 4]]),
        (90, [[3, 1], [4, 2]]),
        (180, [[4, 3], [2, 1]]),
        (270, [[2, 4], [1, 3]]),
    ],
)
def test_rotation_is_clockwise(rotation, expected):
    frame = gray_frame(np.array([[1, 2], [3, 4]]), rotation)
    cells = camera.frame_cells(frame, "gray", 2, 2)
    np.testing.assert_array_equal(cells[..., 0], expected)


@pytest.mark.parametrize("rotation", camera.ROTATIONS)
def test_rotating_later_is_rotating_first(rotation, rng):
    pixels = rng.integers(0, 256, (13, 22))
    cells = camera.frame_cells(gray_frame(pixels, rotation), "gray", 6, 4)
    upright = np.rot90(pixels, -rotation // 90)
    expected = reference.image_cells(upright, "gray", 6, 4)
    np.testing.assert_allclose(cells, expected, rtol=1e-13)


def test_bytes_between_pixels_and_rows_are_not_read(rng):
    pixels = rng.integers(0, 256, (6, 5))
    expected = camera.frame_cells(gray_frame(pixels), "gray", 5, 5)
    found = camera.frame_cells(gray_frame(pixels, row_stride=17, pixel_stride=3), "gray", 5, 5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "yuv, rgb",
    [
        ((128, 128, 128), (128.0, 128.0, 128.0)),
        ((76, 85, 255), (254.054, 0.1026, 0.0)),
        ((255, 0, 255), (255.0, 208.354, 28.184)),
        ((0, 255, 128), (0.0, 0.0, 225.044)),
    ],
)
def test_colours_are_those_of_jpeg(yuv, rgb):
    y, u, v = yuv
    full, half = np.full((3, 3), y), np.ones((2, 2), int)
    frame = Frame(3, 3, 0, plane(full), plane(half * u), plane(half * v))
    np.testing.assert_allclose(camera.frame_cells(frame, "rgb", 1, 1), [[rgb]], atol=1e-3)


def test_colour_lies_where_brightness_does():
    """Cells of two by two pixels: each takes its own pixel of U and V."""
    u = np.array([[128, 138], [148, 158]])
    frame = Frame(4, 4, 90, plane(np.full((4, 4), 100)), plane(u), plane(np.full((2, 2), 128)))
    blue = camera.frame_cells(frame, "rgb", 2, 2)[..., 2]
    np.testing.assert_allclose(blue, 100 + 1.772 * np.array([[20, 0], [30, 10]]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"width": 0}, "expected a size of 1x1 or more, found 0x2"),
        ({"height": -1}, "expected a size of 1x1 or more, found 3x-1"),
        ({"rotation": 45}, "expected one of 0, 90, 180, 270, found 45"),
        ({"y": Plane(np.zeros(5, np.uint8), 3, 1)}, "plane Y: expected 6 bytes or more, found 5"),
        ({"y": Plane(np.zeros(9, np.uint8), 2, 1)}, "row stride expected 3 or more, found 2"),
        ({"y": Plane(np.zeros(9, np.uint8), 3, 0)}, "pixel stride expected 1 or more, found 0"),
        ({"v": Plane(np.zeros(1, np.uint8), 2, 1)}, "plane V: expected 2 bytes or more, found 1"),
    ],
)
def test_impossible_frames_are_refused(change, message):
    frame = gray_frame(np.zeros((2, 3)))._replace(**change)
    with pytest.raises(InputError, match=message):
        camera.frame_cells(frame, "rgb", 2, 2)
