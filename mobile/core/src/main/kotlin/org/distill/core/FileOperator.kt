package org.distill.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Largest stride, dilation, filter or padding. */
internal const val MAX_STEP = 1L shl 15

internal val QUANTIZED = listOf("int8", "uint8")
internal val VALUES = listOf("float32") + QUANTIZED
private val BIASES = mapOf("float32" to "float32", "int8" to "int32", "uint8" to "int32")
private const val SAME = 0L // paddings
private const val VALID = 1L

/** An operator of a file, and what the rules in `Shapes.kt` are made of. */
internal class FileOperator(
    private val data: ByteArray,
    val read: List<FileTensor?>,
    val output: FileTensor,
    val options: Record,
    private val what: String,
) {
    fun need(holds: Boolean, expected: Any, found: Any?) = need(holds, what, expected, found)

    /** Returns an input, which has to be there. */
    fun tensor(index: Int = 0): FileTensor = read[index] ?: throw UnsoundException(what, "an input", "none")

    /** An input of values, and an output of the same type. */
    fun types(index: Int = 0) {
        val dtype = tensor(index).dtype
        need(dtype in VALUES, "numbers of a known type", dtype)
        need(output.dtype == dtype, "an output of $dtype", output.dtype)
    }

    /** The output has this shape; returns the number of its values. */
    fun writes(shape: List<Long>): Double {
        need(shape == output.shape, shape, output.shape)
        return product(shape)
    }

    /** An input has so many dimensions. */
    fun rank(index: Int, rank: Int): List<Long> {
        val shape = tensor(index).shape
        need(shape.size == rank, "$rank dimensions", shape)
        return shape
    }

    /** Returns the shape of the first input, which has at most so many dimensions. */
    fun shapeOfAtMost(rank: Int): List<Long> {
        val shape = tensor().shape
        need(shape.size <= rank, "at most $rank dimensions", shape.size)
        return shape
    }

    /** Options that are lengths. */
    fun step(vararg names: String): List<Long> = names.map { name ->
        val value = options.number(name)
        need(value in 1..MAX_STEP, "$name from 1 to $MAX_STEP", value)
        value
    }

    /** The values of an input that has to be a constant of whole numbers. */
    fun integers(index: Int, count: Int? = null): List<Long> {
        val tensor = tensor(index)
        need(tensor.dtype == "int32", "int32", tensor.dtype)
        val place = tensor.constant ?: throw UnsoundException(what, "a constant", "none")
        need(count == null || count.toLong() == tensor.elements, "$count numbers", tensor.elements)
        val view = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)
        return List(tensor.elements.toInt()) { view.getInt(place.start + 4 * it).toLong() }
    }

    /** Weights of the image's type; those of floats may be int8 too, those of int8 [narrower]. */
    fun weights(image: Int, index: Int, vararg narrower: String) {
        val of = tensor(image).dtype
        val found = tensor(index).dtype
        val fits = found == of || (of == "float32" && found == "int8")
        need(fits || (of == "int8" && found in narrower), "weights for $of", found)
    }

    /** An input that may be left out: a number for each channel. */
    fun bias(image: Int, index: Int, channels: Long) {
        val bias = read.getOrNull(index) ?: return
        val dtype = BIASES[tensor(image).dtype]
        need(bias.shape == listOf(channels), listOf(channels), bias.shape)
        need(bias.dtype == dtype, "a bias of $dtype", bias.dtype)
    }

    /** Returns how often a window fits along a side. */
    fun window(size: Long, window: Long, stride: Long, dilation: Long = 1): Long {
        val padding = options.number("padding")
        need(padding == SAME || padding == VALID, "a known padding", padding)
        val covered = (window - 1) * dilation + 1
        val count = if (padding == SAME) -Math.floorDiv(-size, stride) else Math.floorDiv(size - covered, stride) + 1
        need(count > 0, "a window of at most $size", covered)
        return count
    }

    /** Returns a dimension that may be counted from the last. */
    fun axis(axis: Long, rank: Int): Int {
        need(axis in -rank until rank, "a dimension of $rank", axis)
        return Math.floorMod(axis.toInt(), rank)
    }
}
