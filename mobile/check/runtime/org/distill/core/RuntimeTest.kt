package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** The bundles that the app ships, through its own code into a real runtime. */
class RuntimeTest {
    private val directories = File(System.getProperty("assets")).listFiles().orEmpty().filter { it.isDirectory }

    private fun forEachBundle(action: (Bundle, Engine) -> Unit) {
        assertTrue("no bundles", directories.isNotEmpty())
        for (directory in directories) {
            val bundle = readBundle { directory.resolve(it).takeIf(File::isFile)?.readBytes() }
            JvmEngine(bundle.model).use { action(bundle, it) }
        }
    }

    private fun frame(stored: Map<*, *>): Frame {
        val planes = (stored["planes"] as List<*>).map {
            it as Map<*, *>
            Plane(GoldenFiles.bytes(it["data"]), int(it, "row_stride"), int(it, "pixel_stride"))
        }
        return Frame(int(stored, "width"), int(stored, "height"), 0, planes[0], planes[1], planes[2])
    }

    private fun int(map: Map<*, *>, name: String) = (map[name] as Long).toInt()

    @Test
    fun everyBundleComputesHereWhatItComputedWhereItWasExported() = forEachBundle { bundle, engine ->
        assertNull(bundle.name, Pipeline(bundle, engine, System::nanoTime).selfTest())
    }

    @Test
    fun anAlteredGoldenOutputIsNoticed() = forEachBundle { bundle, engine ->
        val output = bundle.golden.output.copyOf()
        output[0] += bundle.golden.tolerance * 2 + if (engine.output.dtype == DType.FLOAT32) 0.1 else 2.0
        val golden = Golden(bundle.golden.input, output, bundle.golden.tolerance)
        val altered = with(bundle) { Bundle(name, model, input, this.output, labels, defaults, golden, provenance) }
        val difference = Pipeline(altered, engine, System::nanoTime).selfTest().orEmpty()
        assertTrue(difference, difference.startsWith("self-test, output 0: expected "))
    }

    @Test
    fun framesOfEverySizeGiveProbabilities() = forEachBundle { bundle, engine ->
        val pipeline = Pipeline(bundle, engine, System::nanoTime)
        val settings = Settings(topK = bundle.labels.size, stages = 1, factor = 1.0)
        for (stored in GoldenFiles.json("frames.json")["frames"] as List<*>) {
            val result = pipeline.classify(frame(stored as Map<*, *>), settings)
            // Each of the int8 scores may be half a step of 1/256 away.
            assertEquals(bundle.name, 1.0, result.top.sumOf { it.score.toDouble() }, 0.5 / 256 * bundle.labels.size)
            assertTrue(result.inferenceMs > 0)
        }
    }

    /** Strokes and photographs: every condition has as many right as the golden files ask for. */
    @Test
    fun digitsAreRecognisedInEveryCondition() = forEachBundle { bundle, engine ->
        if (bundle.input.normalize != Normalize.MNIST) return@forEachBundle
        val settings = Settings(topK = 1, stages = 0, factor = 1.0)
        for (condition in GoldenFiles.json("digits.json")["conditions"] as List<*>) {
            condition as Map<*, *>
            val polarity = Polarity.valueOf((condition["polarity"] as String).uppercase())
            val own = with(bundle.input) { InputSpec(tensor, color, scale, offset, quantization, polarity, normalize) }
            val seen = with(bundle) { Bundle(name, model, own, output, labels, defaults, golden, provenance) }
            val pipeline = Pipeline(seen, engine, System::nanoTime)
            val labels = condition["labels"] as List<*>
            val right = GoldenFiles.frames(condition["images"]).zip(labels).count { (frame, label) ->
                pipeline.classify(frame, settings).top.firstOrNull()?.label == "$label"
            }
            assertTrue("${condition["name"]}: $right", right >= (condition["floor"] as Double) * labels.size)
        }
    }

    @Test
    fun whatIsNoDigitIsNotAnswered() = forEachBundle { bundle, engine ->
        if (bundle.input.normalize != Normalize.MNIST) return@forEachBundle
        val pipeline = Pipeline(bundle, engine, System::nanoTime)
        for (oddity in GoldenFiles.json("digits.json")["oddities"] as List<*>) {
            oddity as Map<*, *>
            val result = pipeline.classify(GoldenFiles.frame(oddity["image"]), Settings(3, 0, 1.0, sureFrom = 0.0))
            val notice = Notice.valueOf((oddity["notice"] as String).ifEmpty { "none" }.uppercase())
            assertEquals(notice, result.notice)
            assertEquals(notice == Notice.BLANK, result.top.isEmpty())
            assertEquals(notice == Notice.NONE || notice == Notice.SEVERAL, result.sure)
        }
    }

    /** The golden image, printed four times as large, photographed in every rotation. */
    @Test
    fun theGoldenImageIsRecognisedByTheCamera() = forEachBundle { bundle, engine ->
        val expected = probabilities(bundle.golden.output, bundle.output)
        val settings = Settings(topK = 1, stages = 0, factor = 1.0)
        for (rotation in listOf(0, 90, 180, 270)) {
            val result = Pipeline(bundle, engine, System::nanoTime).classify(photograph(bundle, rotation), settings)
            val place = "${bundle.name}, rotated by $rotation"
            assertEquals(place, bundle.labels[topK(expected, 1).single()], result.top.single().label)
            assertEquals(place, bundle.input.polarity != Polarity.AS_IS, result.inverted)
            // The colours of a frame are rounded; its brightness is not.
            val tolerance = if (bundle.input.color == Color.GRAY) 0.01f else 0.3f
            if (bundle.input.normalize == Normalize.NONE) {
                assertEquals(place, expected.max(), result.top.single().score, tolerance)
            }
        }
    }

    /** Returns a frame that shows the golden image, as ink on paper where readers invert that. */
    private fun photograph(bundle: Bundle, rotation: Int): Frame {
        val image = goldenPixels(bundle)
        val (rows, columns) = bundle.input.rows to bundle.input.columns
        val paper = if (bundle.input.polarity == Polarity.AS_IS) 0.0 else 255.0
        val (upHeight, upWidth) = rows * ZOOM to columns * ZOOM + 2 * MARGIN
        val upright = { y: Int, x: Int, channel: Int ->
            val column = Math.floorDiv(x - MARGIN, ZOOM)
            if (column !in 0 until columns) paper else abs(paper - image(y / ZOOM, column, channel))
        }
        val turned = isTurned(rotation)
        val (height, width) = if (turned) upWidth to upHeight else upHeight to upWidth
        val stored = { y: Int, x: Int, channel: Int ->
            when (rotation) {
                0 -> upright(y, x, channel)
                90 -> upright(x, height - 1 - y, channel)
                180 -> upright(height - 1 - y, width - 1 - x, channel)
                else -> upright(width - 1 - x, y, channel)
            }
        }
        val luma = plane(width, height, 1) { y, x ->
            0.299 * stored(y, x, 0) + 0.587 * stored(y, x, 1) + 0.114 * stored(y, x, 2)
        }
        fun chroma(channel: Int, range: Double) = plane(width / 2, height / 2, 2) { y, x ->
            val (red, green, blue) = List(3) { stored(y * 2, x * 2, it) }
            128 + (stored(y * 2, x * 2, channel) - (0.299 * red + 0.587 * green + 0.114 * blue)) / range
        }
        return Frame(width, height, rotation, luma, chroma(2, 1.772), chroma(0, 1.402))
    }

    private fun goldenPixels(bundle: Bundle): (Int, Int, Int) -> Double {
        val (input, bytes) = bundle.input to ByteBuffer.wrap(bundle.golden.input).order(ByteOrder.LITTLE_ENDIAN)
        return { row, column, channel ->
            val own = minOf(channel, input.channels - 1)
            val at = (row * input.columns + column) * input.channels + own
            val real = when (input.tensor.dtype) {
                DType.FLOAT32 -> bytes.getFloat(at * 4)
                DType.INT8 -> dequantize(bytes.get(at).toDouble(), input.quantization!!)
                DType.UINT8 -> dequantize((bytes.get(at).toInt() and 0xff).toDouble(), input.quantization!!)
            }
            Math.rint((real - input.offset[own]) / input.scale[own])
        }
    }

    private fun plane(width: Int, height: Int, pixelStride: Int, value: (Int, Int) -> Double): Plane {
        val rowStride = width * pixelStride + 13
        val data = ByteBuffer.allocateDirect(rowStride * height)
        for (y in 0 until height) {
            for (x in 0 until width) data.put(y * rowStride + x * pixelStride, Math.rint(value(y, x)).toInt().toByte())
        }
        return Plane(data, rowStride, pixelStride)
    }

    @Test
    fun theInputIsReadInItsFullLength() = forEachBundle { bundle, engine ->
        assertEquals(bundle.input.tensor, engine.input)
        assertEquals(bundle.output.tensor, engine.output)
        val output = ByteBuffer.allocateDirect(engine.output.bytes)
        engine.run(ByteBuffer.allocateDirect(engine.input.bytes), output)
    }

    private companion object {
        const val ZOOM = 4
        const val MARGIN = 10
    }
}
