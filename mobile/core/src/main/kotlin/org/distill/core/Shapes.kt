package org.distill.core

import kotlin.math.abs

// What each kind of operator may read, and the shape that it writes: the rules, their order and the words
// are those of `distill/export/shapes.py`, which says why. Each returns how many operations it takes.

internal fun FileOperator.same(): Double {
    types()
    return writes(tensor().shape)
}

internal fun FileOperator.softmax(): Double {
    val beta = options.real("beta")
    need(beta > 0 && beta <= MAX_STEP, "a beta above 0", "another")
    need(tensor().shape.isNotEmpty(), "1 dimension or more", 0)
    return same()
}

internal fun FileOperator.leaky(): Double {
    need(abs(options.real("alpha")) <= MAX_STEP, "a finite alpha", "another")
    return same()
}

internal fun FileOperator.quantize(): Double {
    need(tensor().dtype in VALUES, "numbers of a known type", tensor().dtype)
    need(output.dtype in QUANTIZED, "an output of integers", output.dtype)
    return writes(tensor().shape)
}

internal fun FileOperator.dequantize(): Double {
    val dtype = tensor().dtype
    need(dtype == "float16" || dtype in QUANTIZED, "float16 or integers", dtype)
    need(output.dtype == "float32", "an output of float32", output.dtype)
    return writes(tensor().shape)
}

internal fun FileOperator.broadcast(): Double {
    types(0)
    types(1)
    val shapes = listOf(tensor(0).shape, tensor(1).shape)
    val rank = shapes.maxOf { it.size }
    need(rank <= 4, "at most 4 dimensions", rank)
    val (x, y) = shapes.map { shape -> List(rank - shape.size) { 1L } + shape }
    val pairs = x.zip(y)
    need(pairs.all { (a, b) -> a == b || a == 1L || b == 1L }, "sizes that fit ${shapes[0]}", shapes[1])
    return writes(pairs.map { (a, b) -> maxOf(a, b) })
}

internal fun FileOperator.concatenation(): Double {
    val first = tensor().shape
    val axis = axis(options.number("axis"), first.size)
    var total = 0L
    for (index in read.indices) {
        need(read[index] != null, "an input", "none")
        types(index)
        val shape = tensor(index).shape
        val fits = shape.size == first.size && shape.indices.all { it == axis || shape[it] == first[it] }
        need(fits, "sizes that fit $first", shape)
        total += shape[axis]
    }
    return writes(first.mapIndexed { i, size -> if (i == axis) total else size })
}

internal fun FileOperator.convolution(isDepthwise: Boolean): Double {
    types()
    weights(0, 1, "int4")
    val (images, rows, columns, channels) = rank(0, 4)
    val (first, height, width, last) = rank(1, 4)
    val (strideH, strideW, down, across) = step("stride_h", "stride_w", "dilation_h", "dilation_w")
    val filters = if (isDepthwise) last else first
    if (isDepthwise) {
        val wanted = channels * step("multiplier")[0]
        need(first == 1L && last == wanted, listOf(1, wanted), listOf(first, last))
    } else {
        need(channels % last == 0L, "a filter for $channels channels", last)
        need(filters % (channels / last) == 0L, "filters for ${channels / last} groups", filters)
    }
    bias(0, 2, filters)
    val high = window(rows, height, strideH, down)
    val wide = window(columns, width, strideW, across)
    return writes(listOf(images, high, wide, filters)) * height * width * (if (isDepthwise) 1 else last)
}

internal fun FileOperator.pool(): Double {
    types()
    val (images, rows, columns, channels) = rank(0, 4)
    val (strideH, strideW, height, width) = step("stride_h", "stride_w", "filter_h", "filter_w")
    val high = window(rows, height, strideH)
    val wide = window(columns, width, strideW)
    return writes(listOf(images, high, wide, channels)) * height * width
}

internal fun FileOperator.dense(): Double {
    types()
    weights(0, 1, "int4")
    val (units, columns) = rank(1, 2)
    val layout = options.number("format", 0)
    need(layout == 0L, "weights as usual", layout)
    bias(0, 2, units)
    val shape = tensor().shape
    val elements = tensor().elements
    need(elements % columns == 0L, "rows of $columns", shape)
    if (options.number("keep", 0) == 0L) return writes(listOf(elements / columns, units)) * columns
    need(shape.lastOrNull() == columns, "rows of $columns", shape)
    return writes(shape.dropLast(1) + units) * columns
}

internal fun FileOperator.reshape(): Double {
    types()
    val elements = tensor().elements
    val listed = if (read.size > 1) integers(1) else options.numbers("shape")
    val known = product(listed.filter { it != -1L })
    need(known > 0 && listed.count { it == -1L } <= 1, "sizes above 0, but for one", listed)
    val wanted = listed.map { if (it == -1L) Math.floor(elements / known).toLong() else it }
    need(product(wanted) == elements.toDouble(), "sizes of $elements values", wanted)
    return writes(wanted)
}

internal fun FileOperator.squeeze(): Double {
    types()
    val shape = tensor().shape
    val listed = options.numbers("dims")
    val axes = listed.map { axis(it, shape.size) }.toSet()
    for (axis in axes) need(shape[axis] == 1L, "dimensions of size 1", shape)
    return writes(shape.filterIndexed { i, size -> i !in axes && (listed.isNotEmpty() || size != 1L) })
}

internal fun FileOperator.reduce(): Double {
    types()
    val shape = tensor().shape
    val axes = integers(1).map { axis(it, shape.size) }.toSet()
    val isKept = options.number("keep", 0) != 0L
    writes(shape.indices.filter { isKept || it !in axes }.map { if (it in axes) 1 else shape[it] })
    return tensor().elements.toDouble()
}

internal fun FileOperator.pad(): Double {
    types()
    val shape = shapeOfAtMost(5)
    val pads = integers(1, 2 * shape.size)
    val sizes = listOf(shape.size.toLong(), 2L)
    need(tensor(1).shape == sizes, sizes, tensor(1).shape)
    need(pads.all { it in 0..MAX_STEP }, "paddings from 0 to $MAX_STEP", pads)
    if (read.size > 2) {
        types(2)
        need(tensor(2).elements == 1L, "1 value to pad with", tensor(2).elements)
    }
    return writes(shape.mapIndexed { i, size -> size + pads[2 * i] + pads[2 * i + 1] })
}

internal fun FileOperator.slice(): Double {
    types()
    val shape = shapeOfAtMost(5)
    val (begin, size) = listOf(1, 2).map { integers(it, shape.size) }
    return writes(
        shape.mapIndexed { i, whole ->
            val first = begin[i]
            val count = if (size[i] == -1L) whole - first else size[i]
            need(first >= 0 && count > 0 && count <= whole - first, "a part of $whole", listOf(first, count))
            count
        },
    )
}

internal fun FileOperator.stridedSlice(): Double {
    types()
    val shape = shapeOfAtMost(5)
    val (begin, end, stride) = listOf(1, 2, 3).map { integers(it, shape.size) }
    for (name in listOf("ellipsis", "new", "offset")) {
        need(options.number(name) == 0L, "no $name", options.number(name))
    }
    fun isSet(name: String, bit: Int) = options.number(name) shr bit and 1L == 1L
    fun place(value: Long, whole: Long) = if (value < 0) value + whole else value
    val written = shape.mapIndexedNotNull { i, whole ->
        need(stride[i] in 1..MAX_STEP, "strides from 1 to $MAX_STEP", stride[i])
        val first = if (isSet("begin", i)) 0 else place(begin[i], whole)
        val last = if (isSet("end", i)) whole else place(end[i], whole)
        val until = minOf(last, whole)
        if (isSet("shrink", i)) {
            need(first in 0 until whole && stride[i] == 1L, "one of $whole", first)
            null
        } else {
            need(first in 0 until until, "a part of $whole", listOf(first, last))
            -Math.floorDiv(first - until, stride[i])
        }
    }
    return writes(written)
}

internal fun FileOperator.transpose(): Double {
    types()
    val shape = tensor().shape
    val order = integers(1, shape.size)
    need(order.sorted() == shape.indices.map { it.toLong() }, "an order of ${shape.size}", order)
    return writes(order.map { shape[it.toInt()] })
}

internal fun FileOperator.resize(): Double {
    types()
    val (images, _, _, channels) = rank(0, 4)
    val (rows, columns) = integers(1, 2)
    need(rows in 1..MAX_STEP && columns in 1..MAX_STEP, "sizes to $MAX_STEP", listOf(rows, columns))
    return writes(listOf(images, rows, columns, channels))
}

internal fun FileOperator.transposeConv(): Double {
    types(2)
    weights(2, 1)
    val shape = integers(0, 4)
    val (filters, height, width, depth) = rank(1, 4)
    val image = rank(2, 4)
    val (strideH, strideW) = step("stride_h", "stride_w")
    bias(2, 3, filters)
    need(shape[1] in 1..MAX_STEP && shape[2] in 1..MAX_STEP, "sizes to $MAX_STEP", shape)
    val fits = listOf(shape[0], window(shape[1], height, strideH), window(shape[2], width, strideW), depth)
    need(fits == image, fits, image)
    need(shape[3] == filters, filters, shape[3])
    writes(shape)
    return tensor(2).elements.toDouble() * height * width * filters
}
