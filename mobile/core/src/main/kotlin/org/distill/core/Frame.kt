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

/** Returns where the square in the middle of the upright image lies in the stored one. */
fun storedSquare(width: Int, height: Int, rotation: Int): Window {
    val side = minOf(width, height)
    val upperGap = ((if (isTurned(rotation)) width else height) - side) / 2
    val leftGap = ((if (isTurned(rotation)) height else width) - side) / 2
    val (top, left) = when (rotation) {
        0 -> upperGap to leftGap
        90 -> height - leftGap - side to upperGap
        180 -> height - upperGap - side to width - leftGap - side
        270 -> leftGap to width - upperGap - side
        else -> throw FrameException("rotation: expected one of 0, 90, 180, 270, found $rotation")
    }
    return Window(top.toDouble(), left.toDouble(), side.toDouble(), side.toDouble())
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
