package org.distill.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import java.util.Base64

const val DESCRIPTION = "model.json"
private const val FORMAT = "distill-bundle"
private const val MAJOR = 1
private const val MAX_SIZE = 65535L
private const val MAX_ELEMENTS = 1 shl 22
private const val MAX_BYTES = 1 shl 25
private val DIGIT = listOf(1L, 28L, 28L, 1L)
private val HASH = Regex("[0-9a-f]{64}")
private val FILE = Regex("[A-Za-z0-9_][A-Za-z0-9_.-]*")

/**
 * Reads a bundle and checks everything that can be checked without running the model.
 *
 * @param files gives the content of a file of the bundle, or null where there is none.
 * @throws BundleException the bundle cannot be used; nothing else is thrown, whatever the bytes.
 */
fun readBundle(files: (String) -> ByteArray?): Bundle {
    val text = files(DESCRIPTION) ?: refuse(Fault.MISSING_FILE, DESCRIPTION, "a file $DESCRIPTION", "none")
    if (text.size > MAX_BYTES) refuse(Fault.SYNTAX, DESCRIPTION, "at most $MAX_BYTES bytes", "${text.size}")
    val root = try {
        Fields.of("", parseJson(text))
    } catch (error: JsonException) {
        throw BundleException(Fault.SYNTAX, "$DESCRIPTION: ${error.message}")
    }
    checkFormat(root.string("format"))
    val name = root.text("name")
    val labels = root.texts("labels")
    val input = readInput(root.fields("input"))
    val output = readOutput(root.fields("output"))
    if (labels.size != output.tensor.size) {
        refuse(Fault.LABELS, "labels", "${output.tensor.size}, one for each output", "${labels.size}")
    }
    return Bundle(
        name = name,
        input = input,
        output = output,
        labels = labels,
        defaults = readDefaults(root.fields("defaults")),
        golden = readGolden(root.fields("golden"), input.tensor, output.tensor),
        provenance = readProvenance(root.fields("provenance")),
        model = readModel(root.fields("model"), files, input, output),
    )
}

private fun readProvenance(provenance: Fields): Map<String, String> {
    for (name in listOf("exporter", "config_hash", "commit", "dataset", "model")) provenance.text(name)
    val count = provenance.integer("num_params")
    if (count < 1) refuse(Fault.VALUE, provenance.pathTo("num_params"), "1 or more", "$count")
    for (name in listOf("accuracy", "accuracy_flax")) {
        val rate = provenance.number(name)
        if (rate !in 0.0..1.0) refuse(Fault.VALUE, provenance.pathTo(name), "0 to 1", "$rate")
    }
    return provenance.shown()
}

private fun checkFormat(format: String) {
    val major = format.removePrefix("$FORMAT/").takeIf { it != format }?.toIntOrNull()
    if (major != MAJOR) {
        val advice = if (major != null && major > MAJOR) "; a newer reader is needed" else ""
        refuse(Fault.FORMAT, "format", "$FORMAT/$MAJOR", format + advice)
    }
}

private fun readModel(
    model: Fields,
    files: (String) -> ByteArray?,
    input: InputSpec,
    output: OutputSpec,
): ByteArray {
    val file = model.string("file")
    if (!FILE.matches(file)) {
        refuse(Fault.VALUE, model.pathTo("file"), "the name of a file in the same directory", file)
    }
    val hash = model.string("sha256")
    if (!HASH.matches(hash)) {
        refuse(Fault.VALUE, model.pathTo("sha256"), "64 hexadecimal digits in lower case", hash)
    }
    val size = model.integer("bytes")
    val bytes = files(file) ?: refuse(Fault.MISSING_FILE, model.pathTo("file"), "a file $file", "none")
    if (bytes.size.toLong() != size) refuse(Fault.BYTES, file, "$size bytes", "${bytes.size}")
    val digest = MessageDigest.getInstance("SHA-256").digest(bytes)
    val found = digest.joinToString("") { (it.toInt() and 0xff).toString(16).padStart(2, '0') }
    if (found != hash) refuse(Fault.HASH, file, "sha256 $hash", found)
    val identifier = String(bytes.copyOfRange(minOf(4, bytes.size), minOf(8, bytes.size)), Charsets.ISO_8859_1)
    if (identifier != "TFL3") {
        refuse(Fault.CONTENT, file, "a TFLite model, with TFL3 at its fifth byte", showJson(identifier))
    }
    try {
        checkSound(bytes, input, output)
    } catch (error: UnsoundException) {
        refuse(Fault.CONTENT, "$file is no sound model: ${error.what}", error.expected, error.found)
    }
    return bytes
}

private fun readInput(input: Fields): InputSpec {
    val color = input.choice<Color>("color")
    val dtype = input.choice<DType>("dtype")
    input.constant("layout", "NHWC")
    val crop = input.string("crop")
    if (crop != "center_square" && crop != "center") input.only("crop", crop, "center_square", "center")
    input.constant("resize", "area")
    val shape = input.integers("shape")
    if (shape.size != 4 || shape[0] != 1L || shape.any { it !in 1..MAX_SIZE } || shape[3] != color.channels.toLong()) {
        val expected = "4 sizes, [1, rows, columns, ${color.channels}] for ${color.name.lowercase()}"
        refuse(Fault.SHAPE, input.pathTo("shape"), expected, "$shape")
    }
    val polarity = input.choice<Polarity>("polarity")
    if (polarity == Polarity.AUTO && color != Color.GRAY) input.only("polarity", "auto", "as_is", "invert")
    val normalize = if (input.has("normalize")) input.choice<Normalize>("normalize") else Normalize.NONE
    if (normalize == Normalize.MNIST && shape != DIGIT) {
        refuse(Fault.SHAPE, input.pathTo("shape"), "$DIGIT for normalize mnist", "$shape")
    }
    return InputSpec(
        tensor = TensorSpec(sizes(input, shape), dtype),
        color = color,
        scale = channels(input, "scale", color),
        offset = channels(input, "offset", color),
        quantization = readQuantization(input, dtype),
        polarity = polarity,
        normalize = normalize,
    )
}

private fun channels(input: Fields, name: String, color: Color): DoubleArray {
    val values = input.numbers(name)
    if (values.size != color.channels) {
        refuse(Fault.SHAPE, input.pathTo(name), "${color.channels}, one for each channel", "${values.size}")
    }
    return values.toDoubleArray()
}

private fun sizes(at: Fields, shape: List<Long>): List<Int> {
    val elements = shape.fold(1.0) { product, size -> product * size }
    if (elements > MAX_ELEMENTS) {
        refuse(Fault.SHAPE, at.pathTo("shape"), "at most $MAX_ELEMENTS values", "$shape")
    }
    return shape.map { it.toInt() }
}

private fun readOutput(output: Fields): OutputSpec {
    val dtype = output.choice<DType>("dtype")
    val shape = output.integers("shape")
    if (shape.size != 2 || shape[0] != 1L || shape[1] !in 1..MAX_SIZE) {
        refuse(Fault.SHAPE, output.pathTo("shape"), "2 sizes, [1, classes]", "$shape")
    }
    val tensor = TensorSpec(sizes(output, shape), dtype)
    return OutputSpec(
        tensor,
        output.choice<ScoreKind>("kind"),
        readQuantization(output, dtype),
        if (output.has("temperature")) readTemperature(output) else null,
    )
}

private fun readTemperature(output: Fields): Double {
    val temperature = output.number("temperature")
    if (temperature <= 0) refuse(Fault.VALUE, output.pathTo("temperature"), "more than 0", "$temperature")
    return temperature
}

private fun readQuantization(tensor: Fields, dtype: DType): Quantization? {
    val path = tensor.pathTo("quantization")
    val steps = dtype.steps
    if (steps == null) {
        if (tensor.isNull("quantization")) return null
        val found = tensor.fields("quantization").shown()
        refuse(Fault.QUANTIZATION, path, "null for ${dtype.label}", "$found")
    }
    if (tensor.isNull("quantization")) {
        refuse(Fault.QUANTIZATION, path, "scale and zero_point for ${dtype.label}", "null")
    }
    val fields = tensor.fields("quantization")
    val scale = fields.number("scale")
    val zeroPoint = fields.integer("zero_point")
    if (scale <= 0) refuse(Fault.QUANTIZATION, fields.pathTo("scale"), "more than 0", "$scale")
    if (zeroPoint < steps.first || zeroPoint > steps.last) {
        refuse(Fault.QUANTIZATION, fields.pathTo("zero_point"), "${steps.first} to ${steps.last}", "$zeroPoint")
    }
    return Quantization(scale, zeroPoint.toInt())
}

private fun readDefaults(defaults: Fields): Defaults {
    val topK = defaults.integer("top_k")
    val filter = defaults.fields("filter")
    val stages = filter.integer("stages")
    val factor = filter.number("factor")
    if (topK < 1) refuse(Fault.VALUE, defaults.pathTo("top_k"), "1 or more", "$topK")
    if (stages !in 0..Settings.MAX_STAGES) {
        refuse(Fault.VALUE, filter.pathTo("stages"), "0 to ${Settings.MAX_STAGES}", "$stages")
    }
    if (!(factor > 0 && factor <= 1)) refuse(Fault.VALUE, filter.pathTo("factor"), "more than 0, at most 1", "$factor")
    return Defaults(minOf(topK, MAX_SIZE).toInt(), stages.toInt(), factor)
}

private fun readGolden(golden: Fields, input: TensorSpec, output: TensorSpec): Golden {
    val encoded = golden.string("input")
    val bytes = try {
        Base64.getDecoder().decode(encoded)
    } catch (_: IllegalArgumentException) {
        refuse(Fault.GOLDEN, golden.pathTo("input"), "base64", encoded)
    }
    if (bytes.size != input.bytes) {
        refuse(Fault.GOLDEN, golden.pathTo("input"), "${input.bytes} bytes for $input", "${bytes.size}")
    }
    if (input.dtype == DType.FLOAT32) {
        val floats = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        val bad = (0 until floats.limit()).firstOrNull { !floats[it].isFinite() }
        if (bad != null) refuse(Fault.GOLDEN, golden.pathTo("input"), "finite numbers", "${floats[bad]} at $bad")
    }
    val values = golden.numbers("output")
    if (values.size != output.size) {
        refuse(Fault.GOLDEN, golden.pathTo("output"), "${output.size} values for $output", "${values.size}")
    }
    output.dtype.steps?.let { steps ->
        val bad = values.firstOrNull { it < steps.first || it > steps.last || it != Math.rint(it) }
        if (bad != null) {
            refuse(Fault.GOLDEN, golden.pathTo("output"), "integers from ${steps.first} to ${steps.last}", "$bad")
        }
    }
    val tolerance = golden.number("tolerance")
    if (tolerance < 0) refuse(Fault.GOLDEN, golden.pathTo("tolerance"), "0 or more", "$tolerance")
    return Golden(bytes, values.toDoubleArray(), tolerance)
}
