package org.distill.camera

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Matrix
import android.graphics.drawable.BitmapDrawable
import android.view.TextureView
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import org.distill.core.Announcer
import org.distill.core.FrameResult
import org.distill.core.PreviewTransform
import org.distill.core.Screen
import org.distill.core.Way

/** The views of the camera screen, and what they show. Decides nothing. */
class CameraScreen(private val activity: Activity) {
    val preview: TextureView = activity.view(R.id.preview)
    val way: Button = activity.view(R.id.way)
    val model: Button = activity.view(R.id.model)
    val settings: Button = activity.view(R.id.settings)
    private val crop: View = activity.view(R.id.crop)
    private val seen: ImageView = activity.view(R.id.seen)
    private val message: TextView = activity.view(R.id.message)
    private val messagePanel: View = activity.view(R.id.message_panel)
    private val resultPanel: View = activity.view(R.id.result_panel)
    private val scores: TextView = activity.view(R.id.scores)
    private val timing: TextView = activity.view(R.id.timing)
    private val system: TextView = activity.view(R.id.system)
    private val announcement: TextView = activity.view(R.id.announcement)
    private val announcer = Announcer()
    private var shown: Screen? = null

    fun show(screen: Screen) {
        if (screen == shown) return
        shown = screen
        val running = screen == Screen.Running
        show(resultPanel, running)
        show(seen, running)
        show(crop, running)
        show(messagePanel, !running)
        if (!running) message.text = text(screen)
        val label = label(screen.way)
        show(way, label != null)
        if (label != null) way.setText(label)
    }

    fun show(result: FrameResult, time: Long) {
        scores.text = result.top.joinToString("\n") { activity.getString(R.string.score, it.score, it.label) }
        timing.text = activity.getString(
            R.string.timing,
            result.inferenceMs,
            result.medianMs,
            result.p90Ms,
            result.preprocessingMs,
            result.framesPerSecond,
        )
        val (width, height) = result.seenSize
        val bitmap = Bitmap.createBitmap(result.seen, width, height, Bitmap.Config.ARGB_8888)
        val drawable = BitmapDrawable(activity.resources, bitmap)
        drawable.isFilterBitmap = false // its pixels are the point
        seen.setImageDrawable(drawable)
        seen.contentDescription = activity.getString(if (result.inverted) R.string.seen_inverted else R.string.seen)
        announcer.next(result.top.first().label, time)?.let { announcement.text = it }
    }

    /** Shows memory and CPU use, or with null nothing of it. */
    fun show(reading: SystemReading?) {
        show(system, reading != null)
        if (reading == null) return
        val cpu = reading.cpuPercent
        system.text = if (cpu == null) {
            activity.getString(R.string.system_first, reading.memoryMb, reading.nativeHeapMb)
        } else {
            activity.getString(R.string.system, reading.memoryMb, reading.nativeHeapMb, cpu)
        }
    }

    fun showModel(name: String?) {
        model.text = activity.getString(R.string.choose_model, name ?: activity.getString(R.string.no_model_name))
        model.isEnabled = name != null
    }

    fun show(transform: PreviewTransform) {
        val (x, y) = preview.width / 2f to preview.height / 2f
        val matrix = Matrix()
        matrix.setScale(transform.scaleX, transform.scaleY, x, y)
        matrix.postRotate(transform.degrees.toFloat(), x, y)
        preview.setTransform(matrix)
        val side = transform.square.toInt()
        crop.post { // not in the middle of a layout
            crop.layoutParams = crop.layoutParams.apply {
                width = side
                height = side
            }
        }
    }

    private fun show(view: View, visible: Boolean) {
        view.visibility = if (visible) View.VISIBLE else View.GONE
    }

    private fun text(screen: Screen): String = when (screen) {
        Screen.Loading, Screen.Running -> activity.getString(R.string.loading)
        Screen.PermissionNeeded -> activity.getString(R.string.permission_needed)
        Screen.PermissionBlocked -> activity.getString(R.string.permission_blocked)
        Screen.NoCamera -> activity.getString(R.string.no_camera)
        is Screen.CameraLost -> activity.getString(R.string.camera_lost, screen.detail)
        Screen.NoModel -> activity.getString(R.string.no_model)
        is Screen.ModelInvalid -> activity.getString(R.string.model_invalid, screen.detail)
        is Screen.SelfTestFailed -> activity.getString(R.string.self_test_failed, screen.detail)
    }

    private fun label(way: Way): Int? = when (way) {
        Way.NONE -> null
        Way.ASK_PERMISSION -> R.string.permission_ask
        Way.OPEN_SYSTEM_SETTINGS -> R.string.open_system_settings
        Way.RETRY_CAMERA -> R.string.retry
        Way.CHOOSE_MODEL -> R.string.other_model
    }
}
