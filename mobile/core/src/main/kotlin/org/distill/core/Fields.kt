package org.distill.core

import kotlin.math.abs

/** An object of a bundle's `model.json`, and the path that leads to it, for messages. */
internal class Fields private constructor(private val path: String, private val values: Map<*, *>) {
    fun has(name: String) = name in values

    fun isNull(name: String) = value(name) == null

    fun fields(name: String): Fields = of(pathTo(name), value(name))

    fun string(name: String): String = typed(name, "a string", value(name) as? String)

    fun text(name: String): String = string(name).also { checkText(name, it) }

    fun number(name: String): Double = typed(name, "a number", number(value(name))).also { checkNumber(name, it) }

    fun integer(name: String): Long = typed(name, "an integer", value(name) as? Long)

    fun texts(name: String): List<String> =
        list(name).map { item -> typed(name, "strings", item as? String, item).also { checkText(name, it) } }

    fun numbers(name: String): List<Double> =
        list(name).map { item -> typed(name, "numbers", number(item), item).also { checkNumber(name, it) } }

    fun integers(name: String): List<Long> = list(name).map { typed(name, "integers", it as? Long, it) }

    /** Returns the constant whose name in lower case is the value. */
    inline fun <reified E : Enum<E>> choice(name: String): E {
        val found = string(name)
        return enumValues<E>().firstOrNull { it.name.lowercase() == found }
            ?: only(name, found, *enumValues<E>().map { it.name.lowercase() }.toTypedArray())
    }

    /** Refuses every value but one. */
    fun constant(name: String, expected: String) {
        val found = string(name)
        if (found != expected) only(name, found, expected)
    }

    fun pathTo(name: String) = if (path.isEmpty()) name else "$path.$name"

    /** Returns all values as text, for display. */
    fun shown(): Map<String, String> =
        values.entries.associate { (name, value) -> "$name" to if (value is String) value else showJson(value) }

    fun only(name: String, found: String, vararg accepted: String): Nothing =
        refuse(Fault.VALUE, pathTo(name), accepted.joinToString(" or ") { "\"$it\"" }, showJson(found))

    private fun checkText(name: String, text: String) {
        if (text.isEmpty() || text.codePointCount(0, text.length) > MAX_TEXT || !canBeShown(text)) {
            refuse(Fault.VALUE, pathTo(name), "a text of 1 to $MAX_TEXT characters that can be shown", showJson(text))
        }
    }

    /** More would overflow in float32, and nothing in a bundle comes near it. */
    private fun checkNumber(name: String, number: Double) {
        if (abs(number) > MAX_NUMBER) refuse(Fault.VALUE, pathTo(name), "at most $MAX_NUMBER", "$number")
    }

    private fun value(name: String): Any? {
        if (name !in values) refuse(Fault.MISSING_FIELD, pathTo(name), "a value", "nothing")
        return values[name]
    }

    private fun list(name: String): List<*> = typed(name, "a list", value(name) as? List<*>)

    private fun number(value: Any?): Double? = (value as? Number)?.toDouble()

    private fun <T : Any> typed(name: String, expected: String, value: T?, found: Any? = value(name)): T =
        value ?: refuse(Fault.TYPE, pathTo(name), expected, showJson(found))

    companion object {
        private const val MAX_NUMBER = 1e30
        private const val MAX_TEXT = 1000

        fun of(path: String, value: Any?): Fields {
            val map = value as? Map<*, *>
                ?: refuse(Fault.TYPE, path.ifEmpty { "model.json" }, "an object", showJson(value))
            return Fields(path, map)
        }
    }
}
