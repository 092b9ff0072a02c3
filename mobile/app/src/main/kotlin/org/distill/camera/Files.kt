package org.distill.camera

import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.Intent
import android.graphics.Bitmap
import org.distill.core.BundleException
import org.distill.core.MOST_BYTES
import org.distill.core.TooLargeException
import java.io.IOException

/** Pictures and bundles that a person picks by the system's own picker. */
class Files(
    private val activity: Activity,
    private val worker: Worker,
    private val bundles: BundleStore,
    private val onPicture: (Bitmap) -> Unit,
    private val onBundle: (String) -> Unit,
) {
    fun pickPicture() = ask(PICTURE, picking("image/*", several = false))

    /** Two files, or a zip of them: their types are no more than what their names promise. */
    fun pickBundle() = ask(BUNDLE, picking("*/*", several = true))

    private fun ask(request: Int, intent: Intent) {
        try {
            @Suppress("DEPRECATION") // its successor is on Google's Maven alone
            activity.startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            tell(activity.getString(R.string.no_app_for_it))
        }
    }

    /** Reads what was picked, and tells what cannot be used. */
    fun read(request: Int, answer: Intent) {
        val uris = pickedUris(answer)
        val resolver = activity.contentResolver
        if (uris.isEmpty()) return
        worker.handler.post {
            try {
                when (request) {
                    PICTURE -> readPicture(resolver, uris.first()).let { finish { onPicture(it) } }
                    BUNDLE -> bundles.add(readFiles(resolver, uris)).let { finish { onBundle(it) } }
                }
            } catch (_: TooLargeException) {
                finish { tell(activity.getString(R.string.too_large, MOST_BYTES / BYTES_PER_MB)) }
            } catch (error: BundleException) {
                finish { tell(activity.getString(R.string.no_bundle, error.message.orEmpty())) }
            } catch (_: IOException) {
                finish { tell(activity.getString(R.string.unreadable)) }
            }
        }
    }

    fun tell(message: String) {
        AlertDialog.Builder(activity)
            .setTitle(R.string.not_opened)
            .setMessage(message)
            .setPositiveButton(android.R.string.ok, null)
            .show()
    }

    private fun finish(action: () -> Unit) = activity.runOnUiThread { if (!activity.isDestroyed) action() }

    private companion object {
        const val PICTURE = 2
        const val BUNDLE = 3
        const val BYTES_PER_MB = 1024 * 1024
    }
}
