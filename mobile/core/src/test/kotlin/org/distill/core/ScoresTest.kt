package org.distill.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class ScoresTest {
    private val golden = GoldenFiles.json("scores.json")

    private fun cases(name: String) = (golden[name] as List<*>).map { it as Map<*, *> }

    @Test
    fun fiftyFramesThroughTheFilterGiveTheBitsOfTheReference() {
        for (case in cases("filter")) {
            val scores = GoldenFiles.floats(case["scores"])
            val expected = GoldenFiles.floats(case["filtered"])
            val classes = scores.size / 50
            val filter = LowPass((case["stages"] as Long).toInt(), case["factor"] as Double, classes)
            for (frame in 0 until 50) {
                val shown = filter.update(scores.copyOfRange(frame * classes, (frame + 1) * classes))
                val row = expected.copyOfRange(frame * classes, (frame + 1) * classes)
                assertArrayEquals("$case, frame $frame", row, shown, 0f)
            }
        }
    }

    @Test
    fun aStepIsShownAsInTheThesis() {
        val filter = LowPass(3, 0.4, 1)
        val shown = List(16) { filter.update(floatArrayOf(1f))[0] }
        val expected = floatArrayOf(0.064f, 0.1792f, 0.31744f, 0.45568f, 0.580096f, 0.684605f)
        assertArrayEquals(expected, shown.take(6).toFloatArray(), 1e-6f)
        assertEquals(10, shown.indexOfFirst { it >= 0.9f } + 1)
    }

    @Test
    fun withoutStagesNothingIsSmoothed() {
        val scores = floatArrayOf(0.25f, 0.75f)
        assertArrayEquals(scores, LowPass(0, 0.4, 2).update(scores), 0f)
    }

    @Test
    fun topKOfTies() {
        for (case in cases("top_k")) {
            val scores = (case["scores"] as List<*>).map { (it as Number).toFloat() }.toFloatArray()
            val expected = (case["classes"] as List<*>).map { (it as Long).toInt() }
            assertEquals("$case", expected, topK(scores, (case["k"] as Long).toInt()))
        }
        assertEquals(listOf(0, 1), topK(floatArrayOf(-0f, 0f), 2))
    }

    @Test
    fun softmaxIsThatOfTheReference() {
        val softmax = golden["softmax"] as Map<*, *>
        val tolerance = (softmax["tolerance"] as Double).toFloat()
        for (case in (softmax["cases"] as List<*>).map { it as Map<*, *> }) {
            val logits = (case["logits"] as List<*>).map { (it as Double).toFloat() }.toFloatArray()
            assertArrayEquals(GoldenFiles.floats(case["probabilities"]), softmax(logits), tolerance)
        }
    }

    @Test
    fun temperatureIsThatOfTheReference() {
        val temper = golden["temper"] as Map<*, *>
        for (case in (temper["cases"] as List<*>).map { it as Map<*, *> }) {
            val scores = (case["scores"] as List<*>).map { it as Double }.toDoubleArray()
            val kind = ScoreKind.valueOf((case["kind"] as String).uppercase())
            val tensor = TensorSpec(listOf(1, scores.size), DType.FLOAT32)
            val output = OutputSpec(tensor, kind, null, case["temperature"] as Double)
            val expected = GoldenFiles.floats(case["probabilities"])
            assertArrayEquals("$case", expected, probabilities(scores, output), 1e-6f)
        }
    }

    @Test
    fun stepsStandForWhatTheReferenceSays() {
        val case = golden["dequantize"] as Map<*, *>
        val fields = case["quantization"] as Map<*, *>
        val quantization = Quantization(fields["scale"] as Double, (fields["zero_point"] as Long).toInt())
        val found = (case["values"] as List<*>).map { dequantize((it as Long).toDouble(), quantization) }
        assertArrayEquals(GoldenFiles.floats(case["real"]), found.toFloatArray(), 0f)
    }

    @Test
    fun scoresThatAreNoNumbersAreRefused() {
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            val error = assertThrows(ScoreException::class.java) { checkScores(floatArrayOf(0.5f, bad)) }
            assertEquals("score of class 1: expected a finite number, found $bad", error.message)
        }
    }
}
