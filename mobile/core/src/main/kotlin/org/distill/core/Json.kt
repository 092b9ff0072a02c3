package org.distill.core

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/** A text is no JSON. The message says what was expected, what was found and where. */
class JsonException(message: String) : Exception(message)

/**
 * Reads JSON as RFC 8259 has it, and nothing more: no comments, no NaN, no second value of a key.
 *
 * Objects become [Map], arrays [List], integers that fit [Long], all other numbers [Double].
 * `org.json` takes much that is no JSON, and differs between Android and the JVM.
 */
fun parseJson(bytes: ByteArray): Any? {
    val text = try {
        Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()
    } catch (_: CharacterCodingException) {
        throw JsonException("expected JSON in UTF-8, found bytes that are not")
    }
    return JsonParser(text).parse()
}

/** Writes a value as [parseJson] reads it, for messages. */
fun showJson(value: Any?): String = when (value) {
    is String -> "\"$value\""
    is List<*> -> value.joinToString(", ", "[", "]") { showJson(it) }
    is Map<*, *> -> value.entries.joinToString(", ", "{", "}") { "\"${it.key}\": ${showJson(it.value)}" }
    else -> value.toString()
}

private class JsonParser(private val text: String) {
    private var at = 0

    fun parse(): Any? {
        val value = value(0)
        skipSpace()
        if (at < text.length) fail("the end")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > MAX_DEPTH) throw JsonException("expected JSON of at most $MAX_DEPTH levels, found more")
        skipSpace()
        return when (peek()) {
            '{' -> readObject(depth)
            '[' -> readArray(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun readObject(depth: Int): Map<String, Any?> {
        val map = LinkedHashMap<String, Any?>()
        at++
        skipSpace()
        if (accept('}')) return map
        while (true) {
            skipSpace()
            if (peek() != '"') fail("a key")
            val key = string()
            if (key in map) throw JsonException("expected each key once in JSON, found \"${key.brief()}\" again")
            skipSpace()
            if (!accept(':')) fail("':'")
            map[key] = value(depth + 1)
            skipSpace()
            if (accept('}')) return map
            if (!accept(',')) fail("',' or '}'")
        }
    }

    private fun readArray(depth: Int): List<Any?> {
        val list = ArrayList<Any?>()
        at++
        skipSpace()
        if (accept(']')) return list
        while (true) {
            list.add(value(depth + 1))
            skipSpace()
            if (accept(']')) return list
            if (!accept(',')) fail("',' or ']'")
        }
    }

    private fun string(): String {
        val built = StringBuilder()
        at++
        while (true) {
            val char = peek() ?: fail("the end of a string")
            if (char < ' ') fail("no control character in a string")
            at++
            when (char) {
                '"' -> return built.toString()
                '\\' -> built.append(escaped())
                else -> built.append(char)
            }
        }
    }

    private fun escaped(): Char {
        val char = peek() ?: fail("the end of a string")
        val place = ESCAPES.indexOf(char)
        if (place < 0 && char != 'u') fail("an escape")
        at++
        if (place >= 0) return ESCAPED[place]
        val digits = text.substring(at, minOf(at + 4, text.length))
        if (digits.length < 4 || !digits.all { it in HEX }) fail("four hexadecimal digits")
        at += 4
        return digits.toInt(16).toChar()
    }

    private fun number(): Any {
        val start = at
        accept('-')
        if (!accept('0')) digits("a value")
        var integer = true
        if (accept('.')) {
            integer = false
            digits("a digit")
        }
        if (accept('e') || accept('E')) {
            integer = false
            if (!accept('+')) accept('-')
            digits("a digit")
        }
        val shown = text.substring(start, at)
        if (integer) shown.toLongOrNull()?.let { return it }
        val number = shown.toDouble()
        if (number.isInfinite()) throw JsonException("expected a JSON number of 64 bits, found ${shown.brief()}")
        return number
    }

    private fun digits(expected: String) {
        val start = at
        while (peek() in '0'..'9') at++
        if (at == start) fail(expected)
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, at)) fail("a value")
        at += word.length
        return value
    }

    private fun peek(): Char? = text.getOrNull(at)

    private operator fun CharRange.contains(char: Char?): Boolean = char != null && contains(char)

    private fun accept(char: Char): Boolean = (peek() == char).also { if (it) at++ }

    private fun skipSpace() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') at++
    }

    private fun fail(expected: String): Nothing {
        val found = peek()?.let { "'$it'" } ?: "the end"
        throw JsonException("expected $expected in JSON at character $at, found $found")
    }

    private companion object {
        const val MAX_DEPTH = 32
        const val ESCAPES = "\"\\/bfnrt"
        const val ESCAPED = "\"\\/\b\u000c\n\r\t"
        const val HEX = "0123456789abcdefABCDEF"
    }
}
