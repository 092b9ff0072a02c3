package org.distill.core

/** A model and all that is needed to use it, read and checked; see [readBundle]. */
class Bundle(
    val name: String,
    val model: ByteArray,
    val input: InputSpec,
    val output: OutputSpec,
    val labels: List<String>,
    val defaults: Defaults,
    val golden: Golden,
    val provenance: Map<String, String>,
)

/** Type of a tensor's values, and how many bytes one takes. */
enum class DType(val bytes: Int, val steps: IntRange?) {
    FLOAT32(4, null),
    INT8(1, -128..127),
    UINT8(1, 0..255),
    ;

    val label = name.lowercase()
}

enum class Color(val channels: Int) { GRAY(1), RGB(3) }

enum class Polarity { AS_IS, INVERT, AUTO }

/** What is done with an image before it is scaled: nothing, or a digit is found, see [Notice]. */
enum class Normalize { NONE, MNIST }

enum class ScoreKind { PROBABILITIES, LOGITS }

/** `real = (step - zeroPoint) * scale`. */
class Quantization(val scale: Double, val zeroPoint: Int)

/** Shape and type of a tensor, as a bundle declares it or a runtime reports it. */
data class TensorSpec(val shape: List<Int>, val dtype: DType) {
    val size get() = shape.fold(1, Int::times)
    val bytes get() = size * dtype.bytes

    override fun toString() = "${dtype.label}$shape"
}

/** `real = pixel * scale[c] + offset[c]` for pixels from 0 to 255. */
class InputSpec(
    val tensor: TensorSpec,
    val color: Color,
    val scale: DoubleArray,
    val offset: DoubleArray,
    val quantization: Quantization?,
    val polarity: Polarity,
    val normalize: Normalize = Normalize.NONE,
) {
    val rows get() = tensor.shape[1]
    val columns get() = tensor.shape[2]
    val channels get() = tensor.shape[3]
}

/** @param temperature what logarithms of probabilities are divided by, if anything. */
class OutputSpec(
    val tensor: TensorSpec,
    val kind: ScoreKind,
    val quantization: Quantization?,
    val temperature: Double? = null,
)

/** What the settings are until a person changes them. */
data class Defaults(val topK: Int, val stages: Int, val factor: Double)

/** An input, as bytes in little-endian order, and the output that the exporter got for it. */
class Golden(val input: ByteArray, val output: DoubleArray, val tolerance: Double)

/** What can be wrong with a bundle; `key` is the word that all readers share. */
enum class Fault {
    MISSING_FILE,
    SYNTAX,
    FORMAT,
    MISSING_FIELD,
    TYPE,
    VALUE,
    BYTES,
    HASH,
    CONTENT,
    SHAPE,
    LABELS,
    QUANTIZATION,
    GOLDEN,
    TENSOR,
    ;

    val key = name.lowercase()
}

/** A bundle cannot be used. The message is one line: what is wrong, what was expected, what found. */
class BundleException(val fault: Fault, message: String) :
    Exception(shownAs(message))

/** Control characters and escape codes, what breaks lines or turns text around, lone surrogates. */
private val NOT_SHOWN =
    Regex("[\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069\\p{Cs}]")

internal fun canBeShown(text: String) = NOT_SHOWN.find(text) == null

internal fun shownAs(text: String) = NOT_SHOWN.replace(text, " ")

internal fun refuse(fault: Fault, what: String, expected: String, found: String): Nothing =
    throw BundleException(fault, "${what.brief()}: expected ${expected.brief()}, found ${found.brief()}")

private const val SHOWN = 80

internal fun String.brief() = if (length > SHOWN) take(SHOWN) + "…" else this
