package org.distill.core

import java.nio.Buffer
import java.nio.ByteBuffer

/** One plane of a frame. The last row may end with its last pixel. */
class Plane(val data: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/**
 * A frame in YUV 4:2:0, full range. U and V have half the width and height, rounded up.
 *
 * @param rotation degrees, clockwise, that make the stored frame upright: 0, 90, 180 or 270.
 */
class Frame(
    val width: Int,
    val height: Int,
    val rotation: Int,
    val y: Plane,
    val u: Plane,
    val v: Plane,
)

/** A frame cannot be read. The message is one line: what was expected, what was found. */
class FrameException(message: String) : Exception(message)

/** A part of a plane, in its pixels; edges may lie inside of pixels. */
data class Window(val top: Double, val left: Double, val height: Double, val width: Double) {
    fun half() = Window(top / 2, left / 2, height / 2, width / 2)
}

/** Says whether rows and columns change places. */
fun isTurned(rotation: Int) = rotation == 90 || rotation == 270

/** Returns the largest part in the middle of an image that has the shape of a tensor, in whole pixels. */
fun centerCrop(width: Int, height: Int, columns: Int, rows: Int): Window {
    val isTall = height.toLong() * columns >= width.toLong() * rows
    val inside = if (isTall) maxOf(width.toLong() * rows / columns, 1L) else height.toLong()
    val across = if (isTall) width.toLong() else maxOf(height.toLong() * columns / rows, 1L)
    val top = (height - inside) / 2
    val left = (width - across) / 2
    return Window(top.toDouble(), left.toDouble(), inside.toDouble(), across.toDouble())
}

/** Returns where the [centerCrop] of the upright image lies in the stored one. */
fun storedCrop(width: Int, height: Int, rotation: Int, columns: Int, rows: Int): Window {
    val turned = isTurned(rotation)
    val upright = if (turned) centerCrop(height, width, columns, rows) else centerCrop(width, height, columns, rows)
    val (top, left, high, wide) = upright
    return when (rotation) {
        0 -> upright
        90 -> Window(height - left - wide, top, wide, high)
        180 -> Window(height - top - high, width - left - wide, high, wide)
        270 -> Window(left, width - top - high, wide, high)
        else -> throw FrameException("rotation: expected one of 0, 90, 180, 270, found $rotation")
    }
}

/** Refuses a plane of which a pixel lies outside of its data, or on another one. */
internal fun checkPlane(plane: Plane, width: Int, height: Int, name: String) {
    if (plane.pixelStride < 1) {
        throw FrameException("plane $name: pixel stride expected 1 or more, found ${plane.pixelStride}")
    }
    val row = (width - 1L) * plane.pixelStride + 1
    if (plane.rowStride < row) {
        throw FrameException("plane $name: row stride expected $row or more, found ${plane.rowStride}")
    }
    val needed = (height - 1L) * plane.rowStride + row
    if (plane.data.limit() < needed) {
        throw FrameException("plane $name: expected $needed bytes or more, found ${plane.data.limit()}")
    }
}

/** Moves to a position. Before API 28, `ByteBuffer` has no `position` of its own, only `Buffer` has. */
internal fun ByteBuffer.moveTo(position: Int) {
    val buffer: Buffer = this
    buffer.position(position)
}
