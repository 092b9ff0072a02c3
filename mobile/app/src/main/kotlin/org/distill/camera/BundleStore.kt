package org.distill.camera

import android.content.Context
import org.distill.core.Bundle
import org.distill.core.BundleException
import org.distill.core.DESCRIPTION
import org.distill.core.TooLargeException
import org.distill.core.bundleFiles
import org.distill.core.directoryName
import org.distill.core.readBundle
import java.io.File
import java.io.IOException

/** The bundles that there are: those in the assets, and those that a person has opened. */
class BundleStore(context: Context) {
    private val assets = context.assets
    private val directory = File(context.filesDir, "bundles")

    fun names(): List<String> = shipped() + opened().map { it.name }

    /** Reads a bundle and checks it; see [readBundle]. */
    fun read(name: String): Bundle = readBundle { file ->
        val opened = opened().firstOrNull { it.name == name }
        try {
            if (opened != null) File(opened, file).readBytes() else assets.open("$name/$file").use { it.readBytes() }
        } catch (_: IOException) {
            null
        }
    }

    /**
     * Keeps what a person picked, if it is a bundle, in place of one that was opened with the same name.
     *
     * @param picked files by their names; see [bundleFiles].
     * @return the name of the bundle.
     * @throws BundleException it is none.
     * @throws TooLargeException it is a zip of too much.
     * @throws IOException it cannot be stored.
     */
    fun add(picked: Map<String, ByteArray>): String {
        val files = bundleFiles(picked)
        var modelFile = ""
        val bundle = readBundle { name -> files(name).also { if (name != DESCRIPTION) modelFile = name } }
        val name = directoryName(bundle.name).let { if (it in shipped()) "$it (2)" else it }
        val unfinished = File(directory, UNFINISHED)
        unfinished.deleteRecursively()
        unfinished.mkdirs()
        File(unfinished, DESCRIPTION).writeBytes(requireNotNull(files(DESCRIPTION)))
        File(unfinished, modelFile).writeBytes(bundle.model)
        val finished = File(directory, name)
        finished.deleteRecursively()
        if (!unfinished.renameTo(finished)) throw IOException(name)
        return name
    }

    private fun opened(): List<File> =
        directory.listFiles().orEmpty().filter { it.name != UNFINISHED && File(it, DESCRIPTION).isFile }.sorted()

    private fun shipped(): List<String> = assets.list("").orEmpty()
        .map { it.substringBefore('/') } // of directories, or of all files
        .distinct().filter(::isShipped).sorted()

    private fun isShipped(name: String) = try {
        assets.open("$name/$DESCRIPTION").close()
        true
    } catch (_: IOException) {
        false
    }

    private companion object {
        const val UNFINISHED = ".unfinished"
    }
}
