package org.distill.camera

import android.content.res.AssetManager
import org.distill.core.Bundle
import org.distill.core.DESCRIPTION
import org.distill.core.readBundle
import java.io.IOException

/** Returns the names of the bundles in the assets: the directories that hold a description. */
fun bundleNames(assets: AssetManager): List<String> =
    entries(assets, "").filter { DESCRIPTION in entries(assets, it) }.sorted()

/** Reads a bundle and checks it; see [readBundle]. */
fun bundleOf(assets: AssetManager, name: String): Bundle = readBundle { file ->
    try {
        assets.open("$name/$file").use { it.readBytes() }
    } catch (_: IOException) {
        null
    }
}

private fun entries(assets: AssetManager, path: String): List<String> = try {
    assets.list(path).orEmpty().toList()
} catch (_: IOException) {
    emptyList()
}
