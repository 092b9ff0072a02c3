package org.distill.core

/**
 * How a preview is fitted into its view, as a whole and undistorted.
 *
 * The system has turned the camera's picture upright for the display's natural orientation and
 * stretched it over the view. Scale it about the middle, then rotate it clockwise about the middle.
 *
 * @param square side of the square in the middle that the model sees, in pixels of the view.
 */
data class PreviewTransform(
    val scaleX: Float,
    val scaleY: Float,
    val degrees: Int,
    val square: Float,
)

/** Returns the rotation, clockwise, that makes frames of a back camera upright on the display. */
fun uprightRotation(sensorDegrees: Int, displayDegrees: Int): Int =
    Math.floorMod(sensorDegrees - displayDegrees, 360)

/**
 * Returns the transform of a preview, or null for a view or buffer without area.
 *
 * @param buffer size of the camera's picture as stored.
 */
fun previewTransform(view: Size, buffer: Size, sensorDegrees: Int, displayDegrees: Int): PreviewTransform? {
    if (minOf(view.width, view.height, buffer.width, buffer.height) < 1) return null
    val natural = if (isTurned(sensorDegrees)) Size(buffer.height, buffer.width) else buffer
    val shown = if (isTurned(displayDegrees)) Size(natural.height, natural.width) else natural
    val zoom = minOf(view.width.toFloat() / shown.width, view.height.toFloat() / shown.height)
    return PreviewTransform(
        scaleX = natural.width * zoom / view.width,
        scaleY = natural.height * zoom / view.height,
        degrees = Math.floorMod(-displayDegrees, 360),
        square = minOf(natural.width, natural.height) * zoom,
    )
}
