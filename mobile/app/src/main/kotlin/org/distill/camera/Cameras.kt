package org.distill.camera

import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import org.distill.core.Answer
import org.distill.core.CameraInfo
import org.distill.core.Facing
import org.distill.core.Search
import org.distill.core.Size
import org.distill.core.choose

/** Returns the text that says why the camera service refuses something. */
fun reasonOf(error: Exception): Int = when ((error as? CameraAccessException)?.reason) {
    CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE -> R.string.camera_in_use
    CameraAccessException.CAMERA_DISABLED -> R.string.camera_disabled
    CameraAccessException.CAMERA_DISCONNECTED -> R.string.camera_taken
    else -> R.string.camera_error
}

/** Looks for the camera to use; see [choose]. Needs no permission. */
fun findCamera(context: Context): Search {
    val manager = context.service<CameraManager>()
    val answers = try {
        manager.cameraIdList.mapNotNull { ask(context, manager, it) }
    } catch (error: CameraAccessException) {
        listOf(Answer.Refused(context.getString(reasonOf(error))))
    }
    return choose(answers)
}

private fun ask(context: Context, manager: CameraManager, id: String): Answer? = try {
    describe(id, manager.getCameraCharacteristics(id))
} catch (error: CameraAccessException) {
    Answer.Refused(context.getString(reasonOf(error)))
} catch (_: IllegalArgumentException) { // unplugged since it was listed
    null
}

private fun describe(id: String, about: CameraCharacteristics): Answer {
    val streams = about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
    val sizes = streams?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().map { Size(it.width, it.height) }
    val facing = when (about.get(CameraCharacteristics.LENS_FACING)) {
        CameraCharacteristics.LENS_FACING_BACK -> Facing.BACK
        CameraCharacteristics.LENS_FACING_EXTERNAL -> Facing.EXTERNAL
        else -> Facing.OTHER
    }
    return Answer.Described(facing, CameraInfo(id, about.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0, sizes))
}
