package org.distill.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.nio.ByteBuffer
import java.nio.ByteOrder

class PreprocessorTest {
    private val gray = input("gray", 2, 2)

    private fun input(color: String, rows: Long, columns: Long, polarity: String = "as_is"): InputSpec {
        val channels = if (color == "gray") 1 else 3
        return GoldenFiles.inputSpec(
            mapOf(
                "shape" to listOf(1L, rows, columns, channels.toLong()),
                "dtype" to "float32",
                "color" to color,
                "scale" to List(channels) { 1.0 },
                "offset" to List(channels) { 0.0 },
                "polarity" to polarity,
            ),
        )
    }

    private fun plane(vararg bytes: Int, rowStride: Int, pixelStride: Int = 1) =
        Plane(ByteBuffer.wrap(ByteArray(bytes.size) { bytes[it].toByte() }), rowStride, pixelStride)

    private fun frame(width: Int, height: Int, y: Plane, rotation: Int = 0): Frame {
        val neutral = plane(*IntArray(9) { 128 }, rowStride = maxOf(width, 1))
        return Frame(width, height, rotation, y, neutral, neutral)
    }

    @Test
    fun framesGiveTheTensorsOfTheReferenceToTheBit() {
        val golden = GoldenFiles.json("frames.json")
        val frames = golden["frames"] as List<*>
        val inputs = (golden["inputs"] as List<*>).map { Preprocessor(GoldenFiles.inputSpec(it)) }
        val cases = golden["cases"] as List<*>
        for (case in cases.map { it as Map<*, *> }) {
            val preprocessor = inputs[(case["input"] as Long).toInt()]
            val stored = frames[(case["frame"] as Long).toInt()] as Map<*, *>
            val planes = (stored["planes"] as List<*>).map {
                it as Map<*, *>
                val strides = listOf("row_stride", "pixel_stride").map { name -> (it[name] as Long).toInt() }
                Plane(GoldenFiles.bytes(it["data"]), strides[0], strides[1])
            }
            val (width, height) = listOf("width", "height").map { (stored[it] as Long).toInt() }
            val rotation = (case["rotation"] as Long).toInt()
            preprocessor.read(Frame(width, height, rotation, planes[0], planes[1], planes[2]))
            assertIsGolden(case, preprocessor)
        }
        assertTrue(cases.size >= 64)
    }

    private fun assertIsGolden(case: Map<*, *>, preprocessor: Preprocessor) {
        val expected = GoldenFiles.bytes(case["tensor"])
        val found = ByteBuffer.allocate(expected.limit()).order(ByteOrder.LITTLE_ENDIAN)
        if ((case["tensor"] as Map<*, *>)["dtype"] == "float32") {
            while (found.hasRemaining()) found.putFloat(preprocessor.tensor.getFloat())
        } else {
            found.put(preprocessor.tensor)
        }
        assertArrayEquals("$case", expected.array(), found.array())
        assertEquals("$case", case["inverted"], preprocessor.inverted)
        assertEquals("$case", case["notice"], preprocessor.notice.name.lowercase().replace("none", ""))
    }

    private fun digits(input: Any?, polarity: Any?) = Preprocessor(
        GoldenFiles.inputSpec((input as Map<*, *>) + ("polarity" to polarity)),
    )

    @Test
    fun digitsAreFoundAsInTheReferenceToTheBit() {
        val golden = GoldenFiles.json("digits.json")
        for (condition in (golden["conditions"] as List<*>).map { it as Map<*, *> }) {
            val preprocessor = digits(golden["input"], condition["polarity"])
            val frames = GoldenFiles.frames(condition["images"])
            for ((frame, seen) in frames.zip(condition["seen"] as List<*>)) {
                preprocessor.read(frame)
                assertIsGolden(seen as Map<*, *>, preprocessor)
            }
        }
        val preprocessor = digits(golden["input"], "auto")
        for (oddity in (golden["oddities"] as List<*>).map { it as Map<*, *> }) {
            preprocessor.read(GoldenFiles.frame(oddity["image"]))
            assertIsGolden(oddity, preprocessor)
        }
    }

    @Test
    fun howLongADigitTakesToBeFoundIsSaid() {
        val golden = GoldenFiles.json("digits.json")
        val frame = GoldenFiles.frames(((golden["conditions"] as List<*>)[10] as Map<*, *>)["images"])[0]
        val resize = AreaResize(storedCrop(96, 96, 0, 1, 1), DigitFinder.GRID, DigitFinder.GRID)
        val cells = DoubleArray(DigitFinder.CELLS).also { resize.resize(frame.y, it) }
        val finder = DigitFinder()
        val times = LongArray(2000) {
            val start = System.nanoTime()
            finder.find(cells, Polarity.AUTO)
            System.nanoTime() - start
        }
        val median = times.toList().chunked(200).minOf { it.sorted()[100] } / 1e6 // while nothing else ran
        assertTrue(median > 0)
        println("a digit is found in $median ms") // a busy machine takes longer
    }

    @Test
    fun theCropHasTheShapeOfTheTensor() {
        assertEquals(Window(0.0, 80.0, 480.0, 480.0), centerCrop(640, 480, 28, 28))
        assertEquals(Window(0.0, 0.0, 20.0, 28.0), centerCrop(28, 20, 28, 20))
        assertEquals(Window(14.0, 0.0, 71.0, 100.0), centerCrop(100, 100, 28, 20))
        assertEquals(Window(0.0, 0.0, 1.0, 1.0), centerCrop(1, 1, 28, 20))
        assertEquals(Window(0.0, 14.0, 100.0, 71.0), storedCrop(100, 100, 90, 28, 20))
    }

    @Test
    fun cellsAreMeansOfPixels() {
        // Of 4 x 2 pixels the tensor sees the columns 1 and 2, where it is a square, or all.
        val square = Preprocessor(input("gray", 1, 1))
        square.read(frame(4, 2, plane(9, 0, 10, 9, 9, 20, 50, 9, rowStride = 4)))
        assertArrayEquals(doubleArrayOf(20.0), square.pixels, 0.0)
        val preprocessor = Preprocessor(input("gray", 1, 2))
        preprocessor.read(frame(4, 2, plane(9, 0, 10, 9, 9, 20, 50, 9, rowStride = 4)))
        assertArrayEquals(doubleArrayOf(9.5, 19.5), preprocessor.pixels, 0.0)
    }

    @Test
    fun rotationIsClockwise() {
        val pixels = plane(1, 2, 3, 4, rowStride = 2)
        val expected = mapOf(
            0 to doubleArrayOf(1.0, 2.0, 3.0, 4.0),
            90 to doubleArrayOf(3.0, 1.0, 4.0, 2.0),
            180 to doubleArrayOf(4.0, 3.0, 2.0, 1.0),
            270 to doubleArrayOf(2.0, 4.0, 1.0, 3.0),
        )
        val preprocessor = Preprocessor(gray)
        for ((rotation, upright) in expected) {
            preprocessor.read(frame(2, 2, pixels, rotation))
            assertArrayEquals("$rotation", upright, preprocessor.pixels, 0.0)
        }
    }

    @Test
    fun oddStridesAreFollowed() {
        val preprocessor = Preprocessor(gray)
        preprocessor.read(frame(2, 2, plane(1, 0, 0, 2, 0, 0, 0, 3, 0, 0, 4, rowStride = 7, pixelStride = 3)))
        assertArrayEquals(doubleArrayOf(1.0, 2.0, 3.0, 4.0), preprocessor.pixels, 0.0)
    }

    @Test
    fun aFrameOfOnePixelIsEnlarged() {
        val preprocessor = Preprocessor(input("rgb", 2, 2))
        preprocessor.read(frame(1, 1, plane(200, rowStride = 1)))
        assertArrayEquals(DoubleArray(12) { 200.0 }, preprocessor.pixels, 1e-12)
    }

    @Test
    fun directBuffersAreReadFromTheirStart() {
        val direct = ByteBuffer.allocateDirect(4)
        for (value in 1..4) direct.put(value.toByte())
        val preprocessor = Preprocessor(gray)
        repeat(2) {
            preprocessor.read(frame(2, 2, Plane(direct, 2, 1)))
            assertArrayEquals(doubleArrayOf(1.0, 2.0, 3.0, 4.0), preprocessor.pixels, 0.0)
        }
    }

    @Test
    fun impossibleFramesAreRefused() {
        val four = plane(1, 2, 3, 4, rowStride = 2)
        val cases = listOf(
            frame(0, 2, four) to "frame: expected a size of 1x1 or more, found 0x2",
            frame(2, -1, four) to "frame: expected a size of 1x1 or more, found 2x-1",
            frame(2, 2, four, 45) to "rotation: expected one of 0, 90, 180, 270, found 45",
            frame(2, 2, four, 360) to "rotation: expected one of 0, 90, 180, 270, found 360",
            frame(2, 3, four) to "plane Y: expected 6 bytes or more, found 4",
            frame(3, 2, four) to "plane Y: row stride expected 3 or more, found 2",
            frame(2, 2, plane(1, 2, rowStride = -2)) to "plane Y: row stride expected 2 or more, found -2",
            frame(2, 2, plane(1, 2, rowStride = 2, pixelStride = 0)) to
                "plane Y: pixel stride expected 1 or more, found 0",
            frame(Int.MAX_VALUE, 1, four) to "plane Y: row stride expected 2147483647 or more, found 2",
        )
        val preprocessor = Preprocessor(gray)
        for ((frame, message) in cases) {
            val error = assertThrows(message, FrameException::class.java) { preprocessor.read(frame) }
            assertEquals(message, error.message)
        }
    }

    @Test
    fun chromaThatIsTooShortIsRefused() {
        val four = plane(1, 2, 3, 4, rowStride = 2)
        val frame = Frame(2, 2, 0, four, four, plane(rowStride = 1))
        val error = assertThrows(FrameException::class.java) { Preprocessor(input("rgb", 1, 1)).read(frame) }
        assertEquals("plane V: expected 1 bytes or more, found 0", error.message)
        Preprocessor(gray).read(frame) // does not look at it
    }

    @Test
    fun polarity() {
        val paper = DoubleArray(64) { if (it / 8 in 2..5 && it % 8 in 2..5) 100.0 else 200.0 }
        val ink = DoubleArray(64) { 255 - paper[it] }
        val auto = input("gray", 8, 8, "auto")
        assertEquals(true, isInverted(paper, auto))
        assertEquals(false, isInverted(ink, auto))
        assertEquals(false, isInverted(DoubleArray(64) { 90.0 }, auto))
        assertEquals(true, isInverted(ink, input("gray", 8, 8, "invert")))
        assertEquals(false, isInverted(paper, input("gray", 8, 8)))
        assertEquals(false, isInverted(doubleArrayOf(7.0), input("gray", 1, 1, "auto")))
    }

    @Test
    fun halvesAreRoundedToEvenAndStepsClamped() {
        val steps = Quantization(1.0, 0)
        val values = listOf(0.5, 1.5, 2.5, -0.5, -1.5, 500.0, -500.0)
        assertEquals(listOf(0, 2, 2, 0, -2, 127, -128), values.map { quantize(it, steps, DType.INT8) })
        assertEquals(listOf(0, 255), listOf(-3.0, 300.0).map { quantize(it, steps, DType.UINT8) })
        assertEquals(-128, quantize(Double.NaN, Quantization(1.0, -128), DType.INT8).coerceAtMost(-128))
    }
}
