package org.distill.camera

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.content.res.Configuration
import android.graphics.Bitmap
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.os.SystemClock
import android.provider.Settings
import android.view.WindowManager
import org.distill.core.Camera
import org.distill.core.Defaults
import org.distill.core.Event
import org.distill.core.Facts
import org.distill.core.FrameResult
import org.distill.core.Permission
import org.distill.core.Source
import org.distill.core.Way
import org.distill.core.isBlocked
import org.distill.core.isUnusable
import org.distill.core.reduce
import org.distill.core.screen
import org.distill.core.wantsCamera

/**
 * Connects what happens (the system's callbacks, the classifier) with what is known ([Facts]), and
 * that with camera and screen. What follows from what is decided in `core`.
 */
class CameraActivity : Activity(), ClassifierListener {
    private lateinit var views: CameraScreen
    private lateinit var prefs: Prefs
    private lateinit var bundles: BundleStore
    private lateinit var classifier: Classifier
    private lateinit var camera: LiveCamera
    private lateinit var files: Files
    private var facts = Facts()
    private var source = Source.CAMERA
    private var asked = false
    private var inFront = false
    private var stats: SystemStats? = null
    private var dialog: AlertDialog? = null
    private var loaded: Loaded? = null
    private var defaults: Defaults? = null
    private var classes = 1
    private var picture: Bitmap? = null
    private var result: FrameResult? = null

    /** What the classifier was last told to load. */
    private data class Loaded(val model: String, val threads: Int)

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_camera)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        views = CameraScreen(this)
        views.arrange(resources.configuration)
        prefs = Prefs(this)
        bundles = BundleStore(this)
        classifier = Classifier(bundles, this)
        camera = LiveCamera(this, views, classifier) { onEvent(Event.CameraLost(it)) }
        files = Files(this, classifier.worker, bundles, ::onPicture, ::onBundle)
        savedInstanceState?.let {
            asked = it.getBoolean(ASKED)
            facts = facts.copy(permission = Permission.valueOf(it.getString(PERMISSION, Permission.UNKNOWN.name)))
            source = Source.valueOf(it.getString(SOURCE, source.name))
        }
        listen()
        service<DisplayManager>().registerDisplayListener(displays, null)
    }

    private fun listen() {
        views.way.setOnClickListener { go(screen(facts, source).way) }
        views.model.setOnClickListener { chooseModel() }
        views.share.setOnClickListener { share() }
        views.settings.setOnClickListener {
            defaults?.let { startActivity(SettingsActivity.intent(this, classes, it)) }
        }
        views.clear.setOnClickListener { views.pad.clear() }
        views.undo.setOnClickListener { views.pad.undo() }
        views.pick.setOnClickListener { files.pickPicture() }
        views.pad.onDrawn = ::classifyStill
        views.sources.setOnCheckedChangeListener { _, id ->
            source = BUTTONS.getValue(id)
            result = null
            if (inFront && source == Source.CAMERA) askOrTakeNote()
            update()
            classifyStill()
        }
        views.preview.surfaceTextureListener = camera.Surfaces(::update)
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putBoolean(ASKED, asked)
        outState.putString(PERMISSION, facts.permission.name)
        outState.putString(SOURCE, source.name)
    }

    override fun onResume() {
        super.onResume()
        inFront = true
        onEvent(camera.find())
        if (source == Source.CAMERA) askOrTakeNote()
        loadIfChanged()
        if (prefs.settings(defaults ?: UNTIL_LOADED).showSystem) stats = SystemStats { views.show(it) }
        update()
        classifyStill()
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
        dialog?.dismiss() // an activity that is created anew would leak the window
        service<DisplayManager>().unregisterDisplayListener(displays)
        camera.stop()
        classifier.close()
        super.onDestroy()
    }

    /** A device that is turned keeps its activity, with model and camera. */
    override fun onConfigurationChanged(newConfig: Configuration) {
        super.onConfigurationChanged(newConfig)
        views.arrange(newConfig)
        camera.turn()
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
        classifyStill()
    }

    override fun onResult(result: FrameResult) {
        if (result.source != source || (source == Source.CAMERA && !wantsCamera(facts))) return
        if (source == Source.DRAWING && views.pad.isEmpty) return // cleared meanwhile
        if (source == Source.CAMERA) onEvent(Event.FrameClassified)
        this.result = result
        views.show(result, SystemClock.elapsedRealtimeNanos())
    }

    /** Makes camera and screen follow the facts. */
    private fun update() {
        views.show(screen(facts, source), source)
        val wanted = inFront && wantsCamera(facts, source) && views.preview.isAvailable
        if (wanted) camera.start { prefs.settings(defaults ?: UNTIL_LOADED).camera } else camera.stop()
    }

    /** Classifies the drawing or the picture that is shown, if any. */
    private fun classifyStill() {
        val picture = picture
        when {
            source == Source.CAMERA -> Unit
            source == Source.DRAWING && views.pad.isEmpty -> views.showNothing(R.string.draw_here)
            source == Source.DRAWING -> classifier.classify(source, views.pad.image())
            picture == null -> views.showNothing(R.string.no_picture_yet)
            else -> classifier.classify(source, imageOf(picture))
        }
    }

    private fun askOrTakeNote() {
        if (facts.camera == Camera.ABSENT) return // nothing to be allowed
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            prefs.explainedBefore = false // whoever takes it away may be asked for it again
            onEvent(Event.PermissionAnswered(granted = true, blocked = false))
        } else if (!asked) {
            ask()
        } else if (facts.permission == Permission.GRANTED) { // taken away in the system's settings
            onEvent(Event.PermissionAnswered(granted = false, blocked = false))
        }
    }

    private fun ask() {
        asked = true
        requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION_REQUEST)
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<out String>, grantResults: IntArray) {
        super.onRequestPermissionsResult(requestCode, permissions, grantResults)
        if (requestCode != PERMISSION_REQUEST) return
        val granted = grantResults.firstOrNull() == PackageManager.PERMISSION_GRANTED
        val explains = shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        // Without results the request was interrupted.
        val blocked = grantResults.isNotEmpty() && isBlocked(granted, explains, prefs.explainedBefore)
        if (explains) prefs.explainedBefore = true
        onEvent(Event.PermissionAnswered(granted, blocked))
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        super.onActivityResult(requestCode, resultCode, data)
        if (resultCode == RESULT_OK && data != null) files.read(requestCode, data)
    }

    private fun onPicture(bitmap: Bitmap) {
        picture = bitmap
        views.showPicture(bitmap)
        classifyStill()
    }

    private fun onBundle(name: String) {
        prefs.model = name
        loaded = null // one of the same name is another one
        loadIfChanged()
    }

    private fun go(way: Way) = when (way) {
        Way.NONE -> Unit
        Way.ASK_PERMISSION -> ask()
        Way.OPEN_SYSTEM_SETTINGS -> startActivity(
            Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null)),
        )
        Way.RETRY_CAMERA -> onEvent(camera.find())
        Way.CHOOSE_MODEL -> chooseModel()
    }

    private fun chooseModel() {
        val names = bundles.names()
        dialog?.dismiss()
        dialog = AlertDialog.Builder(this)
            .setTitle(R.string.model)
            .setSingleChoiceItems(names.toTypedArray(), names.indexOf(loaded?.model)) { dialog, which ->
                prefs.model = names[which]
                dialog.dismiss()
                loadIfChanged()
            }
            .setNeutralButton(R.string.open_bundle) { _, _ -> files.pickBundle() }
            .show()
    }

    private fun share() {
        val best = result?.top?.firstOrNull() ?: return
        val text = getString(R.string.shared, best.label, PERCENT * best.score, loaded?.model.orEmpty())
        val sending = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, text)
        try {
            startActivity(Intent.createChooser(sending, null))
        } catch (_: ActivityNotFoundException) {
            files.tell(getString(R.string.no_app_for_it))
        }
    }

    /** Loads the chosen model with the chosen number of threads, unless it is loaded and can be used. */
    private fun loadIfChanged() {
        val names = bundles.names()
        val usual = getString(R.string.default_model)
        val name = listOfNotNull(prefs.model, usual).firstOrNull { it in names } ?: names.firstOrNull()
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

    /** Turned by half, a device has the same configuration. */
    private val displays = object : DisplayManager.DisplayListener {
        override fun onDisplayChanged(displayId: Int) = camera.turn()

        override fun onDisplayAdded(displayId: Int) = Unit

        override fun onDisplayRemoved(displayId: Int) = Unit
    }

    private companion object {
        const val PERMISSION_REQUEST = 1
        const val PERCENT = 100
        const val ASKED = "asked"
        const val PERMISSION = "permission"
        const val SOURCE = "source"
        val BUTTONS = mapOf(
            R.id.from_camera to Source.CAMERA,
            R.id.from_drawing to Source.DRAWING,
            R.id.from_picture to Source.PICTURE,
        )
        val UNTIL_LOADED = Defaults(topK = 3, stages = 3, factor = 0.4)
    }
}
