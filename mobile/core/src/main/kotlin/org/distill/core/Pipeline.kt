package org.distill.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** A runtime with a model. Used and closed by one thread. */
interface Engine : AutoCloseable {
    val input: TensorSpec
    val output: TensorSpec

    /**
     * Runs the model once. Both buffers are direct, start at 0 and hold exactly a tensor.
     *
     * @throws BundleException the runtime refuses the model.
     */
    fun run(input: ByteBuffer, output: ByteBuffer)
}

/** Where frames come from. */
interface FrameSource {
    /** Opens the camera; both functions are called on the source's own thread. */
    fun start(onFrame: (Frame) -> Unit, onLost: (String) -> Unit)

    /** Closes the camera, without waiting for it; the frame that is under way is the last. */
    fun stop()
}

/** A label and its smoothed score. */
data class Ranked(val label: String, val score: Float)

/**
 * All that is shown for a frame. `seen` holds what the model saw as ARGB, row by row.
 *
 * Where `notice` is `BLANK`, nothing was classified and `top` is empty. `sure` says whether the best
 * score is as high as the settings ask for, of an image that is not cut off.
 */
class FrameResult(
    val source: Source,
    val top: List<Ranked>,
    val notice: Notice,
    val sure: Boolean,
    val inferenceMs: Double,
    val medianMs: Double,
    val p90Ms: Double,
    val preprocessingMs: Double,
    val framesPerSecond: Double,
    val inverted: Boolean,
    val seen: IntArray,
    val seenSize: Size,
)

/**
 * From frames to results, with one model. A change of the model is a new pipeline, so the filter
 * starts anew. Used by one thread.
 *
 * @param clock time in ns that never goes back.
 * @throws BundleException the engine's tensors are not those of the bundle.
 */
class Pipeline(private val bundle: Bundle, private val engine: Engine, private val clock: () -> Long) {
    private val preprocessor = Preprocessor(bundle.input)
    private val output = ByteBuffer.allocateDirect(bundle.output.tensor.bytes).order(ByteOrder.nativeOrder())
    private val inference = Latency()
    private val rate = FrameRate()
    private var filter = LowPass(bundle.defaults.stages, bundle.defaults.factor, bundle.labels.size)

    init {
        checkTensor("input", bundle.input.tensor, engine.input)
        checkTensor("output", bundle.output.tensor, engine.output)
    }

    /** Runs the golden input; returns null if the output is the golden one, else what differs. */
    fun selfTest(): String? {
        val golden = bundle.golden
        val input = preprocessor.tensor
        input.moveTo(0)
        if (bundle.input.tensor.dtype == DType.FLOAT32) {
            val floats = ByteBuffer.wrap(golden.input).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            while (floats.hasRemaining()) input.putFloat(floats.get())
        } else {
            input.put(golden.input)
        }
        run()
        val found = rawScores(output, bundle.output)
        // Not "more than": NaN is as far from everything as can be.
        val bad = found.indices.filterNot { abs(found[it] - golden.output[it]) <= golden.tolerance }
        val worst = bad.maxByOrNull { abs(found[it] - golden.output[it]) } ?: return null
        return "self-test, output $worst: expected ${golden.output[worst]} within ${golden.tolerance}, " +
            "found ${found[worst]} (${bad.size} of ${found.size} differ)"
    }

    /**
     * Classifies a frame.
     *
     * Only the camera's are a sequence, whose scores are smoothed. A drawing is light on dark for certain.
     *
     * @throws FrameException the frame cannot be read.
     * @throws ScoreException the model returned what is no score; the filter is as it was.
     */
    fun classify(frame: Frame, settings: Settings, source: Source = Source.CAMERA): FrameResult {
        val wanted = settings.clamped(bundle.labels.size)
        if (wanted.stages != filter.stages || wanted.factor != filter.factor) {
            filter = LowPass(wanted.stages, wanted.factor, bundle.labels.size)
        }
        val start = clock()
        preprocessor.read(frame, if (source == Source.DRAWING) Polarity.AS_IS else bundle.input.polarity)
        val preprocessed = clock()
        val notice = preprocessor.notice
        var inferenceNanos = 0L
        var top = emptyList<Ranked>()
        if (notice == Notice.BLANK) {
            filter = LowPass(wanted.stages, wanted.factor, bundle.labels.size) // what was there is gone
        } else {
            inferenceNanos = run()
            val found = probabilities(rawScores(output, bundle.output), bundle.output)
            val scores = if (source == Source.CAMERA) filter.update(found) else found
            inference.add(inferenceNanos)
            top = topK(scores, wanted.topK).map { Ranked(bundle.labels[it], scores[it]) }
        }
        return FrameResult(
            source = source,
            top = top,
            notice = notice,
            sure = notice != Notice.CUT && top.isNotEmpty() && top[0].score >= wanted.sureFrom,
            inferenceMs = millis(inferenceNanos),
            medianMs = inference.medianMs(),
            p90Ms = inference.p90Ms(),
            preprocessingMs = millis(preprocessed - start),
            framesPerSecond = if (source == Source.CAMERA) rate.add(start) else 0.0,
            inverted = preprocessor.inverted,
            seen = seen(),
            seenSize = Size(bundle.input.columns, bundle.input.rows),
        )
    }

    /** Runs the model and returns how long that alone took, in ns. */
    private fun run(): Long {
        preprocessor.tensor.moveTo(0)
        output.moveTo(0)
        val start = clock()
        engine.run(preprocessor.tensor, output)
        return clock() - start
    }

    private fun seen(): IntArray {
        val channels = bundle.input.channels
        return IntArray(bundle.input.rows * bundle.input.columns) {
            val red = byteAt(it * channels)
            val green = if (channels == 3) byteAt(it * channels + 1) else red
            val blue = if (channels == 3) byteAt(it * channels + 2) else red
            (0xff shl 24) or (red shl 16) or (green shl 8) or blue
        }
    }

    private fun byteAt(index: Int) = Math.rint(preprocessor.pixels[index]).toInt()

    private fun checkTensor(what: String, expected: TensorSpec, found: TensorSpec) {
        if (expected != found) refuse(Fault.TENSOR, "model's $what", "$expected as described", "$found")
    }
}
