package org.distill.core

// Whether a `.tflite` file is sound, decided before the interpreter sees it: the order of the checks and
// the words are those of `distill/export/sound.py`, which says why.

private const val VERSION = 3L
private const val MAX_RANK = 6
private const val MAX_ELEMENTS = 1L shl 28 // of a tensor, and of all together that are no constants
private const val MAX_OPERATORS = 1 shl 12
private const val MAX_WORK = 1L shl 35 // multiply-accumulates for an image
private val TYPES =
    mapOf(0L to "float32", 1L to "float16", 2L to "int32", 3L to "uint8", 9L to "int8", 17L to "int4")
private val ITEM_BITS =
    mapOf("float32" to 32, "float16" to 16, "int32" to 32, "uint8" to 8, "int8" to 8, "int4" to 4)
private val RANGES = // of a zero point
    mapOf("int8" to -128L..127L, "uint8" to 0L..255L, "int32" to 0L..0L, "int4" to 0L..0L)

/** A tensor of a file; `constant` is where its values lie, or null where an operator writes it. */
internal class FileTensor(
    val shape: List<Long>,
    val dtype: String,
    val elements: Long,
    val constant: Place?,
    val scale: List<Double>,
    val zeroPoint: List<Long>,
)

/**
 * Checks a file, and that its input and output are those of a description.
 *
 * Throws [UnsoundException] for the first thing that is wrong.
 */
internal fun checkSound(data: ByteArray, image: InputSpec, scores: OutputSpec) {
    val model = readStructure(data)
    need(model.number("version") == VERSION, "version", VERSION, model.number("version"))
    val graphs = model.records("graphs")
    need(graphs.size == 1, "subgraphs", 1, graphs.size)
    val graph = graphs[0]
    val tensors = graph.records("tensors").mapIndexed { i, it -> tensor(model, it, "tensor $i") }
    for ((name, described) in listOf("inputs" to image.tensor, "outputs" to scores.tensor)) {
        val indices = graph.numbers(name)
        need(indices.size == 1, name, 1, indices.size)
        need(indices[0] in tensors.indices, name, "a tensor of ${tensors.size}", indices[0])
        val quantization = if (name == "inputs") image.quantization else scores.quantization
        checkDescribed(tensors[indices[0].toInt()], described, quantization, name)
    }
    checkOperators(data, model, graph, tensors)
    model.records("signatures").forEachIndexed { i, signature ->
        val what = "signature $i"
        need(signature.number("graph") == 0L, what, "graph 0", signature.number("graph"))
        for (name in listOf("inputs", "outputs")) {
            val named = signature.records(name).map { it.number("tensor") }
            need(named == graph.numbers(name), "$what, $name", graph.numbers(name), named)
        }
    }
}

private fun tensor(model: Record, found: Record, what: String): FileTensor {
    val dtype = TYPES[found.number("type")] ?: throw UnsoundException(what, "a known type", "${found.number("type")}")
    val shape = found.numbers("shape")
    need(shape.size <= MAX_RANK, what, "at most $MAX_RANK dimensions", shape.size)
    need(shape.all { it > 0 }, what, "sizes above 0", shape)
    need(product(shape) <= MAX_ELEMENTS, what, "at most $MAX_ELEMENTS values", shape)
    val elements = product(shape).toLong()
    val signature = found.numbers("signature")
    need(signature.isEmpty() || signature == shape, what, "sizes that are fixed", signature)
    val buffers = model.records("buffers")
    val buffer = found.number("buffer")
    need(buffer < buffers.size, what, "a buffer of ${buffers.size}", buffer)
    val constant = buffers[buffer.toInt()].place("data")?.takeIf { it.length > 0 }
    if (constant != null) {
        val bits = ITEM_BITS.getValue(dtype)
        val size = (elements * bits + 7) / 8
        need(constant.length.toLong() == size, what, "$size bytes", constant.length)
        val apart = (bits + 7) / 8
        need(constant.start % apart == 0, what, "values at a multiple of $apart", constant.start)
    }
    val quantization = found.record("quantization")?.takeIf { it.reals("scale").isNotEmpty() }
    if (quantization != null) checkQuantization(quantization, shape, dtype, what)
    val scale = quantization?.reals("scale").orEmpty()
    if (dtype == "int4") need(constant != null, what, "a constant", "none")
    if (dtype == "int8" || dtype == "uint8" || dtype == "int4") {
        need(scale.isNotEmpty(), what, "a scale", "none")
        need(scale.size == 1 || constant != null, what, "one scale", scale.size)
    }
    return FileTensor(shape, dtype, elements, constant, scale, quantization?.numbers("zero").orEmpty())
}

private fun checkQuantization(found: Record, shape: List<Long>, dtype: String, what: String) {
    val scale = found.reals("scale")
    val zeroPoint = found.numbers("zero")
    val range = RANGES[dtype] ?: throw UnsoundException(what, "no scale for $dtype", "${scale.size}")
    need(zeroPoint.size == scale.size, what, "${scale.size} zero points", zeroPoint.size)
    need(scale.all { it > 0 && it < Double.POSITIVE_INFINITY }, what, "scales above 0", "another")
    need(zeroPoint.all { it in range }, what, "zero points from ${range.first} to ${range.last}", "another")
    if (scale.size > 1) {
        val axis = found.number("axis")
        need(axis in shape.indices, what, "a dimension of ${shape.size}", axis)
        need(scale.size.toLong() == shape[axis.toInt()], what, "${shape[axis.toInt()]} scales", scale.size)
    }
}

/** Checks an input or output against a description. */
private fun checkDescribed(tensor: FileTensor, described: TensorSpec, quantization: Quantization?, what: String) {
    need(tensor.constant == null, what, "no constant", "one")
    val shape = described.shape.map { it.toLong() }
    need(tensor.shape == shape, "$what, shape", shape, tensor.shape)
    need(tensor.dtype == described.dtype.label, "$what, type", described.dtype.label, tensor.dtype)
    if (quantization != null) {
        val isSame = tensor.scale == listOf(quantization.scale) &&
            tensor.zeroPoint == listOf(quantization.zeroPoint.toLong())
        need(isSame, "$what, scale", "that of model.json", "another")
    }
}

/** Checks each operator, that what it reads is there, and what all of them cost. */
private fun checkOperators(data: ByteArray, model: Record, graph: Record, tensors: List<FileTensor>) {
    val operators = graph.records("operators")
    need(operators.size in 1..MAX_OPERATORS, "operators", "1 to $MAX_OPERATORS", operators.size)
    val input = graph.numbers("inputs")[0]
    val isThere = BooleanArray(tensors.size) { tensors[it].constant != null || it.toLong() == input }
    var isTaken = false
    var work = 0.0
    var elements = 0L
    operators.forEachIndexed { i, operator ->
        val (rule, what) = ruleOf(operator, model.records("codes"), "operator $i")
        need(operator.numbers("mutating").all { it == 0L }, what, "no variables", "one")
        need(operator.numbers("intermediates").isEmpty(), what, "no intermediates", "some")
        val options = operator.record("options")
        val type = operator.number("options_type")
        need(options == null || type == rule.options, what, "its own options", type)
        val read = operator.numbers("inputs").map { index ->
            need(index in -1 until tensors.size, what, "an input of ${tensors.size}", index)
            need(index == -1L || isThere[index.toInt()], what, "an input that is there", index)
            isTaken = isTaken || index == input
            tensors.getOrNull(index.toInt())
        }
        val written = operator.numbers("outputs")
        need(written.size == 1, what, "1 output", written.size)
        need(written[0] in tensors.indices, what, "an output of ${tensors.size}", written[0])
        val output = written[0].toInt()
        need(!isThere[output], what, "an output that is not there", output)
        isThere[output] = true
        work += checkOperator(data, rule, read, tensors[output], options, what)
        elements += tensors[output].elements
        need(elements <= MAX_ELEMENTS, what, "at most $MAX_ELEMENTS values in all", elements)
        need(work <= MAX_WORK, what, "at most $MAX_WORK operations in all", work.toBigDecimal().toPlainString())
    }
    need(isTaken, "inputs", "a tensor that is read", input)
    val output = graph.numbers("outputs")[0]
    need(isThere[output.toInt()], "outputs", "a tensor that is written", output)
}

private fun ruleOf(operator: Record, codes: List<Record>, what: String): Pair<Rule, String> {
    val index = operator.number("code")
    need(index < codes.size, what, "a code of ${codes.size}", index)
    val code = codes[index.toInt()]
    val number = maxOf(code.number("old"), code.number("builtin"))
    val rule = OPERATORS[number] ?: throw UnsoundException(what, "a known operator", "$number")
    need(code.number("version") > 0, what, "a version above 0", code.number("version"))
    return rule to "$what ${rule.name}"
}

/** Returns the product of sizes, which no size of a file makes overflow. */
internal fun product(sizes: List<Long>) = sizes.fold(1.0) { product, size -> product * size }
