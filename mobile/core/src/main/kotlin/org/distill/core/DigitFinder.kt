package org.distill.core

/** What is unusual about an image in which a digit is looked for. */
enum class Notice {
    NONE,

    /** There is no ink, and nothing to classify. */
    BLANK,

    /** The ink runs over the edge of the image. */
    CUT,

    /** There are several digits, of which the largest is taken. */
    SEVERAL,
}

/**
 * Finds a digit in an image, and makes of it what the authors of MNIST made of theirs.
 *
 * Bit for bit `find` of `distill/export/digits.py`, where each step is explained. Nothing is
 * allocated for an image. Not for use by several threads.
 */
internal class DigitFinder {
    /** The digit: 28 by 28, light on dark, from 0 to 255; zeros if the image is blank. */
    val pixels = DoubleArray(SIZE * SIZE)

    /** Whether it is dark ink on light paper. */
    var inverted = false
        private set

    private val steps = IntArray(CELLS)
    private val smooth = IntArray(CELLS)
    private val background = IntArray(CELLS)
    private val bins = IntArray(CELLS)
    private val counts = IntArray(LEVELS)
    private val paper = Background()
    private val lopsided = Lopsided()
    private val parts = Parts()
    private val placing = Placing()

    /** Looks for a digit in `GRID * GRID` cells from 0 to 255. */
    fun find(cells: DoubleArray, polarity: Polarity): Notice {
        for (i in steps.indices) steps[i] = (cells[i] * STEPS + HALF).toInt()
        inverted = polarity == Polarity.INVERT || (polarity == Polarity.AUTO && lopsided.isInkDark(steps))
        if (!inverted) for (i in steps.indices) steps[i] = 255 * STEPS - steps[i]
        pixels.fill(0.0)

        paper.estimate(steps, smooth, background)
        counts.fill(0)
        for (i in bins.indices) {
            bins[i] = (background[i] - smooth[i]) / BIN
            counts[bins[i]]++
        }
        val middle = ranked(CELLS / 2)
        val contrast = ranked(CELLS - DARKEST) - middle
        counts.fill(0)
        for (bin in bins) counts[Math.abs(bin - middle)]++
        if (contrast < maxOf(CONTRAST, NOISE * ranked(CELLS / 2))) return Notice.BLANK

        parts.find(bins, middle + contrast / 4)
        val isCut = parts.main.atEdge
        if (parts.main.size < SPECK || (isCut && contrast < 3 * CONTRAST)) return Notice.BLANK
        parts.keepDigit()
        val thin = BIN * (middle + contrast / 16)
        val most = BIN * (contrast - contrast / 16)
        val brightest = background.max()
        placing.place(pixels, parts) {
            val depth = maxOf(background[it] - 9 * steps[it] - thin, 0)
            minOf(depth * brightest / maxOf(background[it], 1), most) // below 2^31
        }
        return if (isCut) Notice.CUT else if (parts.hasOther()) Notice.SEVERAL else Notice.NONE
    }

    /** Returns the value at a rank, from 0, of those that are counted. */
    private fun ranked(rank: Int): Int {
        var (value, seen) = -1 to 0
        while (seen <= rank) seen += counts[++value]
        return value
    }

    companion object {
        const val GRID = 70
        const val CELLS = GRID * GRID
        const val SIZE = 28
        const val STEPS = 16
        private const val HALF = 0.5 + 1.0 / (1 shl 20)
        private const val BIN = 16
        private const val LEVELS = 255 * 9 * STEPS / BIN + 1
        private const val DARKEST = 17
        private const val CONTRAST = 12 * 9 * STEPS / BIN
        private const val NOISE = 9
        private const val SPECK = 9
    }
}

private const val GRID = DigitFinder.GRID
private const val CELLS = DigitFinder.CELLS
private const val STEPS = DigitFinder.STEPS

/** Says whether there is less that is dark than that is light, wherever it is. */
private class Lopsided {
    private val sums = IntArray((GRID + 1) * (GRID + 1))

    fun isInkDark(steps: IntArray): Boolean {
        for (row in 0 until GRID) {
            var sum = 0
            for (column in 0 until GRID) {
                sum += steps[row * GRID + column]
                val at = (row + 1) * (GRID + 1) + column + 1
                sums[at] = sums[at - GRID - 1] + sum
            }
        }
        var total = 0.0
        for (row in 0 until GRID) {
            val top = maxOf(row - AROUND, 0)
            val bottom = minOf(row + AROUND + 1, GRID)
            for (column in 0 until GRID) {
                val left = maxOf(column - AROUND, 0)
                val right = minOf(column + AROUND + 1, GRID)
                val sum = sums[bottom * (GRID + 1) + right] - sums[top * (GRID + 1) + right] -
                    sums[bottom * (GRID + 1) + left] + sums[top * (GRID + 1) + left]
                val mean = sum.toDouble() / ((bottom - top) * (right - left))
                val error = (steps[row * GRID + column] - mean) / (mean + 128 * STEPS)
                total += error * error * error
            }
        }
        return total < 0
    }

    private companion object {
        const val AROUND = 17
    }
}

/** Estimates the brightness of the paper: the closing of the image, in which what is thin and dark is filled. */
private class Background {
    private val padded = GRID + 2 * REACH
    private val values = IntArray(padded)
    private val ahead = IntArray(padded)
    private val behind = IntArray(padded)

    /** Writes the sums of nine cells, and the background of these. */
    fun estimate(steps: IntArray, smooth: IntArray, background: IntArray) {
        for (row in 0 until GRID) {
            val above = maxOf(row - 1, 0) * GRID
            val below = minOf(row + 1, GRID - 1) * GRID
            var before = steps[above] + steps[row * GRID] + steps[below]
            var here = before
            for (column in 0 until GRID) {
                val next = minOf(column + 1, GRID - 1)
                val after = steps[above + next] + steps[row * GRID + next] + steps[below + next]
                smooth[row * GRID + column] = before + here + after
                before = here
                here = after
            }
        }
        smooth.copyInto(background)
        repeat(2) {
            for (line in 0 until GRID) widen(background, line * GRID, 1)
            for (line in 0 until GRID) widen(background, line, GRID)
            for (i in background.indices) background[i] = -background[i] // the minimum is a maximum then
        }
    }

    /** Replaces each value of a line by the largest within reach (van Herk, 1992). */
    private fun widen(cells: IntArray, start: Int, stride: Int) {
        for (i in 0 until padded) values[i] = cells[start + (i - REACH).coerceIn(0, GRID - 1) * stride]
        for (first in 0 until padded step WINDOW) {
            val last = minOf(first + WINDOW, padded) - 1
            ahead[first] = values[first]
            for (i in first + 1..last) ahead[i] = maxOf(ahead[i - 1], values[i])
            behind[last] = values[last]
            for (i in last - 1 downTo first) behind[i] = maxOf(behind[i + 1], values[i])
        }
        for (i in 0 until GRID) cells[start + i * stride] = maxOf(behind[i], ahead[i + WINDOW - 1])
    }

    private companion object {
        const val REACH = 12
        const val WINDOW = 2 * REACH + 1
    }
}

/** Scales the ink to its box and places its centre of mass; the darkest becomes white. */
private class Placing {
    private val ink = IntArray(CELLS)
    private val across = DoubleArray(GRID * SIZE)
    private val sorted = DoubleArray(SIZE * SIZE)

    fun place(pixels: DoubleArray, parts: Parts, depth: (Int) -> Int) {
        val box = parts.box
        ink.fill(0)
        for (cell in ink.indices) {
            val label = parts.labels[cell]
            if (label == 0 || !parts.kept[label - 1]) continue
            val (row, column) = cell / GRID to cell % GRID
            for (r in maxOf(row - NEAR, 0)..minOf(row + NEAR, GRID - 1)) {
                ink.fill(1, r * GRID + maxOf(column - NEAR, 0), r * GRID + minOf(column + NEAR + 1, GRID))
            }
        }
        var (total, down, sideways) = Triple(0L, 0L, 0L)
        for (cell in ink.indices) {
            if (ink[cell] == 0) continue
            ink[cell] = depth(cell)
            total += ink[cell]
            down += ink[cell].toLong() * (2 * (cell / GRID) + 1)
            sideways += ink[cell].toLong() * (2 * (cell % GRID) + 1)
        }
        val side = (maxOf(box.bottom - box.top, box.right - box.left) * SIZE).toDouble() / BOX
        val corner = GRID - side * MIDDLE / SIZE
        val rows = Taps(down.toDouble() / (2 * total) + corner, side, SIZE)
        val columns = Taps(sideways.toDouble() / (2 * total) + corner, side, SIZE)
        resize(pixels, rows, columns, (side / SIZE) * (side / SIZE))
        pixels.copyInto(sorted)
        sorted.sort()
        val white = maxOf(sorted[sorted.size - WHITE], sorted.last() / 2)
        for (i in pixels.indices) pixels[i] = minOf(pixels[i] * 255.0 / white, 255.0)
    }

    /** As `AreaResize`, with nothing around the grid. */
    private fun resize(pixels: DoubleArray, rows: Taps, columns: Taps, area: Double) {
        for (row in 0 until GRID) {
            for (column in 0 until SIZE) {
                var sum = 0.0
                for (tap in 0 until columns.count) {
                    val at = columns.first[column] + tap - GRID
                    if (at in 0 until GRID) sum += columns.weights[column * columns.count + tap] * ink[row * GRID + at]
                }
                across[row * SIZE + column] = sum
            }
        }
        for (row in 0 until SIZE) {
            for (tap in 0 until rows.count) {
                val at = rows.first[row] + tap - GRID
                if (at !in 0 until GRID) continue
                val weight = rows.weights[row * rows.count + tap]
                for (column in 0 until SIZE) pixels[row * SIZE + column] += weight * across[at * SIZE + column]
            }
        }
        for (i in pixels.indices) pixels[i] /= area
    }

    private companion object {
        const val SIZE = DigitFinder.SIZE
        const val BOX = 20
        const val MIDDLE = 14.5
        const val NEAR = 2
        const val WHITE = 20
    }
}
