package org.distill.camera

import android.app.Activity
import android.content.res.Configuration
import android.graphics.Bitmap
import android.graphics.Matrix
import android.graphics.drawable.BitmapDrawable
import android.view.TextureView
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.RadioGroup
import android.widget.TextView
import org.distill.core.Announcer
import org.distill.core.FrameResult
import org.distill.core.Notice
import org.distill.core.PreviewTransform
import org.distill.core.Screen
import org.distill.core.Source
import org.distill.core.Way

// Of the screen's longer side, with text of the usual size.
private const val STAGE_WEIGHT = 3f
private const val PANEL_WEIGHT = 2f

/** The views of the camera screen, and what they show. Decides nothing. */
class CameraScreen(private val activity: Activity) {
    val preview: TextureView = activity.view(R.id.preview)
    val pad: DrawView = activity.view(R.id.pad)
    val sources: RadioGroup = activity.view(R.id.sources)
    val clear: Button = activity.view(R.id.clear)
    val undo: Button = activity.view(R.id.undo)
    val pick: Button = activity.view(R.id.pick)
    val way: Button = activity.view(R.id.way)
    val model: Button = activity.view(R.id.model)
    val share: Button = activity.view(R.id.share)
    val settings: Button = activity.view(R.id.settings)
    private val root: LinearLayout = activity.view(R.id.root)
    private val stage: View = activity.view(R.id.stage)
    private val panel: View = activity.view(R.id.panel)
    private val crop: View = activity.view(R.id.crop)
    private val picture: ImageView = activity.view(R.id.picture)
    private val drawingBar: View = activity.view(R.id.drawing_bar)
    private val seen: ImageView = activity.view(R.id.seen)
    private val message: TextView = activity.view(R.id.message)
    private val messagePanel: View = activity.view(R.id.message_panel)
    private val resultPanel: View = activity.view(R.id.result_panel)
    private val notice: TextView = activity.view(R.id.notice)
    private val scores: TextView = activity.view(R.id.scores)
    private val timing: TextView = activity.view(R.id.timing)
    private val system: TextView = activity.view(R.id.system)
    private val announcement: TextView = activity.view(R.id.announcement)
    private val announcer = Announcer()
    private var shown: Pair<Screen, Source>? = null

    /**
     * Puts the panel below the stage, or beside it where the screen is wide: neither covers the other.
     * With large text the panel has as much of the screen as the stage.
     */
    fun arrange(configuration: Configuration) {
        val isWide = configuration.orientation == Configuration.ORIENTATION_LANDSCAPE
        root.orientation = if (isWide) LinearLayout.HORIZONTAL else LinearLayout.VERTICAL
        val panelWeight = PANEL_WEIGHT * configuration.fontScale.coerceIn(1f, STAGE_WEIGHT / PANEL_WEIGHT)
        for ((view, share) in listOf(stage to STAGE_WEIGHT, panel to panelWeight)) {
            view.layoutParams = (view.layoutParams as LinearLayout.LayoutParams).apply {
                width = if (isWide) 0 else LinearLayout.LayoutParams.MATCH_PARENT
                height = if (isWide) LinearLayout.LayoutParams.MATCH_PARENT else 0
                weight = share
            }
        }
    }

    fun show(screen: Screen, source: Source) {
        if (shown == screen to source) return
        if (shown?.second != source) showNothing()
        shown = screen to source
        val running = screen == Screen.Running
        resultPanel.visibility = if (running) View.VISIBLE else View.INVISIBLE // it keeps the buttons at their place
        show(crop, running && source == Source.CAMERA)
        show(pad, source == Source.DRAWING)
        show(picture, source == Source.PICTURE)
        show(drawingBar, source == Source.DRAWING)
        show(pick, source == Source.PICTURE)
        preview.alpha = if (source == Source.CAMERA) 1f else 0f // gone, it would lose its surface
        show(messagePanel, !running)
        if (!running) message.text = text(screen)
        val label = label(screen.way)
        show(way, label != null)
        if (label != null) way.setText(label)
    }

    fun show(result: FrameResult, time: Long) {
        share.isEnabled = result.top.isNotEmpty()
        say(noticeOf(result))
        scores.text = result.top.joinToString("\n") { activity.getString(R.string.score, it.score, it.label) }
        timing.text = if (result.source == Source.CAMERA) {
            activity.getString(
                R.string.timing,
                result.inferenceMs,
                result.medianMs,
                result.p90Ms,
                result.preprocessingMs,
                result.framesPerSecond,
            )
        } else {
            activity.getString(R.string.timing_still, result.inferenceMs, result.preprocessingMs)
        }
        val (width, height) = result.seenSize
        val bitmap = Bitmap.createBitmap(result.seen, width, height, Bitmap.Config.ARGB_8888)
        val drawable = BitmapDrawable(activity.resources, bitmap)
        drawable.isFilterBitmap = false // its pixels are the point
        seen.setImageDrawable(drawable)
        seen.contentDescription = activity.getString(if (result.inverted) R.string.seen_inverted else R.string.seen)
        result.top.firstOrNull()?.let { best -> announcer.next(best.label, time)?.let { announcement.text = it } }
    }

    /** Shows what there is to do instead of a result that is no longer true. */
    fun showNothing(todo: Int? = null) {
        share.isEnabled = false
        say(todo)
        scores.text = ""
        timing.text = ""
        seen.setImageDrawable(null)
    }

    /** Shows the square of a picture that is classified, or with null none. */
    fun showPicture(bitmap: Bitmap?) = picture.setImageBitmap(bitmap)

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

    private fun say(text: Int?) {
        show(notice, text != null)
        if (text != null) notice.setText(text)
    }

    private fun noticeOf(result: FrameResult): Int? = when (result.notice) {
        Notice.BLANK -> R.string.blank
        Notice.CUT -> R.string.cut
        Notice.SEVERAL -> R.string.several
        Notice.NONE -> if (result.sure) null else R.string.unsure
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
