package org.distill.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

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
        val all = directory.resolve(array["file"] as String).readBytes()
        val part = all.copyOfRange(offset.toInt(), (offset + size).toInt())
        return ByteBuffer.wrap(part).order(ByteOrder.LITTLE_ENDIAN)
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
