package org.distill.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import kotlin.random.Random

class BundleTest {
    private val valid = GoldenFiles.bundles.single { it["name"] == "valid_float32" }

    private fun read(text: ByteArray) =
        readBundle { if (it == DESCRIPTION) text else GoldenFiles.bundleFile(valid, it) }

    private fun read(text: String) = read(text.toByteArray())

    private fun text(name: String = "valid_float32") =
        GoldenFiles.bundles.single { it["name"] == name }[DESCRIPTION] as String

    @Test
    fun everythingIsRead() {
        val bundle = GoldenFiles.validBundle("int8")
        assertEquals("valid int8", bundle.name)
        assertEquals(listOf("cat", "dog", "owl"), bundle.labels)
        assertEquals("int8[1, 2, 2, 1]", bundle.input.tensor.toString())
        assertEquals(-128, bundle.input.quantization?.zeroPoint)
        assertEquals(1.0 / 256, bundle.output.quantization?.scale)
        assertEquals(Polarity.AUTO, bundle.input.polarity)
        assertEquals(Defaults(2, 3, 0.4), bundle.defaults)
        assertArrayEquals(ByteArray(4), bundle.golden.input)
        assertArrayEquals(doubleArrayOf(-128.0, 0.0, 127.0), bundle.golden.output, 0.0)
        assertEquals(992, bundle.model.size)
        assertEquals("mnist", bundle.provenance["dataset"])
        assertEquals("0.5", bundle.provenance["accuracy"])
    }

    @Test
    fun everyFaultHasItsKindAndItsMessage() {
        for (entry in GoldenFiles.bundles.filter { it["kind"] != null }) {
            val name = entry["name"] as String
            val error = assertThrows(name, BundleException::class.java) {
                readBundle { GoldenFiles.bundleFile(entry, it) }
            }
            val message = error.message.orEmpty()
            assertEquals("$name: $message", entry["kind"], error.fault.key)
            for (word in listOf("expected", "found")) {
                assertTrue("$name: $message", bare(entry[word] as String) in bare(message))
                assertTrue("$name: $message", word in message)
            }
        }
    }

    private fun bare(text: String) = text.filterNot { it in " '\"" }

    @Test
    fun messagesNameTheField() {
        val error = assertThrows(BundleException::class.java) { read(text("input_batch")) }
        assertEquals(
            "input.shape: expected 4 sizes, [1, rows, columns, 1] for gray, found [2, 2, 2, 1]",
            error.message,
        )
    }

    @Test
    fun aNewerFormatAsksForANewerReader() {
        val error = assertThrows(BundleException::class.java) { read(text("format_unknown_major")) }
        assertEquals(
            "format: expected distill-bundle/1, found distill-bundle/2; a newer reader is needed",
            error.message,
        )
    }

    @Test
    fun fieldsThatAreNotKnownAreIgnored() {
        assertEquals("valid float32", read(text().replaceFirst("{", "{\"later\": {\"a\": [1]},")).name)
    }

    @Test
    fun moreLabelsThanThereAreMayBeAskedFor() {
        assertEquals(99, read(text().replace("\"top_k\": 2", "\"top_k\": 99")).defaults.topK)
    }

    @Test
    fun numbersThatOverflowAreRefused() {
        val error = assertThrows(BundleException::class.java) {
            read(text().replace("\"offset\": [0.0]", "\"offset\": [-1e31]"))
        }
        assertEquals("input.offset: expected at most 1.0E30, found -1.0E31", error.message)
    }

    @Test
    fun hugeShapesAreRefusedBeforeTheyAreMultiplied() {
        val huge = text().replace("[1, 2, 2, 1]", "[1, 4294967296, 4294967296, 1]")
        assertEquals(Fault.SHAPE, assertThrows(BundleException::class.java) { read(huge) }.fault)
    }

    @Test
    fun messagesAreOneLine() {
        val error = assertThrows(BundleException::class.java) { read(text().replace("gray", "a\\nb\\u0000")) }
        assertEquals("input.color: expected \"gray\" or \"rgb\", found \"a b \"", error.message)
    }

    @Test
    fun mutatedBytesNeverCrash() {
        val random = Random(1)
        val original = text().toByteArray()
        var refused = 0
        repeat(10_000) { if (isRefused { read(mutated(original, random)) }) refused++ }
        assertTrue("$refused refused", refused in 5_000..9_999)
    }

    @Test
    fun mutatedValuesNeverCrash() {
        val random = Random(2)
        val faults = HashSet<Fault>()
        for (name in listOf("valid_float32", "valid_int8")) {
            val original = parseJson(text(name).toByteArray())
            repeat(5_000) {
                isRefused(faults) { read(showJson(replaced(original, random))) }
            }
        }
        val expected = Fault.entries - setOf(Fault.SYNTAX, Fault.CONTENT, Fault.TENSOR)
        assertTrue("never seen: ${expected - faults}", faults.containsAll(expected))
    }

    @Test
    fun everyMutatedModelIsRefused() {
        val random = Random(3)
        val model = requireNotNull(GoldenFiles.bundleFile(valid, "model.tflite"))
        repeat(2_000) {
            val changed = mutated(model, random)
            if (!changed.contentEquals(model)) {
                assertTrue(isRefused { readBundle { if (it == DESCRIPTION) text().toByteArray() else changed } })
            }
        }
    }

    /** Bytes of which nothing says the hash: what is wrong is said, and else it is sound. */
    @Test
    fun changedModelsAreRefusedInWordsOrSound() {
        val random = Random(4)
        val entry = GoldenFiles.bundles.single { it["name"] == "valid_operators" }
        val bundle = readBundle { GoldenFiles.bundleFile(entry, it) }
        var refused = 0
        repeat(10_000) {
            val changed = bundle.model.clone()
            repeat(it % 3 + 1) { changed[random.nextInt(changed.size)] = random.nextInt().toByte() }
            try {
                checkSound(changed, bundle.input, bundle.output)
            } catch (_: UnsoundException) {
                refused++
            }
        }
        assertTrue("$refused refused", refused in 4_000..9_999)
    }

    private fun isRefused(faults: MutableSet<Fault> = HashSet(), read: () -> Bundle): Boolean = try {
        read()
        false
    } catch (error: BundleException) {
        val message = error.message.orEmpty()
        assertTrue(message, "expected " in message && "found " in message && '\n' !in message)
        assertTrue("${message.length}", message.length < 400)
        faults.add(error.fault)
        true
    }

    private fun mutated(original: ByteArray, random: Random): ByteArray {
        val bytes = original.toMutableList()
        repeat(random.nextInt(1, 4)) {
            val at = random.nextInt(bytes.size)
            when (random.nextInt(5)) {
                0 -> bytes[at] = random.nextInt().toByte()
                1 -> bytes[at] = original[random.nextInt(original.size)]
                2 -> bytes.add(at, original[random.nextInt(original.size)])
                3 -> bytes.subList(at, minOf(at + random.nextInt(1, 9), bytes.size)).clear()
                else -> if (random.nextInt(10) == 0) bytes.subList(at, bytes.size).clear()
            }
            if (bytes.isEmpty()) return ByteArray(0)
        }
        return bytes.toByteArray()
    }

    /** Replaces, removes or doubles a value somewhere below the top. */
    private fun replaced(value: Any?, random: Random): Any? = when {
        value is Map<*, *> && value.isNotEmpty() -> {
            val key = value.keys.random(random)
            if (random.nextInt(12) == 0) value - key else value + (key to replaced(value[key], random))
        }
        value is List<*> && value.isNotEmpty() && random.nextInt(3) > 0 -> {
            val list = value.toMutableList()
            val at = random.nextInt(list.size)
            when (random.nextInt(3)) {
                0 -> list.removeAt(at)
                1 -> list.add(list[at])
                else -> list[at] = replaced(list[at], random)
            }
            list
        }
        else -> POOL.random(random)
    }

    private companion object {
        val POOL = listOf(
            null, true, 0L, -1L, 1L, 2L, 3L, 128L, 1L shl 40, Long.MIN_VALUE, 0.5, -0.5, 1e-300, 1e300, "", "int8",
            "rgb", "invert", "logits", "model.json", "distill-bundle/999999999999", "distill-bundle/1 ", "AAAA",
            "0".repeat(64), "a".repeat(5000), "\u2028", emptyList<Any>(), listOf(1L, 2L), emptyMap<String, Any>(),
        )
    }
}
