package org.distill.core

/** What an operator may be; `options` is their type in TensorFlow Lite's schema, 0 for none. */
internal class Rule(
    val name: String,
    val inputs: IntRange,
    val options: Long,
    val needsOptions: Boolean,
    val check: FileOperator.() -> Double,
)

private fun one(name: String, options: Long, check: FileOperator.() -> Double, needsOptions: Boolean = false) =
    Rule(name, 1..1, options, needsOptions, check)

private fun two(name: String, options: Long, check: FileOperator.() -> Double) = Rule(name, 2..2, options, false, check)

internal val OPERATORS = mapOf(
    0L to two("ADD", 11, FileOperator::broadcast),
    1L to one("AVERAGE_POOL_2D", 5, FileOperator::pool, needsOptions = true),
    2L to Rule("CONCATENATION", 1..(1 shl 10), 10, true, FileOperator::concatenation),
    3L to Rule("CONV_2D", 3..3, 1, true) { convolution(isDepthwise = false) },
    4L to Rule("DEPTHWISE_CONV_2D", 3..3, 2, true) { convolution(isDepthwise = true) },
    6L to one("DEQUANTIZE", 38, FileOperator::dequantize),
    9L to Rule("FULLY_CONNECTED", 2..3, 8, false, FileOperator::dense),
    14L to one("LOGISTIC", 0, FileOperator::same),
    17L to one("MAX_POOL_2D", 5, FileOperator::pool, needsOptions = true),
    18L to two("MUL", 21, FileOperator::broadcast),
    19L to one("RELU", 0, FileOperator::same),
    21L to one("RELU6", 0, FileOperator::same),
    22L to Rule("RESHAPE", 1..2, 17, false, FileOperator::reshape),
    23L to two("RESIZE_BILINEAR", 15, FileOperator::resize),
    25L to one("SOFTMAX", 9, FileOperator::softmax, needsOptions = true),
    28L to one("TANH", 0, FileOperator::same),
    34L to two("PAD", 22, FileOperator::pad),
    39L to two("TRANSPOSE", 26, FileOperator::transpose),
    40L to two("MEAN", 27, FileOperator::reduce),
    41L to two("SUB", 28, FileOperator::broadcast),
    42L to two("DIV", 29, FileOperator::broadcast),
    43L to one("SQUEEZE", 30, FileOperator::squeeze),
    45L to Rule("STRIDED_SLICE", 4..4, 32, true, FileOperator::stridedSlice),
    55L to two("MAXIMUM", 39, FileOperator::broadcast),
    57L to two("MINIMUM", 39, FileOperator::broadcast),
    60L to Rule("PADV2", 3..3, 43, false, FileOperator::pad),
    65L to Rule("SLICE", 3..3, 48, false, FileOperator::slice),
    67L to Rule("TRANSPOSE_CONV", 3..4, 49, true, FileOperator::transposeConv),
    74L to two("SUM", 27, FileOperator::reduce),
    76L to one("RSQRT", 0, FileOperator::same),
    82L to two("REDUCE_MAX", 27, FileOperator::reduce),
    97L to two("RESIZE_NEAREST_NEIGHBOR", 74, FileOperator::resize),
    98L to one("LEAKY_RELU", 75, FileOperator::leaky),
    99L to two("SQUARED_DIFFERENCE", 76, FileOperator::broadcast),
    114L to one("QUANTIZE", 89, FileOperator::quantize),
    117L to one("HARD_SWISH", 91, FileOperator::same),
)

/**
 * Checks an operator; returns how many operations it takes: multiply-accumulates, or values.
 *
 * @param read the tensors that it reads; null where one is left out.
 * @param what names it in messages.
 */
internal fun checkOperator(
    data: ByteArray,
    rule: Rule,
    read: List<FileTensor?>,
    output: FileTensor,
    options: Record?,
    what: String,
): Double {
    val (low, high) = rule.inputs.first to rule.inputs.last
    val fused = options?.number("fused", 0) ?: 0
    need(read.size in rule.inputs, what, "$low to $high inputs", read.size)
    need(read.take(low).all { it != null }, what, "an input", "none")
    need(options != null || !rule.needsOptions, what, "options", "none")
    need(fused in 0..3, what, "a known activation", fused)
    need(scalesFit(rule.name, read, output), what, "scales that fit the output's", "another")
    return rule.check(FileOperator(data, read, output, options ?: Record(emptyMap()), what))
}

private val PRODUCTS = listOf("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "TRANSPOSE_CONV")

// Of what an operator makes of the scales of its inputs, relative to its output's.
private const val MIN_RATIO = 1.0 / (1L shl 48)
private const val MAX_RATIO = 65536.0

/** Says whether the scales of quantised inputs and of the output can be of one computation. */
private fun scalesFit(name: String, read: List<FileTensor?>, output: FileTensor): Boolean {
    val widths = read.filterNotNull().filter { it.dtype in QUANTIZED }.map { it.scale.max() }
    if (output.dtype !in QUANTIZED || widths.isEmpty()) return true
    val widest = widths.max()
    val width = when (name) {
        in PRODUCTS -> widths.take(2).fold(1.0) { a, b -> a * b }
        "SQUARED_DIFFERENCE" -> widest * widest
        "DIV" -> widths.first() / widths.last()
        else -> widest
    }
    return MIN_RATIO * output.scale[0] < width && width < MAX_RATIO * output.scale[0]
}
