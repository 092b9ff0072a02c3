package org.distill.core

import kotlin.math.ceil
import kotlin.math.floor

/** The pixels under each cell of a row of cells, and how much of each: `weights[cell * count + tap]`. */
internal class Taps(start: Double, extent: Double, cells: Int) {
    private val edges = DoubleArray(cells + 1) { start + it * extent / cells }
    val first = IntArray(cells) { floor(edges[it]).toInt() }
    val count = (0 until cells).maxOf { ceil(edges[it + 1]).toInt() - first[it] }
    val weights = DoubleArray(cells * count) {
        val cell = it / count
        val pixel = first[cell] + it % count
        val inside = minOf(edges[cell + 1], pixel + 1.0) - maxOf(edges[cell], pixel.toDouble())
        maxOf(inside, 0.0)
    }
}

/**
 * Divides a window of a plane into cells and computes the mean of each, weighted by area.
 *
 * The order of the additions is that of `distill/export/reference.py`: both give the same bits.
 * Bilinear sampling would drop thin strokes where 480 pixels become 28.
 */
internal class AreaResize(private val window: Window, private val rows: Int, private val columns: Int) {
    private val across = Taps(window.left, window.width, columns)
    private val down = Taps(window.top, window.height, rows)
    private val firstRow = floor(window.top).toInt()
    private val lastRow = ceil(window.top + window.height).toInt() - 1
    private val firstColumn = floor(window.left).toInt()
    private val lastColumn = ceil(window.left + window.width).toInt() - 1
    private val narrow = DoubleArray((lastRow - firstRow + 1) * columns)
    private val area = (window.height / rows) * (window.width / columns)
    private var bytes = ByteArray(0)

    /** Writes `rows * columns` means from 0 to 255 to `cells`. The plane's position is moved. */
    fun resize(plane: Plane, cells: DoubleArray) {
        for (row in firstRow..lastRow) narrowRow(plane, row)
        for (row in 0 until rows) {
            val target = row * columns
            cells.fill(0.0, target, target + columns)
            for (tap in 0 until down.count) {
                val weight = down.weights[row * down.count + tap]
                val source = (minOf(down.first[row] + tap, lastRow) - firstRow) * columns
                for (column in 0 until columns) cells[target + column] += weight * narrow[source + column]
            }
            for (column in 0 until columns) cells[target + column] /= area
        }
    }

    private fun narrowRow(plane: Plane, row: Int) {
        val stride = plane.pixelStride
        val length = (lastColumn - firstColumn) * stride + 1
        if (bytes.size < length) bytes = ByteArray(length)
        plane.data.moveTo(row * plane.rowStride + firstColumn * stride)
        plane.data.get(bytes, 0, length)
        val target = (row - firstRow) * columns
        for (column in 0 until columns) {
            var sum = 0.0
            for (tap in 0 until across.count) {
                val pixel = minOf(across.first[column] + tap, lastColumn) - firstColumn
                sum += across.weights[column * across.count + tap] * (bytes[pixel * stride].toInt() and 0xff)
            }
            narrow[target + column] = sum
        }
    }
}
