package org.distill.core

import java.nio.ByteBuffer

private const val SHORTER_SIDE = 1024

/**
 * Returns by how much a picture is to be shrunk while it is decoded: a power of 2.
 *
 * Its shorter side keeps 1,024 pixels, where it has them; the model sees far less than that.
 */
fun shrinkage(width: Int, height: Int): Int {
    var by = 1
    while (minOf(width, height) / (2 * by) >= SHORTER_SIDE) by *= 2
    return by
}

/** A square in the middle of a picture, in its pixels. */
data class Square(val left: Int, val top: Int, val side: Int)

/** Returns the square that is classified. */
fun middleSquare(width: Int, height: Int): Square {
    val side = minOf(width, height)
    return Square((width - side) / 2, (height - side) / 2, side)
}

/**
 * Returns a picture as a frame: full-range YUV with the coefficients of JFIF.
 *
 * @param argb pixels row by row; what is transparent shows white paper.
 */
fun frameOf(argb: IntArray, width: Int, height: Int): Frame {
    val (columns, rows) = (width + 1) / 2 to (height + 1) / 2
    val y = ByteBuffer.allocate(width * height)
    val u = ByteBuffer.allocate(columns * rows)
    val v = ByteBuffer.allocate(columns * rows)
    for (i in argb.indices) {
        y.put(i, byteOf(luma(channel(argb[i], RED), channel(argb[i], GREEN), channel(argb[i], BLUE))))
    }
    for (row in 0 until rows) {
        for (column in 0 until columns) {
            fun mean(shift: Int): Double {
                var sum = 0.0
                var count = 0
                for (y in 2 * row until minOf(2 * row + 2, height)) {
                    for (x in 2 * column until minOf(2 * column + 2, width)) {
                        sum += channel(argb[y * width + x], shift)
                        count++
                    }
                }
                return sum / count
            }
            val (red, green, blue) = Triple(mean(RED), mean(GREEN), mean(BLUE))
            val luma = luma(red, green, blue)
            u.put(row * columns + column, byteOf(128 + (blue - luma) / 1.772))
            v.put(row * columns + column, byteOf(128 + (red - luma) / 1.402))
        }
    }
    return Frame(width, height, 0, Plane(y, width, 1), Plane(u, columns, 1), Plane(v, columns, 1))
}

private const val RED = 16
private const val GREEN = 8
private const val BLUE = 0

/** Returns a channel of a pixel that lies on white paper. */
private fun channel(argb: Int, shift: Int): Double {
    val opacity = argb ushr 24
    return (((argb ushr shift) and 0xff) * opacity + 255 * (255 - opacity)) / 255.0
}

private fun luma(red: Double, green: Double, blue: Double) = 0.299 * red + 0.587 * green + 0.114 * blue

private fun byteOf(value: Double): Byte = Math.rint(value).coerceIn(0.0, 255.0).toInt().toByte()
