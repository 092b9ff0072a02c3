package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File
import java.nio.ByteBuffer

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
        val rotation = if ("rotation" in stored) int(stored, "rotation") else 0
        return Frame(int(stored, "width"), int(stored, "height"), rotation, planes[0], planes[1], planes[2])
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

    @Test
    fun digitsInkedOnPaperAreReadInEveryRotation() = forEachBundle { bundle, engine ->
        if (bundle.provenance["dataset"].orEmpty().startsWith("mnist")) {
            val settings = Settings(topK = 1, stages = 1, factor = 1.0)
            for (stored in GoldenFiles.json("digits.json")["frames"] as List<*>) {
                stored as Map<*, *>
                val result = Pipeline(bundle, engine, System::nanoTime).classify(frame(stored), settings)
                assertTrue("${bundle.name}: not inverted", result.inverted)
                val place = "${bundle.name}, rotated by ${stored["rotation"]}"
                assertEquals(place, stored["label"], result.top.single().label)
            }
        }
    }

    @Test
    fun theInputIsReadInItsFullLength() = forEachBundle { bundle, engine ->
        assertEquals(bundle.input.tensor, engine.input)
        assertEquals(bundle.output.tensor, engine.output)
        val output = ByteBuffer.allocateDirect(engine.output.bytes)
        engine.run(ByteBuffer.allocateDirect(engine.input.bytes), output)
    }
}
