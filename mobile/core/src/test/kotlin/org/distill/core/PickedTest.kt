package org.distill.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.InputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/** What a person picks: files, a zip, a picture. */
class PickedTest {
    private val entry = GoldenFiles.bundles.single { it["name"] == "valid_float32" }
    private val description = requireNotNull(GoldenFiles.bundleFile(entry, DESCRIPTION))
    private val model = requireNotNull(GoldenFiles.bundleFile(entry, "model.tflite"))

    private fun zip(vararg files: Pair<String, ByteArray>): ByteArray {
        val out = ByteArrayOutputStream()
        ZipOutputStream(out).use { zip ->
            for ((name, content) in files) {
                zip.putNextEntry(ZipEntry(name))
                zip.write(content)
            }
        }
        return out.toByteArray()
    }

    private fun nameOf(vararg picked: Pair<String, ByteArray>) = readBundle(bundleFiles(mapOf(*picked))).name

    @Test
    fun twoFilesOrAZipAreABundle() {
        assertEquals("valid float32", nameOf(DESCRIPTION to description, "model.tflite" to model))
        assertEquals("valid float32", nameOf("model (1).json" to description, "model(2).tflite" to model))
        val inside = arrayOf("int8/$DESCRIPTION" to description, "int8/model.tflite" to model)
        assertEquals("valid float32", nameOf("export.zip" to zip(*inside)))
        assertEquals("valid float32", nameOf("download" to zip("__MACOSX/._x.json" to ByteArray(1), *inside)))
    }

    @Test
    fun whatIsNoBundleIsToldInOneLine() {
        val files = mapOf(
            "a.pdf" to ByteArray(100),
            "a.json" to description,
            "a.zip" to zip(),
            "b.zip" to zip("x" to model).copyOf(60),
            "c.zip" to "PK\u0003\u0004".toByteArray(),
            "model.tflite" to model,
        )
        for (picked in files.toList()) {
            val error = assertThrows(picked.first, BundleException::class.java) { nameOf(picked) }
            assertTrue('\n' !in error.message.orEmpty())
        }
    }

    @Test
    fun moreThanThereIsRoomForIsNotRead() {
        val endless = object : InputStream() {
            var given = 0L

            override fun read() = 0

            override fun read(buffer: ByteArray) = buffer.size.also { given += it }
        }
        assertThrows(TooLargeException::class.java) { readAtMost(endless) }
        assertTrue("${endless.given}", endless.given < MOST_BYTES + 1_000_000)
        val bomb = zip(DESCRIPTION to description, "model.tflite" to ByteArray(MOST_BYTES + 1))
        assertTrue(bomb.size < 100_000)
        assertThrows(TooLargeException::class.java) { nameOf("bomb.zip" to bomb) }
        assertArrayEquals(model, readAtMost(ByteArrayInputStream(model)))
    }

    @Test
    fun directoriesHavePlainNames() {
        assertEquals("simplenet_v1 mnist int8", directoryName("simplenet_v1 mnist int8"))
        assertEquals("_.._etc_passwd", directoryName("../../etc/passwd"))
        assertEquals("_", directoryName(" .. "))
        assertEquals(60, directoryName("x".repeat(500)).length)
    }

    @Test
    fun picturesAreShrunkToWhatIsNeeded() {
        assertEquals(1, shrinkage(1, 1))
        assertEquals(1, shrinkage(1500, 4000))
        assertEquals(4, shrinkage(8000, 6000)) // 48 megapixels
        assertEquals(Square(100, 0, 300), middleSquare(500, 300))
        assertEquals(Square(0, 0, 1), middleSquare(1, 1))
    }

    @Test
    fun aPictureBecomesAFrameAndWhatIsTransparentIsPaper() {
        val white = 0xffffffff.toInt()
        val (black, red, half) = listOf(0xff000000, 0xffff0000, 0x80000000).map { it.toInt() }
        val frame = frameOf(intArrayOf(white, black, 0, red, white, half), 3, 2)
        assertEquals(listOf(255, 0, 255, 76, 255, 127), List(6) { frame.y.data[it].toInt() and 0xff })
        assertEquals(listOf(Size(3, 2), 2), listOf(Size(frame.width, frame.height), frame.u.rowStride))
        val gray = frameOf(IntArray(4) { 0xff808080.toInt() }, 2, 2)
        assertEquals(listOf(128, 128, 128), listOf(gray.y, gray.u, gray.v).map { it.data[0].toInt() and 0xff })
        assertNull(bundleFiles(emptyMap())(DESCRIPTION))
    }
}
