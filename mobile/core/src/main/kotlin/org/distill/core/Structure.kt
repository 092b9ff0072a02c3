package org.distill.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

// The tables, the order of the checks and the words are those of `distill/export/structure.py`.

private const val MAX_PARTS = 1L shl 18 // tables and numbers of lists that are read

/** A file is not sound. The message is one line: what in it, what was expected, what was found. */
internal class UnsoundException(val what: String, val expected: String, val found: String) :
    Exception("$what: expected $expected, found $found")

/** Throws [UnsoundException] unless it holds. */
internal fun need(holds: Boolean, what: String, expected: Any, found: Any?) {
    if (!holds) throw UnsoundException(what, "$expected", "$found")
}

/** Where the bytes of a text or a buffer lie in the file. */
internal class Place(val start: Int, val length: Int)

/** A table of a file: values by the names of its fields. */
internal class Record(private val values: Map<String, Any?>) {
    fun number(name: String) = values[name] as Long

    /** Returns a number of a field that a table may not have. */
    fun number(name: String, absent: Long) = values[name] as Long? ?: absent

    fun real(name: String) = values[name] as Double? ?: 0.0

    fun numbers(name: String) = list<Long>(name)

    fun reals(name: String) = list<Double>(name)

    fun records(name: String) = list<Record>(name)

    fun record(name: String) = values[name] as Record?

    fun place(name: String) = values[name] as Place?

    @Suppress("UNCHECKED_CAST") // as its kind says
    private fun <T> list(name: String) = values[name] as List<T>? ?: emptyList()
}

private sealed interface Kind

private enum class Scalar(val bytes: Int) : Kind {
    I8(1),
    U8(1),
    I32(4),
    U32(4),
    I64(8),
    F32(4),
}

private data object Text : Kind

private data object Bytes : Kind

/** Of the operator whose type stands in the field before. */
private data object Options : Kind

private class Each(val item: Kind) : Kind

/** Fields in their order. */
private class Table(vararg val fields: Field) : Kind

/** @param kind null where a file may not have the field. */
private class Field(val name: String, val kind: Kind?, val absent: Any? = null)

private fun none(name: String) = Field(name, null)

private fun i8(name: String) = Field(name, Scalar.I8, 0L)

private fun u8(name: String, absent: Long = 0) = Field(name, Scalar.U8, absent)

private fun i32(name: String, absent: Long = 0) = Field(name, Scalar.I32, absent)

private fun u32(name: String) = Field(name, Scalar.U32, 0L)

private fun f32(name: String) = Field(name, Scalar.F32, 0.0)

private fun each(name: String, item: Kind) = Field(name, Each(item))

private fun text(name: String) = Field(name, Text)

private val TENSOR_MAP = Table(text("name"), u32("tensor"))
private val SIGNATURE =
    Table(each("inputs", TENSOR_MAP), each("outputs", TENSOR_MAP), text("key"), none("tag"), u32("graph"))
private val METADATA = Table(text("name"), u32("buffer"))
private val BUFFER = Table(Field("data", Bytes))
private val QUANTIZATION = Table(
    each("min", Scalar.F32), each("max", Scalar.F32), each("scale", Scalar.F32), each("zero", Scalar.I64),
    none("details_type"), none("details"), i32("axis"),
)
private val TENSOR = Table(
    each("shape", Scalar.I32), i8("type"), u32("buffer"), text("name"), Field("quantization", QUANTIZATION),
    none("variable"), none("sparsity"), each("signature", Scalar.I32), u8("has_rank"),
)
private val OPERATOR = Table(
    u32("code"), each("inputs", Scalar.I32), each("outputs", Scalar.I32), u8("options_type"),
    Field("options", Options), none("custom"), none("custom_format"), each("mutating", Scalar.U8),
    each("intermediates", Scalar.I32), none("large_offset"), none("large_size"), none("options2_type"),
    none("options2"), i32("debug"),
)
private val GRAPH = Table(
    each("tensors", TENSOR), each("inputs", Scalar.I32), each("outputs", Scalar.I32), each("operators", OPERATOR),
    text("name"), i32("debug"),
)
private val CODE = Table(i8("old"), none("custom"), i32("version", 1), i32("builtin"))
private val MODEL = Table(
    u32("version"), each("codes", CODE), each("graphs", GRAPH), text("description"), each("buffers", BUFFER),
    each("metadata_buffer", Scalar.I32), each("metadata", METADATA), each("signatures", SIGNATURE),
)

private val FUSED = i8("fused")
private val STRIDES = arrayOf(i8("padding"), i32("stride_w"), i32("stride_h"))
private val DILATION = arrayOf(i32("dilation_w", 1), i32("dilation_h", 1))
private val BIAS_TYPE = i8("bias_type")
private val EMPTY = Table()
private val OPTIONS = mapOf(
    1L to Table(*STRIDES, FUSED, *DILATION, BIAS_TYPE), // Conv2D
    2L to Table(*STRIDES, i32("multiplier"), FUSED, *DILATION), // DepthwiseConv2D
    5L to Table(*STRIDES, i32("filter_w"), i32("filter_h"), FUSED), // Pool2D
    8L to Table(FUSED, i8("format"), u8("keep"), u8("asymmetric"), BIAS_TYPE), // FullyConnected
    9L to Table(f32("beta")), // Softmax
    10L to Table(i32("axis"), FUSED), // Concatenation
    11L to Table(FUSED, u8("pot", 1)), // Add
    15L to Table(none("height"), none("width"), u8("align"), u8("half")), // ResizeBilinear
    17L to Table(each("shape", Scalar.I32)), // Reshape
    21L to Table(FUSED), // Mul
    22L to EMPTY, // Pad
    26L to EMPTY, // Transpose
    27L to Table(u8("keep")), // Reducer
    28L to Table(FUSED, u8("pot", 1)), // Sub
    29L to Table(FUSED), // Div
    30L to Table(each("dims", Scalar.I32)), // Squeeze
    32L to Table(i32("begin"), i32("end"), i32("ellipsis"), i32("new"), i32("shrink"), u8("offset")), // StridedSlice
    38L to EMPTY, // Dequantize
    39L to EMPTY, // MaximumMinimum
    43L to EMPTY, // PadV2
    48L to EMPTY, // Slice
    49L to Table(*STRIDES, FUSED, BIAS_TYPE), // TransposeConv
    74L to Table(u8("align"), u8("half")), // ResizeNearestNeighbor
    75L to Table(f32("alpha")), // LeakyRelu
    76L to EMPTY, // SquaredDifference
    89L to EMPTY, // Quantize
    91L to EMPTY, // HardSwish
)

/** Reads the contents of a `.tflite` file. Throws [UnsoundException] for the first thing that is wrong. */
internal fun readStructure(data: ByteArray): Record = Reader(data).model()

/** Follows no offset that was not checked. Places are Long: no sum of two overflows. */
private class Reader(private val data: ByteArray) {
    private val view = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)
    private var left = MAX_PARTS

    fun model() = table(follow(0, "the file"), MODEL, "the file")

    /** Returns where an offset leads, always forward. */
    private fun follow(at: Long, what: String): Long {
        inside(at, 4, 4, what)
        val offset = get(at, Scalar.U32) as Long
        need(offset != 0L, what, "an offset", 0)
        return at + offset
    }

    private fun table(at: Long, table: Table, what: String): Record {
        spend(1, what)
        inside(at, 4, 4, what)
        val vtable = at - get(at, Scalar.I32) as Long
        inside(vtable, 4, 2, what)
        val bytesOfFields = short(vtable)
        val length = short(vtable + 2)
        val isEven = bytesOfFields >= 4 && bytesOfFields % 2 == 0L
        need(isEven, what, "an even number of bytes for its fields", bytesOfFields)
        inside(vtable, bytesOfFields, 2, what)
        inside(at, length, 4, what)
        val values = HashMap<String, Any?>()
        for (field in table.fields) values[field.name] = field.absent
        for (slot in 0 until (bytesOfFields / 2 - 2).toInt()) {
            val offset = short(vtable + 4 + 2 * slot)
            if (offset == 0L) continue
            val field = table.fields.getOrNull(slot) ?: none("field $slot")
            val inner = "$what, ${field.name}"
            val kind = kindOf(field, values, inner)
            need(offset + (if (kind is Scalar) kind.bytes else 4) <= length, inner, "a place in $length bytes", offset)
            values[field.name] = value(at + offset, kind, inner)
        }
        return Record(values)
    }

    private fun kindOf(field: Field, values: Map<String, Any?>, what: String): Kind {
        val kind = field.kind ?: throw UnsoundException(what, "none", "one")
        if (kind != Options) return kind
        val type = values["options_type"]
        return OPTIONS[type] ?: throw UnsoundException(what, "a known type", "$type")
    }

    private fun value(at: Long, kind: Kind, what: String): Any {
        if (kind is Scalar) {
            inside(at, kind.bytes.toLong(), kind.bytes, what)
            return get(at, kind)
        }
        val start = follow(at, what)
        if (kind is Table) return table(start, kind, what)
        inside(start, 4, 4, what)
        val count = get(start, Scalar.U32) as Long
        val first = start + 4
        if (kind is Each) return list(first, count, kind.item, what)
        inside(first, count, 1, what)
        val place = Place(first.toInt(), count.toInt())
        val isAscii = kind == Bytes || (place.start until place.start + place.length).all { data[it] >= 0 }
        need(isAscii, what, "a text in ASCII", "another")
        return place
    }

    private fun list(first: Long, count: Long, item: Kind, what: String): List<Any> {
        spend(count, what)
        val size = if (item is Scalar) item.bytes else 4
        inside(first, size * count, size, what)
        return List(count.toInt()) {
            val at = first + size.toLong() * it
            if (item is Scalar) get(at, item) else table(follow(at, what), item as Table, "$what $it")
        }
    }

    private fun get(at: Long, kind: Scalar): Any {
        val place = at.toInt()
        return when (kind) {
            Scalar.I8 -> view[place].toLong()
            Scalar.U8 -> view[place].toLong() and 0xff
            Scalar.I32 -> view.getInt(place).toLong()
            Scalar.U32 -> view.getInt(place).toLong() and 0xffffffff
            Scalar.I64 -> view.getLong(place)
            Scalar.F32 -> view.getFloat(place).toDouble()
        }
    }

    private fun short(at: Long) = view.getShort(at.toInt()).toLong() and 0xffff

    private fun inside(at: Long, size: Long, alignment: Int, what: String) {
        need(at >= 0 && at + size <= data.size, what, "a place in ${data.size} bytes", at)
        need(at % alignment == 0L, what, "a multiple of $alignment", at)
    }

    private fun spend(parts: Long, what: String) {
        left -= parts
        need(left >= 0, what, "at most $MAX_PARTS parts", "more")
    }
}
