package org.distill.camera

import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import org.distill.core.Size

/** A camera that looks away from the person, and the resolutions of its frames. */
class CameraInfo(val id: String, val sensorDegrees: Int, val sizes: List<Size>)

/** Returns the back camera, else one that is plugged in, else null. Needs no permission. */
fun findCamera(context: Context): CameraInfo? {
    val manager = context.service<CameraManager>()
    return try {
        val all = manager.cameraIdList.map { it to manager.getCameraCharacteristics(it) }
        val wanted = listOf(CameraCharacteristics.LENS_FACING_BACK, CameraCharacteristics.LENS_FACING_EXTERNAL)
        wanted.firstNotNullOfOrNull { facing ->
            all.firstOrNull { (_, about) -> about.get(CameraCharacteristics.LENS_FACING) == facing }
        }?.let { (id, about) -> info(id, about) }
    } catch (_: CameraAccessException) {
        null
    } catch (_: IllegalArgumentException) { // unplugged since it was listed
        null
    }
}

private fun info(id: String, about: CameraCharacteristics): CameraInfo? {
    val streams = about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
    val sizes = streams?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().map { Size(it.width, it.height) }
    if (sizes.isEmpty()) return null
    return CameraInfo(id, about.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0, sizes)
}
