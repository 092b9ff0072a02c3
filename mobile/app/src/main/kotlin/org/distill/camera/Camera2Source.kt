package org.distill.camera

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.media.Image
import android.media.ImageReader
import android.util.Log
import android.view.Surface
import org.distill.core.CameraInfo
import org.distill.core.Frame
import org.distill.core.FrameSource
import org.distill.core.Plane
import org.distill.core.Size

/**
 * Frames of a camera, which it also shows on a texture. For one start and one stop.
 *
 * @param worker on which everything happens, but for the calls of start and stop; held from the start
 *     until the camera, if it was asked for, is closed again.
 * @param rotation degrees, clockwise, that make a frame upright at this moment.
 */
class Camera2Source(
    private val context: Context,
    private val worker: Worker,
    private val camera: CameraInfo,
    private val size: Size,
    private val texture: SurfaceTexture,
    private val rotation: () -> Int,
) : FrameSource {
    private val handler = worker.handler

    @Volatile
    private var stopped = false
    private var device: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var reader: ImageReader? = null
    private var preview: Surface? = null
    private lateinit var onFrame: (Frame) -> Unit
    private lateinit var onLost: (String) -> Unit

    override fun start(onFrame: (Frame) -> Unit, onLost: (String) -> Unit) {
        this.onFrame = onFrame
        this.onLost = onLost
        worker.hold()
        handler.post { attempt { open() } }
    }

    override fun stop() {
        stopped = true
        handler.post(::close)
    }

    @SuppressLint("MissingPermission") // a SecurityException is answered by attempt()
    private fun open() {
        var asked = false
        try {
            if (stopped) return
            context.service<CameraManager>().openCamera(camera.id, Device(), handler)
            asked = true
        } finally {
            if (!asked) worker.release() // nothing will answer
        }
    }

    private inner class Device : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            device = camera
            if (stopped) close() else attempt { configure(camera) }
        }

        override fun onClosed(camera: CameraDevice) = worker.release()

        override fun onDisconnected(camera: CameraDevice) = lose(camera, context.getString(R.string.camera_taken))

        override fun onError(camera: CameraDevice, error: Int) = lose(
            camera,
            when (error) {
                ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> context.getString(R.string.camera_in_use)
                ERROR_CAMERA_DISABLED -> context.getString(R.string.camera_disabled)
                else -> context.getString(R.string.camera_error)
            },
        )

        private fun lose(camera: CameraDevice, reason: String) {
            camera.close() // also one that was never given to onOpened
            lost(reason)
        }
    }

    // Its successor needs API 28; both do the same.
    @Suppress("DEPRECATION")
    private fun configure(device: CameraDevice) {
        val reader = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, MAX_IMAGES)
        this.reader = reader
        reader.setOnImageAvailableListener({ available(it) }, handler)
        texture.setDefaultBufferSize(size.width, size.height)
        val preview = Surface(texture)
        this.preview = preview
        device.createCaptureSession(listOf(preview, reader.surface), Session(device), handler)
    }

    private inner class Session(private val device: CameraDevice) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            this@Camera2Source.session = session
            if (!stopped) attempt { repeat(session) }
        }

        override fun onConfigureFailed(session: CameraCaptureSession) =
            lost(context.getString(R.string.camera_refused, "$size"))

        private fun repeat(session: CameraCaptureSession) {
            // With the focus mode that the camera has for previews; not each has the same ones.
            val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            listOfNotNull(preview, reader?.surface).forEach(request::addTarget)
            session.setRepeatingRequest(request.build(), null, handler)
        }
    }

    /** Hands on the newest frame; those that came while the last one was classified are dropped. */
    private fun available(reader: ImageReader) {
        if (stopped) return
        reader.acquireLatestImage()?.use { image -> onFrame(frame(image)) }
    }

    private fun frame(image: Image): Frame {
        val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
        return Frame(image.width, image.height, rotation(), y, u, v)
    }

    /** What the camera service refuses is no bug of ours: the camera is lost, with the reason. */
    private fun attempt(action: () -> Unit) {
        try {
            action()
        } catch (error: CameraAccessException) {
            lost(error)
        } catch (error: SecurityException) {
            lost(error)
        } catch (error: IllegalArgumentException) {
            lost(error)
        } catch (error: IllegalStateException) {
            lost(error)
        } catch (error: Surface.OutOfResourcesException) {
            lost(error)
        }
    }

    private fun lost(error: Exception) {
        Log.w(TAG, error)
        lost(context.getString(reasonOf(error)))
    }

    private fun lost(reason: String) {
        close()
        if (!stopped) onLost(reason)
        stopped = true
    }

    /** Closes in the order in which nothing is used after it is closed. */
    private fun close() {
        session?.close()
        device?.close()
        reader?.close()
        preview?.release()
        session = null
        device = null
        reader = null
        preview = null
    }

    private companion object {
        const val MAX_IMAGES = 2
        const val TAG = "Distill"
    }
}
