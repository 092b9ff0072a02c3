package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class JsonTest {
    private fun parse(text: String) = parseJson(text.toByteArray())

    @Test
    fun valuesAreRead() {
        val text = """ {"a": [1, -2.5, 1e3, true, false, null], "b": {}, "c": "x\n\u00e9\"/\/", "": []} """
        val expected = mapOf(
            "a" to listOf(1L, -2.5, 1000.0, true, false, null),
            "b" to emptyMap<String, Any>(),
            "c" to "x\né\"//",
            "" to emptyList<Any>(),
        )
        assertEquals(expected, parse(text))
    }

    @Test
    fun integersThatDoNotFitAreRounded() {
        assertEquals(9223372036854775807L, parse("9223372036854775807"))
        assertEquals(9.223372036854775808e18, parse("9223372036854775808"))
        assertEquals(0L, parse("-0"))
    }

    @Test
    fun whatIsNoJsonIsRefused() {
        val texts = listOf(
            "", " ", "{", "[", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "'a'",
            "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "01", "+1", ".5", "1.", "1e", "-", "--1", "0x1",
            "NaN", "Infinity", "-Infinity", "1e999", "nul", "True", "1 2", "[] []", "// a\n1", "{\"a\":1,\"a\":1}",
            "\u00a01", "\ufeff1", "[".repeat(100000), "{\"a\":".repeat(40) + "1" + "}".repeat(40),
        )
        for (text in texts) {
            val error = assertThrows(text.take(20), JsonException::class.java) { parse(text) }
            val message = error.message.orEmpty()
            assertTrue(message, "expected " in message && "found " in message && "JSON" in message)
        }
    }

    @Test
    fun bytesThatAreNotUtf8AreRefused() {
        val bytes = byteArrayOf('"'.code.toByte(), 0xc3.toByte(), '"'.code.toByte())
        assertThrows(JsonException::class.java) { parseJson(bytes) }
    }

    @Test
    fun messagesSayWhere() {
        val error = assertThrows(JsonException::class.java) { parse("{\"a\" 1}") }
        assertEquals("expected ':' in JSON at character 5, found '1'", error.message)
    }

    @Test
    fun whatIsShownIsJson() {
        val value = mapOf("a" to listOf(1L, 2.5, null, "b"))
        assertEquals("{\"a\": [1, 2.5, null, \"b\"]}", showJson(value))
        assertEquals(value, parse(showJson(value)))
    }
}
