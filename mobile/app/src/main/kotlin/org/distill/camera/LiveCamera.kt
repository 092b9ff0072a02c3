package org.distill.camera

import android.content.Context
import android.graphics.SurfaceTexture
import android.view.TextureView
import org.distill.core.CameraInfo
import org.distill.core.Event
import org.distill.core.Size
import org.distill.core.nearest
import org.distill.core.offered
import org.distill.core.previewTransform
import org.distill.core.uprightRotation

/** The camera behind the preview: found, started and stopped, and turned as the display is. */
class LiveCamera(
    private val context: Context,
    private val views: CameraScreen,
    private val classifier: Classifier,
    private val onLost: (String) -> Unit,
) {
    private var camera: CameraInfo? = null
    private var source: Camera2Source? = null
    private var size: Size? = null

    @Volatile
    private var rotation = 0

    /** Looks for a camera; returns what came of it. */
    fun find(): Event {
        val search = findCamera(context)
        camera = search.camera
        return search.event
    }

    /** Starts the camera, unless it runs, at the resolution that is nearest to the wanted one. */
    fun start(wanted: () -> Size) {
        val camera = camera ?: return
        val texture = views.preview.surfaceTexture ?: return
        if (source != null) return
        val size = nearest(offered(camera.sizes), wanted()) ?: return
        this.size = size
        turn()
        val started = Camera2Source(context.applicationContext, classifier.worker, camera, size, texture) { rotation }
        source = started
        started.start({ classifier.classify(it) }) { reason ->
            views.preview.post { if (source === started) onLost(reason) }
        }
    }

    fun stop() {
        source?.stop()
        source = null
    }

    /** Turns frames and preview as the display is turned. */
    fun turn() {
        val camera = camera ?: return
        val size = size ?: return
        val display = DEGREES * (views.preview.display?.rotation ?: return)
        rotation = uprightRotation(camera.sensorDegrees, display)
        val view = Size(views.preview.width, views.preview.height)
        previewTransform(view, size, camera.sensorDegrees, display)?.let(views::show)
    }

    /** Follows the texture of the preview; `onAvailable` is called when there is one. */
    inner class Surfaces(private val onAvailable: () -> Unit) : TextureView.SurfaceTextureListener {
        override fun onSurfaceTextureAvailable(surface: SurfaceTexture, width: Int, height: Int) = onAvailable()

        override fun onSurfaceTextureSizeChanged(surface: SurfaceTexture, width: Int, height: Int) = turn()

        /** It goes when the camera, which may be slow to close, no longer draws on it. */
        override fun onSurfaceTextureDestroyed(surface: SurfaceTexture): Boolean {
            stop()
            return !classifier.worker.handler.post(surface::release)
        }

        override fun onSurfaceTextureUpdated(surface: SurfaceTexture) = Unit
    }

    private companion object {
        const val DEGREES = 90
    }
}
