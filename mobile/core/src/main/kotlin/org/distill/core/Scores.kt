package org.distill.core

import java.nio.ByteBuffer
import kotlin.math.exp
import kotlin.math.pow

/** Reads the model's output as numbers, as they stand there; steps for integer types. */
internal fun rawScores(output: ByteBuffer, spec: OutputSpec): DoubleArray =
    DoubleArray(spec.tensor.size) {
        when (spec.tensor.dtype) {
            DType.FLOAT32 -> output.getFloat(it * 4).toDouble()
            DType.INT8 -> output.get(it).toDouble()
            DType.UINT8 -> (output.get(it).toInt() and 0xff).toDouble()
        }
    }

/** Returns what integers stand for, computed in float64. */
fun dequantize(step: Double, quantization: Quantization): Float =
    ((step - quantization.zeroPoint) * quantization.scale).toFloat()

/** Returns probabilities. */
fun softmax(logits: FloatArray, temperature: Double = 1.0): FloatArray {
    val highest = logits.max()
    val powers = DoubleArray(logits.size) { exp((logits[it].toDouble() - highest) / temperature) }
    var sum = 0.0
    for (power in powers) sum += power
    return FloatArray(logits.size) { (powers[it] / sum).toFloat() }
}

/** Returns probabilities whose logarithms are divided by a temperature; none counts as less than 1/1024. */
fun temper(probabilities: FloatArray, temperature: Double): FloatArray {
    val powers = DoubleArray(probabilities.size) { maxOf(probabilities[it].toDouble(), LEAST).pow(1 / temperature) }
    var sum = 0.0
    for (power in powers) sum += power
    return FloatArray(probabilities.size) { (powers[it] / sum).toFloat() }
}

private const val LEAST = 1.0 / 1024

/** A score is no number. The message is one line: what was expected, what was found. */
class ScoreException(message: String) : Exception(message)

/** Refuses scores that would stay in a filter for ever. */
fun checkScores(scores: FloatArray) {
    val bad = scores.indices.firstOrNull { !scores[it].isFinite() } ?: return
    throw ScoreException("score of class $bad: expected a finite number, found ${scores[bad]}")
}

/** Returns probabilities for the output of a model. Throws [ScoreException] for one not finite. */
internal fun probabilities(raw: DoubleArray, spec: OutputSpec): FloatArray {
    val quantization = spec.quantization
    val scores = FloatArray(raw.size) {
        if (quantization == null) raw[it].toFloat() else dequantize(raw[it], quantization)
    }
    checkScores(scores)
    if (spec.kind == ScoreKind.LOGITS) return softmax(scores, spec.temperature ?: 1.0)
    return spec.temperature?.let { temper(scores, it) } ?: scores
}

/**
 * The low-pass filter of the thesis (chapter 3, listing 3), in float32.
 *
 * Each stage follows the one before it, which has already followed in this frame. What is shown is
 * the last stage. The state starts at zero: with the defaults, a step of height 1 is shown as 0.064, 0.179, 0.317, …
 * Without a stage nothing is smoothed.
 */
class LowPass(val stages: Int, val factor: Double, classes: Int) {
    private val state = Array(stages) { FloatArray(classes) }

    /** Takes the scores of a frame and returns the last stage, which the next call changes. */
    fun update(scores: FloatArray): FloatArray {
        var before = scores
        for (stage in state) {
            for (i in stage.indices) stage[i] += factor.toFloat() * (before[i] - stage[i])
            before = stage
        }
        return before
    }
}

/** Returns the classes of the highest scores, the lower class first where scores are equal. */
fun topK(scores: FloatArray, k: Int): List<Int> {
    // Not compareByDescending, which takes 0.0 for more than -0.0.
    val order = scores.indices.sortedWith { a, b ->
        if (scores[a] > scores[b]) -1 else if (scores[a] < scores[b]) 1 else 0
    }
    return order.take(k.coerceIn(1, scores.size))
}
