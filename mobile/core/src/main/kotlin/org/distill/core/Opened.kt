package org.distill.core

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import java.util.zip.ZipInputStream

/** Most bytes that are read of what a person picks: the largest model of the project has a tenth of it. */
const val MOST_BYTES = 32 * 1024 * 1024

private const val MOST_ENTRIES = 1000
private const val BUFFER = 1 shl 16
private const val LONGEST_NAME = 60

/** What was picked holds more than [MOST_BYTES]. */
class TooLargeException : IOException("more than $MOST_BYTES bytes")

/** Reads a stream to its end, but never more than [MOST_BYTES]. Throws [TooLargeException]. */
fun readAtMost(stream: InputStream, most: Int = MOST_BYTES): ByteArray {
    val out = ByteArrayOutputStream()
    val buffer = ByteArray(BUFFER)
    while (true) {
        val count = stream.read(buffer)
        if (count < 0) return out.toByteArray()
        if (out.size() + count > most) throw TooLargeException()
        out.write(buffer, 0, count)
    }
}

/**
 * Returns what a person picked as the files of a bundle, for [readBundle].
 *
 * That is the two files, or a zip of them in a directory or in none. A download may have given them
 * other names, as "model (1).json": the only JSON file is the description, the only other file is the
 * model, and its hash says whether it is the right one.
 *
 * @param picked files by their names.
 * @throws TooLargeException what a zip holds is too large.
 */
fun bundleFiles(picked: Map<String, ByteArray>): (String) -> ByteArray? {
    val files = picked.values.singleOrNull()?.takeIf(::isZip)?.let(::unzip) ?: picked
    val (descriptions, others) = files.keys.partition { it.lowercase().endsWith(".json") }
    return { name ->
        files[name] ?: files[(if (name == DESCRIPTION) descriptions else others).singleOrNull()]
    }
}

/** Returns a name for the directory of a bundle: what is no letter, digit, space, dot or hyphen is "_". */
fun directoryName(name: String): String {
    val plain = name.map { if (it.isLetterOrDigit() || it in " .-") it else '_' }.joinToString("")
    return plain.trim().trimStart('.').take(LONGEST_NAME).trim().ifEmpty { "_" }
}

private fun isZip(bytes: ByteArray) =
    bytes.size > 4 && String(bytes, 0, 4, Charsets.ISO_8859_1) == "PK\u0003\u0004"

/** Returns the files of a zip by their names without directories; what is broken holds none. */
private fun unzip(bytes: ByteArray): Map<String, ByteArray> {
    val files = mutableMapOf<String, ByteArray>()
    var left = MOST_BYTES
    try {
        ZipInputStream(ByteArrayInputStream(bytes)).use { zip ->
            repeat(MOST_ENTRIES) {
                val entry = zip.nextEntry ?: return files
                if (!entry.isDirectory && "__MACOSX" !in entry.name) {
                    val content = readAtMost(zip, left)
                    left -= content.size
                    files[entry.name.substringAfterLast('/')] = content
                }
            }
        }
    } catch (_: IllegalArgumentException) { // a name that is no text
        return emptyMap()
    } catch (error: IOException) {
        if (error is TooLargeException) throw error
        return emptyMap()
    }
    throw TooLargeException()
}
