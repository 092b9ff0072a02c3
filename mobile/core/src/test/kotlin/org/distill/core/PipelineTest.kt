package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.nio.ByteBuffer

class PipelineTest {
    private var time = 0L
    private val bundle = GoldenFiles.validBundle("float32")
    private val settings = Settings(topK = 2, stages = 1, factor = 1.0)

    /** Answers with given values, and takes 0.42 ms for it. */
    private inner class Answering(
        var values: FloatArray,
        override val input: TensorSpec = bundle.input.tensor,
        override val output: TensorSpec = bundle.output.tensor,
    ) : Engine {
        var received = FloatArray(0)

        override fun run(input: ByteBuffer, output: ByteBuffer) {
            received = input.asFloatBuffer().let { FloatArray(it.remaining(), it::get) }
            for (value in values) output.putFloat(value)
            time += 420_000
        }

        override fun close() = Unit
    }

    private fun pipeline(engine: Engine, of: Bundle = bundle) = Pipeline(of, engine) { time.also { time += 1_000_000 } }

    private fun frame(): Frame {
        val y = ByteBuffer.wrap(byteArrayOf(0, 51, 102, 153.toByte()))
        val chroma = Plane(ByteBuffer.wrap(byteArrayOf(0)), 1, 1)
        return Frame(2, 2, 0, Plane(y, 2, 1), chroma, chroma)
    }

    @Test
    fun aFrameBecomesAResult() {
        val engine = Answering(floatArrayOf(0.25f, 0.25f, 0.5f))
        val pipeline = pipeline(engine)
        val first = pipeline.classify(frame(), settings)
        assertEquals(listOf(Ranked("owl", 0.5f), Ranked("cat", 0.25f)), first.top)
        assertEquals(1.42, first.inferenceMs, 1e-9) // the run, and one tick of the clock
        assertEquals(1.0, first.preprocessingMs, 1e-9)
        assertEquals(0.0, first.framesPerSecond, 0.0)
        assertEquals(Size(2, 2), first.seenSize)
        val colors = first.seen.map { it.toUInt().toString(16) }
        assertEquals(listOf("ff000000", "ff333333", "ff666666", "ff999999"), colors)
        assertEquals(listOf(0f, 0.2f, 0.4f, 0.6f), engine.received.toList())
        assertTrue(pipeline.classify(frame(), settings).framesPerSecond > 0)
    }

    @Test
    fun aDrawingIsNeitherSmoothedNorInverted() {
        val engine = Answering(floatArrayOf(0f, 0f, 1f))
        val pipeline = pipeline(engine)
        val smooth = settings.copy(topK = 1, stages = 3, factor = 0.4)
        val paper = ByteBuffer.wrap(byteArrayOf(-1, -1, -1, -1))
        val chroma = Plane(ByteBuffer.wrap(byteArrayOf(0)), 1, 1)
        val white = Frame(2, 2, 0, Plane(paper, 2, 1), chroma, chroma)
        for (source in listOf(Source.DRAWING, Source.PICTURE)) {
            val result = pipeline.classify(white, smooth, source)
            assertEquals(1f, result.top.single().score, 1e-6f)
            assertEquals(source, result.source)
            assertEquals(0.0, result.framesPerSecond, 0.0)
        }
        pipeline.classify(white, smooth, Source.DRAWING)
        assertEquals(listOf(1f, 1f, 1f, 1f), engine.received.toList())
        assertEquals(0.064f, pipeline.classify(frame(), smooth).top.single().score, 1e-6f)
    }

    @Test
    fun scoresAreSmoothedAndStartAnewWithOtherFilters() {
        val pipeline = pipeline(Answering(floatArrayOf(0f, 0f, 1f)))
        val smooth = settings.copy(topK = 1, stages = 3, factor = 0.4)
        fun score(with: Settings) = pipeline.classify(frame(), with).top.single().score
        assertEquals(0.064f, score(smooth), 1e-6f)
        assertEquals(0.1792f, score(smooth), 1e-6f)
        assertEquals(0.16f, score(smooth.copy(stages = 2)), 1e-6f)
        assertEquals(0.064f, score(smooth), 1e-6f)
        assertEquals(0.1792f, score(smooth.copy(topK = 1, threads = 2)), 1e-6f)
    }

    @Test
    fun everyKIsPossible() {
        val pipeline = pipeline(Answering(floatArrayOf(0.1f, 0.2f, 0.3f)))
        val sizes = listOf(-1, 1, 3, 99).map { pipeline.classify(frame(), settings.copy(topK = it)).top.size }
        assertEquals(listOf(1, 1, 3, 3), sizes)
    }

    @Test
    fun scoresThatAreNoNumbersDoNotReachTheFilter() {
        val engine = Answering(floatArrayOf(0f, Float.NaN, 1f))
        val pipeline = pipeline(engine)
        val error = assertThrows(ScoreException::class.java) { pipeline.classify(frame(), settings) }
        assertEquals("score of class 1: expected a finite number, found NaN", error.message)
        engine.values = floatArrayOf(0f, 0f, 1f)
        assertEquals(Ranked("owl", 1f), pipeline.classify(frame(), settings).top[0])
    }

    @Test
    fun theSelfTestComparesWithTheGoldenOutput() {
        assertNull(pipeline(Answering(floatArrayOf(0f, 0.25009f, 0.75f))).selfTest())
        assertEquals(
            "self-test, output 2: expected 0.75 within 1.0E-4, found 0.5 (2 of 3 differ)",
            pipeline(Answering(floatArrayOf(0f, 0.26f, 0.5f))).selfTest(),
        )
        val nan = pipeline(Answering(floatArrayOf(0f, Float.NaN, 0.75f))).selfTest()
        assertEquals("self-test, output 1: expected 0.25 within 1.0E-4, found NaN (1 of 3 differ)", nan)
    }

    @Test
    fun anEngineWithOtherTensorsIsRefused() {
        val other = Answering(FloatArray(3), output = TensorSpec(listOf(1, 4), DType.FLOAT32))
        val error = assertThrows(BundleException::class.java) { pipeline(other) }
        assertEquals("model's output: expected float32[1, 3] as described, found float32[1, 4]", error.message)
        assertEquals(Fault.TENSOR, error.fault)
        val typed = Answering(FloatArray(3), input = TensorSpec(listOf(1, 2, 2, 1), DType.INT8))
        val message = assertThrows(BundleException::class.java) { pipeline(typed) }.message
        assertEquals("model's input: expected float32[1, 2, 2, 1] as described, found int8[1, 2, 2, 1]", message)
    }

    @Test
    fun integersAreWrittenAndRead() {
        val int8 = GoldenFiles.validBundle("int8")
        val received = ByteArray(4)
        val engine = object : Engine {
            override val input = int8.input.tensor
            override val output = int8.output.tensor

            override fun run(input: ByteBuffer, output: ByteBuffer) {
                input.get(received)
                output.put(byteArrayOf(-128, 0, 127))
            }

            override fun close() = Unit
        }
        val pipeline = pipeline(engine, int8)
        assertNull(pipeline.selfTest())
        val result = pipeline.classify(frame(), settings.copy(topK = 3))
        assertEquals(listOf(-128, -77, -26, 25), received.map { it.toInt() })
        assertEquals(
            listOf(Ranked("owl", 255f / 256), Ranked("dog", 0.5f), Ranked("cat", 0f)),
            result.top,
        )
    }
}
