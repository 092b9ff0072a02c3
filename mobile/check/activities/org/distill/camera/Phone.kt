package org.distill.camera

import android.Manifest
import android.app.Application
import android.content.Context
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.ImageFormat
import android.graphics.PorterDuff
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.net.Uri
import android.os.Build
import android.os.Looper
import android.os.SystemClock
import android.util.Size
import android.view.MotionEvent
import android.view.TextureView
import android.view.View
import android.widget.RadioGroup
import android.widget.TextView
import org.distill.core.Frame
import org.distill.core.frameOf
import org.junit.Assume.assumeTrue
import org.junit.runners.model.FrameworkMethod
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.internal.bytecode.InstrumentationConfiguration
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.StreamConfigurationMapBuilder
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream

private const val PATIENCE = 20_000L // ms; a busy machine is slow

/** Leaves the runtime's native library to one class loader, as a library can be loaded by one alone. */
class Runner(test: Class<*>) : RobolectricTestRunner(test) {
    override fun createClassLoaderConfig(method: FrameworkMethod): InstrumentationConfiguration =
        InstrumentationConfiguration.Builder(super.createClassLoaderConfig(method))
            .doNotAcquirePackage("org.bytedeco.")
            .build()
}

/** A phone with the app on it: what a person does, and what there is to see. */
class Phone(hasCamera: Boolean = true, isAllowed: Boolean = true, qualifiers: String = "w360dp-h640dp-xhdpi") {
    val application: Application
    val activity get() = controller.get()
    var controller: ActivityController<CameraActivity>
        private set

    init {
        RuntimeEnvironment.setQualifiers(qualifiers)
        application = RuntimeEnvironment.getApplication()
        if (hasCamera) addCamera()
        if (isAllowed) shadowOf(application).grantPermissions(Manifest.permission.CAMERA)
        controller = Robolectric.buildActivity(CameraActivity::class.java)
    }

    private fun addCamera() {
        val camera = ShadowCameraCharacteristics.newCameraCharacteristics()
        val sizes = StreamConfigurationMapBuilder.newBuilder()
            .addOutputSize(ImageFormat.YUV_420_888, Size(640, 480))
            .addOutputSize(ImageFormat.YUV_420_888, Size(1280, 720))
            .build()
        val about = shadowOf(camera)
        about.set(CameraCharacteristics.LENS_FACING, CameraCharacteristics.LENS_FACING_BACK)
        about.set(CameraCharacteristics.SENSOR_ORIENTATION, 90)
        about.set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, sizes)
        val manager = application.getSystemService(Context.CAMERA_SERVICE) as CameraManager
        if (manager.cameraIdList.isEmpty()) shadowOf(manager).addCamera("0", camera)
    }

    fun start() = apply { controller.setup() }

    /** A start after the app's process has ended. */
    fun startAnew() = apply {
        controller.pause().stop().destroy()
        controller = Robolectric.buildActivity(CameraActivity::class.java)
        start()
    }

    fun <T : View> find(id: Int): T = activity.view(id)

    fun text(id: Int) = find<TextView>(id).text.toString()

    fun isShown(id: Int) = find<View>(id).visibility == View.VISIBLE

    fun click(id: Int) {
        find<View>(id).performClick()
        idle()
    }

    fun choose(source: Int) {
        find<RadioGroup>(R.id.sources).check(source)
        idle()
    }

    fun idle() = shadowOf(Looper.getMainLooper()).idle()

    /** Waits for what the app's own thread has to do. */
    fun await(what: String, holds: () -> Boolean) {
        val end = System.nanoTime() + PATIENCE * 1_000_000
        while (true) {
            idle()
            if (holds()) return
            check(System.nanoTime() < end) { "no $what; there is ${text(R.id.message)} ${text(R.id.scores)}" }
            Thread.sleep(5)
        }
    }

    fun awaitModel() = apply { await("the model") { find<View>(R.id.settings).isEnabled } }

    /** Draws lines, in the coordinates of a pad of 280 by 280. */
    fun draw(vararg strokes: List<Pair<Int, Int>>) {
        val pad = find<View>(R.id.pad)
        for (stroke in strokes) {
            stroke.forEachIndexed { i, (x, y) ->
                touch(pad, if (i == 0) MotionEvent.ACTION_DOWN else MotionEvent.ACTION_MOVE, x, y)
            }
            touch(pad, MotionEvent.ACTION_UP, stroke.last().first, stroke.last().second)
        }
    }

    private fun touch(pad: View, action: Int, x: Int, y: Int) {
        val time = SystemClock.uptimeMillis()
        val scale = pad.width / 280f
        val event = MotionEvent.obtain(time, time, action, x * scale, y * scale, 0)
        pad.dispatchTouchEvent(event)
        event.recycle()
    }

    /**
     * Gives the preview a texture, which Robolectric's windows do not, and so starts the camera. Below API
     * 28 its cameras have no sessions: a test that needs one ends here.
     */
    fun showPreview(): SurfaceTexture {
        assumeTrue(Build.VERSION.SDK_INT >= Build.VERSION_CODES.P)
        val preview = find<TextureView>(R.id.preview)
        val texture = SurfaceTexture(0)
        preview.setSurfaceTexture(texture)
        requireNotNull(preview.surfaceTextureListener).onSurfaceTextureAvailable(texture, preview.width, preview.height)
        idle()
        return texture
    }

    /** Classifies an image as if it came from the camera. */
    fun see(image: Bitmap) {
        val field = CameraActivity::class.java.getDeclaredField("classifier").apply { isAccessible = true }
        val classifier = field.get(activity) as Classifier
        classifier.worker.handler.post { classifier.classify(frame(image)) }
    }

    private fun frame(image: Bitmap): Frame {
        val pixels = IntArray(image.width * image.height)
        image.getPixels(pixels, 0, image.width, 0, 0, image.width, image.height)
        return frameOf(pixels, image.width, image.height)
    }

    /** Answers the last request for a file with files of these contents. */
    fun pick(vararg files: Pair<String, ByteArray>) {
        val asked = shadowOf(activity).nextStartedActivityForResult
        val uris = files.map { (name, content) ->
            Uri.parse("content://files/$name").also { uri ->
                shadowOf(application.contentResolver)
                    .registerInputStreamSupplier(uri) { ByteArrayInputStream(content) }
            }
        }
        val answer = Intent()
        if (uris.size == 1) {
            answer.data = uris[0]
        } else {
            answer.clipData = android.content.ClipData.newRawUri("", uris[0]).apply {
                uris.drop(1).forEach { addItem(android.content.ClipData.Item(it)) }
            }
        }
        shadowOf(activity).receiveResult(asked.intent, android.app.Activity.RESULT_OK, answer)
        idle()
    }

    /** Returns the screen as a picture. */
    fun screenshot(): Bitmap {
        idle()
        val view = activity.window.decorView
        view.jumpDrawablesToCurrentState() // a button that was pressed ends its animation
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(bitmap)
        view.draw(canvas)
        canvas.drawColor(Color.BLACK, PorterDuff.Mode.DST_OVER) // through the hole that is for the preview
        return bitmap
    }
}

/** Returns a picture as a file. */
fun png(bitmap: Bitmap): ByteArray =
    ByteArrayOutputStream().also { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }.toByteArray()
