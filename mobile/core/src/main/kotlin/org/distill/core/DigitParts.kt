package org.distill.core

private const val GRID = DigitFinder.GRID
private const val CELLS = DigitFinder.CELLS

/** A connected part of the ink: its number of cells and the box around it. */
internal class Part(var size: Int, var top: Int, var left: Int, var bottom: Int, var right: Int) {
    val atEdge get() = minOf(top, left) == 0 || maxOf(bottom, right) == GRID

    fun include(row: Int, column: Int) {
        size++
        top = minOf(top, row)
        left = minOf(left, column)
        bottom = maxOf(bottom, row + 1)
        right = maxOf(right, column + 1)
    }
}

/** The parts of the ink, in the order of their first cells, and which of them are the digit. */
internal class Parts {
    /** Of each cell, 0 or its part's number plus 1. */
    val labels = IntArray(CELLS)
    val kept = BooleanArray(CELLS)
    val box = Part(0, 0, 0, 0, 0)
    val main get() = found[largest]

    private val found = ArrayList<Part>()
    private val waiting = IntArray(CELLS)
    private var count = 0
    private var largest = 0

    /** Finds the parts of the cells from a value on, of which there is one, and the main part. */
    fun find(bins: IntArray, least: Int) {
        labels.fill(0)
        count = 0
        for (cell in bins.indices) {
            if (bins[cell] >= least && labels[cell] == 0) fill(bins, least, cell)
        }
        var inside = -1
        largest = 0
        for (k in 0 until count) {
            if (found[k].size > found[largest].size) largest = k
            if (!found[k].atEdge && (inside < 0 || found[k].size > found[inside].size)) inside = k
        }
        if (inside >= 0 && found[inside].size * EDGE >= found[largest].size) largest = inside
    }

    private fun fill(bins: IntArray, least: Int, first: Int) {
        val part = part(count++)
        var size = 1
        waiting[0] = first
        labels[first] = count
        while (size > 0) {
            val cell = waiting[--size]
            val (row, column) = cell / GRID to cell % GRID
            part.include(row, column)
            for (r in maxOf(row - 1, 0)..minOf(row + 1, GRID - 1)) {
                for (c in maxOf(column - 1, 0)..minOf(column + 1, GRID - 1)) {
                    val near = r * GRID + c
                    if (labels[near] == 0 && bins[near] >= least) {
                        labels[near] = count
                        waiting[size++] = near
                    }
                }
            }
        }
    }

    private fun part(index: Int): Part {
        if (index == found.size) found.add(Part(0, 0, 0, 0, 0))
        return found[index].apply {
            size = 0
            top = GRID
            left = GRID
            bottom = 0
            right = 0
        }
    }

    /** Adds to the main part what is so near that it belongs to the same digit. */
    fun keepDigit() {
        kept.fill(false, 0, count)
        kept[largest] = true
        copyTo(box, main)
        var grown = true
        while (grown) {
            grown = false
            for (k in 0 until count) {
                if (kept[k] || !belongs(found[k])) continue
                kept[k] = true
                box.top = minOf(box.top, found[k].top)
                box.left = minOf(box.left, found[k].left)
                box.bottom = maxOf(box.bottom, found[k].bottom)
                box.right = maxOf(box.right, found[k].right)
                grown = true
            }
        }
    }

    private fun copyTo(to: Part, from: Part) {
        to.size = from.size
        to.top = from.top
        to.left = from.left
        to.bottom = from.bottom
        to.right = from.right
    }

    private fun belongs(part: Part): Boolean {
        if (part.atEdge || part.size * PART < box.size) return false
        val (height, width) = box.bottom - box.top to box.right - box.left
        val rows = minOf(part.bottom, box.bottom) - maxOf(part.top, box.top)
        val columns = minOf(part.right, box.right) - maxOf(part.left, box.left)
        val isTall = 2 * (part.bottom - part.top) >= height
        val isBeside = 5 * columns < minOf(part.right - part.left, width)
        return -8 * minOf(rows, columns) <= maxOf(height, width) && !(isTall && isBeside)
    }

    fun hasOther() = (0 until count).any { !kept[it] && !found[it].atEdge && found[it].size * OTHER >= main.size }

    private companion object {
        const val PART = 60
        const val EDGE = 8
        const val OTHER = 4
    }
}
