package org.distill.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.GZIPInputStream

/** The files that `python -m experiments.golden` writes. */
object GoldenFiles {
    private val directory = File(System.getProperty("golden") ?: "../golden")

    /** Returns the top of a JSON file. */
    fun json(name: String): Map<*, *> = parseJson(directory.resolve(name).readBytes()) as Map<*, *>

    /** Returns the bytes of an array that a JSON file names. */
    fun bytes(array: Any?): ByteBuffer {
        array as Map<*, *>
        val count = (array["shape"] as List<*>).fold(1L) { product, size -> product * (size as Long) }
        val size = count * if (array["dtype"] == "float32") 4 else 1
        val offset = array["offset"] as Long
        val all = content(array["file"] as String)
        val part = all.copyOfRange(offset.toInt(), (offset + size).toInt())
        return ByteBuffer.wrap(part).order(ByteOrder.LITTLE_ENDIAN)
    }

    private val contents = HashMap<String, ByteArray>()

    /** Returns the bytes of a file, unpacked if it is compressed. */
    private fun content(name: String) = contents.getOrPut(name) {
        val bytes = directory.resolve(name).readBytes()
        if (name.endsWith(".gz")) GZIPInputStream(bytes.inputStream()).readBytes() else bytes
    }

    /** Returns the gray images of an array `[count, height, width]` as frames of a camera. */
    fun frames(array: Any?): List<Frame> {
        val (count, height, width) = ((array as Map<*, *>)["shape"] as List<*>).map { (it as Long).toInt() }
        val all = ByteArray(count * height * width).also { bytes(array).get(it) }
        return List(count) { frame(all.copyOfRange(it * height * width, (it + 1) * height * width), height, width) }
    }

    /** Returns a gray image as a frame. */
    fun frame(array: Any?): Frame {
        val (height, width) = ((array as Map<*, *>)["shape"] as List<*>).map { (it as Long).toInt() }
        return frame(ByteArray(height * width).also { bytes(array).get(it) }, height, width)
    }

    private fun frame(pixels: ByteArray, height: Int, width: Int): Frame {
        val half = (width + 1) / 2
        val neutral = Plane(ByteBuffer.wrap(ByteArray(half * ((height + 1) / 2)) { 128.toByte() }), half, 1)
        return Frame(width, height, 0, Plane(ByteBuffer.wrap(pixels), width, 1), neutral, neutral)
    }

    fun floats(array: Any?): FloatArray = bytes(array).asFloatBuffer().let { FloatArray(it.limit(), it::get) }

    /** Returns the `input` of a bundle. */
    fun inputSpec(input: Any?): InputSpec {
        input as Map<*, *>
        val quantization = input["quantization"] as Map<*, *>?
        return InputSpec(
            tensor = TensorSpec(
                (input["shape"] as List<*>).map { (it as Long).toInt() },
                DType.valueOf((input["dtype"] as String).uppercase()),
            ),
            color = Color.valueOf((input["color"] as String).uppercase()),
            scale = (input["scale"] as List<*>).map { it as Double }.toDoubleArray(),
            offset = (input["offset"] as List<*>).map { it as Double }.toDoubleArray(),
            quantization = quantization?.let {
                Quantization(it["scale"] as Double, (it["zero_point"] as Long).toInt())
            },
            polarity = Polarity.valueOf((input["polarity"] as String).uppercase()),
            normalize = Normalize.valueOf((input["normalize"] as String? ?: "none").uppercase()),
        )
    }

    /** Returns a file of a golden bundle, or null where it has none. */
    fun bundleFile(entry: Map<*, *>, name: String): ByteArray? = when (name) {
        DESCRIPTION -> (entry[DESCRIPTION] as String?)?.toByteArray()
        "model.tflite" -> (entry[name] as String?)?.let { java.util.Base64.getDecoder().decode(it) }
        else -> null
    }

    val bundles: List<Map<*, *>> = (json("bundles.json")["bundles"] as List<*>).map { it as Map<*, *> }

    /** Returns a bundle without fault: two by two gray pixels, the classes cat, dog and owl. */
    fun validBundle(dtype: String): Bundle {
        val entry = bundles.single { it["name"] == "valid_$dtype" }
        return readBundle { bundleFile(entry, it) }
    }
}
