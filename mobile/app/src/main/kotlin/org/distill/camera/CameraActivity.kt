package org.distill.camera

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.SurfaceTexture
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.os.SystemClock
import android.provider.Settings
import android.view.TextureView
import android.view.WindowManager
import org.distill.core.Camera
import org.distill.core.CameraInfo
import org.distill.core.Defaults
import org.distill.core.Event
import org.distill.core.Facts
import org.distill.core.FrameResult
import org.distill.core.Permission
import org.distill.core.Size
import org.distill.core.Way
import org.distill.core.isBlocked
import org.distill.core.isUnusable
import org.distill.core.nearest
import org.distill.core.offered
import org.distill.core.previewTransform
import org.distill.core.reduce
import org.distill.core.screen
import org.distill.core.uprightRotation
import org.distill.core.wantsCamera

/**
 * Connects what happens (the system's callbacks, the classifier) with what is known ([Facts]), and
 * that with camera and screen. What follows from what is decided in `core`.
 */
class CameraActivity : Activity(), ClassifierListener {
    private lateinit var views: CameraScreen
    private lateinit var prefs: Prefs
    private lateinit var classifier: Classifier
    private var facts = Facts()
    private var asked = false
    private var inFront = false
    private var camera: CameraInfo? = null
    private var source: Camera2Source? = null
    private var stats: SystemStats? = null
    private var choice: AlertDialog? = null
    private var models = emptyList<String>()
    private var loaded: Loaded? = null
    private var defaults: Defaults? = null
    private var classes = 1

    @Volatile
    private var rotation = 0

    /** What the classifier was last told to load. */
    private data class Loaded(val model: String, val threads: Int)

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_camera)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        views = CameraScreen(this)
        prefs = Prefs(this)
        classifier = Classifier(assets, this)
        models = bundleNames(assets)
        views.way.setOnClickListener { go(screen(facts).way) }
        views.model.setOnClickListener { chooseModel() }
        views.settings.setOnClickListener {
            defaults?.let { startActivity(SettingsActivity.intent(this, classes, it)) }
        }
        views.preview.surfaceTextureListener = Surfaces()
        service<DisplayManager>().registerDisplayListener(displays, null)
        savedInstanceState?.let {
            asked = it.getBoolean(ASKED)
            facts = facts.copy(permission = Permission.valueOf(it.getString(PERMISSION, Permission.UNKNOWN.name)))
        }
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putBoolean(ASKED, asked)
        outState.putString(PERMISSION, facts.permission.name)
    }

    override fun onResume() {
        super.onResume()
        inFront = true
        lookForCamera()
        askOrTakeNote()
        loadIfChanged()
        if (prefs.settings(defaults ?: UNTIL_LOADED).showSystem) stats = SystemStats { views.show(it) }
        update()
    }

    override fun onPause() {
        inFront = false
        stats?.close()
        stats = null
        views.show(null)
        update()
        super.onPause()
    }

    override fun onDestroy() {
        choice?.dismiss() // a turned device destroys its activity, and would leak the window
        service<DisplayManager>().unregisterDisplayListener(displays)
        classifier.close()
        super.onDestroy()
    }

    override fun onEvent(event: Event) {
        facts = reduce(facts, event)
        update()
    }

    override fun onLoaded(bundle: org.distill.core.Bundle) {
        classes = bundle.labels.size
        defaults = bundle.defaults
        classifier.settings = prefs.settings(bundle.defaults)
        views.settings.isEnabled = true
    }

    override fun onResult(result: FrameResult) {
        if (!wantsCamera(facts)) return
        onEvent(Event.FrameClassified)
        views.show(result, SystemClock.elapsedRealtimeNanos())
    }

    private fun lookForCamera() {
        val search = findCamera(this)
        camera = search.camera
        onEvent(search.event)
    }

    /** Makes camera and screen follow the facts. */
    private fun update() {
        views.show(screen(facts))
        val wanted = inFront && wantsCamera(facts) && views.preview.isAvailable
        if (wanted && source == null) startCamera()
        if (!wanted) stopCamera()
    }

    private fun startCamera() {
        val camera = camera ?: return
        val texture = views.preview.surfaceTexture ?: return
        val size = frameSize(camera) ?: return
        updateRotation()
        val started = Camera2Source(applicationContext, classifier.handler, camera, size, texture) { rotation }
        source = started
        started.start(classifier::classify) { reason ->
            runOnUiThread { if (source === started) onEvent(Event.CameraLost(reason)) }
        }
    }

    private fun stopCamera() {
        source?.stop()
        source = null
    }

    private fun frameSize(camera: CameraInfo): Size? =
        nearest(offered(camera.sizes), prefs.settings(defaults ?: UNTIL_LOADED).camera)

    /** Turns frames and preview as the display is turned. */
    private fun updateRotation() {
        val camera = camera ?: return
        val display = DEGREES * (views.preview.display?.rotation ?: return)
        rotation = uprightRotation(camera.sensorDegrees, display)
        val view = Size(views.preview.width, views.preview.height)
        val size = frameSize(camera) ?: return
        previewTransform(view, size, camera.sensorDegrees, display)?.let(views::show)
    }

    private fun askOrTakeNote() {
        if (facts.camera == Camera.ABSENT) return // nothing to be allowed
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            onEvent(Event.PermissionAnswered(granted = true, blocked = false))
        } else if (!asked) {
            ask()
        } else if (facts.permission == Permission.GRANTED) { // taken away in the system's settings
            onEvent(Event.PermissionAnswered(granted = false, blocked = false))
        }
    }

    private fun ask() {
        asked = true
        requestPermissions(arrayOf(Manifest.permission.CAMERA), REQUEST)
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<out String>, grantResults: IntArray) {
        super.onRequestPermissionsResult(requestCode, permissions, grantResults)
        if (requestCode != REQUEST) return
        val granted = grantResults.firstOrNull() == PackageManager.PERMISSION_GRANTED
        val explains = shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        val blocked = grantResults.isNotEmpty() && isBlocked(granted, explains, prefs.deniedBefore)
        if (grantResults.isNotEmpty() && !granted) prefs.deniedBefore = true // empty: interrupted
        onEvent(Event.PermissionAnswered(granted, blocked))
    }

    private fun go(way: Way) = when (way) {
        Way.NONE -> Unit
        Way.ASK_PERMISSION -> ask()
        Way.OPEN_SYSTEM_SETTINGS -> startActivity(
            Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null)),
        )
        Way.RETRY_CAMERA -> lookForCamera()
        Way.CHOOSE_MODEL -> chooseModel()
    }

    private fun chooseModel() {
        choice?.dismiss()
        choice = AlertDialog.Builder(this)
            .setTitle(R.string.model)
            .setSingleChoiceItems(models.toTypedArray(), models.indexOf(loaded?.model)) { dialog, which ->
                prefs.model = models[which]
                dialog.dismiss()
                loadIfChanged()
            }
            .show()
    }

    /** Loads the chosen model with the chosen number of threads, unless it is loaded and can be used. */
    private fun loadIfChanged() {
        val name = prefs.model.takeIf { it in models } ?: models.firstOrNull()
        views.showModel(name)
        if (name == null) return onEvent(Event.ModelMissing)
        val settings = prefs.settings(defaults ?: UNTIL_LOADED).clamped(classes)
        classifier.settings = settings
        val wanted = Loaded(name, settings.threads)
        if (wanted == loaded && !isUnusable(facts.model)) return
        loaded = wanted
        onEvent(Event.ModelChosen)
        classifier.load(name, settings.threads)
    }

    private inner class Surfaces : TextureView.SurfaceTextureListener {
        override fun onSurfaceTextureAvailable(surface: SurfaceTexture, width: Int, height: Int) = update()

        override fun onSurfaceTextureSizeChanged(surface: SurfaceTexture, width: Int, height: Int) = updateRotation()

        override fun onSurfaceTextureDestroyed(surface: SurfaceTexture): Boolean {
            stopCamera()
            return true
        }

        override fun onSurfaceTextureUpdated(surface: SurfaceTexture) = Unit
    }

    /** Turned by half, an activity is not created anew. */
    private val displays = object : DisplayManager.DisplayListener {
        override fun onDisplayChanged(displayId: Int) = updateRotation()

        override fun onDisplayAdded(displayId: Int) = Unit

        override fun onDisplayRemoved(displayId: Int) = Unit
    }

    private companion object {
        const val REQUEST = 1
        const val DEGREES = 90
        const val ASKED = "asked"
        const val PERMISSION = "permission"
        val UNTIL_LOADED = Defaults(topK = 3, stages = 3, factor = 0.4)
    }
}
