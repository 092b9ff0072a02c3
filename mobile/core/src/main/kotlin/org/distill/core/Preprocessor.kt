package org.distill.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Makes the model's input of frames: crop, area resize, rotation, colour, polarity or the finding of a
 * digit, quantisation.
 *
 * Bit for bit that of `distill/export/preprocess.py` and what it uses. Nothing is allocated but for the
 * first frame of a size. Not for use by several threads.
 */
class Preprocessor(private val spec: InputSpec) {
    /** The last input, in the order of bytes of this machine. */
    val tensor: ByteBuffer = ByteBuffer.allocateDirect(spec.tensor.bytes).order(ByteOrder.nativeOrder())

    /** What the model sees: `[rows, columns, channels]` from 0 to 255, upright, inverted or not. */
    val pixels = DoubleArray(spec.tensor.size)

    /** Whether the last frame was inverted. */
    var inverted = false
        private set

    /** What is unusual about the last frame; of a blank one there is no [tensor]. */
    var notice = Notice.NONE
        private set

    private val finder = if (spec.normalize == Normalize.MNIST) DigitFinder() else null
    private val rows = if (finder == null) spec.rows else DigitFinder.GRID
    private val columns = if (finder == null) spec.columns else DigitFinder.GRID
    private val cells = if (finder == null) pixels else DoubleArray(rows * columns)
    private val y = DoubleArray(rows * columns)
    private val u = DoubleArray(if (spec.color == Color.RGB) rows * columns else 0)
    private val v = DoubleArray(u.size)
    private var geometry: Geometry? = null

    private class Geometry(val width: Int, val height: Int, val rotation: Int, rows: Int, columns: Int) {
        private val window = storedCrop(width, height, rotation, columns, rows)
        private val turned = isTurned(rotation)
        private val down = if (turned) columns else rows
        private val across = if (turned) rows else columns
        val full = AreaResize(window, down, across)
        val half = AreaResize(window.half(), down, across)
    }

    /** Reads a frame. Throws [FrameException] where a size, rotation or stride is impossible. */
    fun read(frame: Frame, polarity: Polarity = spec.polarity) {
        val geometry = geometry(frame)
        checkPlane(frame.y, frame.width, frame.height, "Y")
        geometry.full.resize(frame.y, y)
        if (spec.color == Color.RGB) {
            val width = (frame.width + 1) / 2
            val height = (frame.height + 1) / 2
            checkPlane(frame.u, width, height, "U")
            checkPlane(frame.v, width, height, "V")
            geometry.half.resize(frame.u, u)
            geometry.half.resize(frame.v, v)
        }
        upright(frame.rotation)
        if (finder == null) {
            inverted = isInverted(pixels, spec, polarity)
            if (inverted) for (i in pixels.indices) pixels[i] = 255.0 - pixels[i]
        } else {
            notice = finder.find(cells, polarity)
            inverted = finder.inverted
            finder.pixels.copyInto(pixels)
        }
        write()
    }

    private fun geometry(frame: Frame): Geometry {
        val (width, height) = frame.width to frame.height
        if (width < 1 || height < 1) {
            throw FrameException("frame: expected a size of 1x1 or more, found ${width}x$height")
        }
        geometry?.let {
            if (it.width == width && it.height == height && it.rotation == frame.rotation) return it
        }
        return Geometry(width, height, frame.rotation, rows, columns).also { geometry = it }
    }

    /** Rotates the few cells instead of the many pixels, and converts their colours. */
    private fun upright(rotation: Int) {
        for (row in 0 until rows) {
            for (column in 0 until columns) {
                val from = when (rotation) {
                    0 -> row * columns + column
                    90 -> (columns - 1 - column) * rows + row
                    180 -> (rows - 1 - row) * columns + columns - 1 - column
                    else -> column * rows + rows - 1 - row
                }
                convert(from, (row * columns + column) * spec.channels)
            }
        }
    }

    private fun convert(from: Int, to: Int) {
        if (spec.color == Color.GRAY) {
            cells[to] = y[from]
            return
        }
        val blueness = u[from] - 128.0
        val redness = v[from] - 128.0
        cells[to] = (y[from] + 1.402 * redness).coerceIn(0.0, 255.0)
        cells[to + 1] = (y[from] - 0.344136 * blueness - 0.714136 * redness).coerceIn(0.0, 255.0)
        cells[to + 2] = (y[from] + 1.772 * blueness).coerceIn(0.0, 255.0)
    }

    private fun write() {
        tensor.moveTo(0)
        for (i in pixels.indices) {
            val channel = i % spec.channels
            val real = pixels[i] * spec.scale[channel] + spec.offset[channel]
            val quantization = spec.quantization
            if (quantization == null) {
                tensor.putFloat(real.toFloat())
            } else {
                tensor.put(quantize(real, quantization, spec.tensor.dtype).toByte())
            }
        }
        tensor.moveTo(0)
    }
}

/** Returns the nearest step, halves to the even one, within the range of the type. */
fun quantize(real: Double, quantization: Quantization, dtype: DType): Int {
    val steps = requireNotNull(dtype.steps) { "$dtype has no steps" }
    val step = Math.rint(real / quantization.scale) + quantization.zeroPoint
    return step.coerceIn(steps.first.toDouble(), steps.last.toDouble()).toInt()
}

/**
 * Says whether an image is inverted before the model sees it: ink on paper for a model of light on
 * dark. `AUTO`: where the border, one pixel wide, is brighter on average than the middle half.
 */
fun isInverted(pixels: DoubleArray, spec: InputSpec, polarity: Polarity = spec.polarity): Boolean {
    if (polarity != Polarity.AUTO) return polarity == Polarity.INVERT
    var borderSum = 0.0
    var borderCount = 0
    var middleSum = 0.0
    var middleCount = 0
    for (i in pixels.indices) {
        val row = i / spec.channels / spec.columns
        val column = i / spec.channels % spec.columns
        if (row == 0 || column == 0 || row == spec.rows - 1 || column == spec.columns - 1) {
            borderSum += pixels[i]
            borderCount++
        }
        if (inMiddle(row, spec.rows) && inMiddle(column, spec.columns)) {
            middleSum += pixels[i]
            middleCount++
        }
    }
    return borderSum / borderCount > middleSum / middleCount
}

private fun inMiddle(at: Int, size: Int) = at >= size / 4 && at < size - size / 4
