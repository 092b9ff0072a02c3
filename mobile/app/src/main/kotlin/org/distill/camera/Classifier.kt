package org.distill.camera

import android.os.Handler
import android.os.Looper
import android.os.SystemClock
import org.distill.core.Bundle
import org.distill.core.BundleException
import org.distill.core.Engine
import org.distill.core.Event
import org.distill.core.Frame
import org.distill.core.FrameException
import org.distill.core.FrameResult
import org.distill.core.Pipeline
import org.distill.core.ScoreException
import org.distill.core.Settings
import org.distill.core.Source
import java.util.concurrent.atomic.AtomicReference

/** What the classifier tells, always on the main thread. */
interface ClassifierListener {
    fun onEvent(event: Event)

    fun onLoaded(bundle: Bundle)

    fun onResult(result: FrameResult)
}

/**
 * The background thread: camera, preprocessing and model share it, and nothing else touches them.
 *
 * So the model is never closed while it runs, and frames that come in the meantime are dropped.
 */
class Classifier(private val bundles: BundleStore, private val listener: ClassifierListener) {
    private val main = Handler(Looper.getMainLooper())
    private val newest = AtomicReference<FrameResult?>()
    private val newestStill = AtomicReference<(() -> Unit)?>()
    private var engine: Engine? = null
    private var pipeline: Pipeline? = null

    /** For the source of the frames, which has to call [classify] there. */
    val worker = Worker("camera")

    /** What the next frame is classified with, but for the threads, which [load] sets. */
    @Volatile
    var settings: Settings? = null

    /** Changes the model: reads, checks and tries it, and tells how that went. */
    fun load(name: String, threads: Int) {
        worker.handler.post {
            unload()
            try {
                prepare(name, threads)
            } catch (error: BundleException) {
                unload()
                tell(Event.ModelInvalid("$name: ${error.message}"))
            }
        }
    }

    private fun prepare(name: String, threads: Int) {
        val bundle = bundles.read(name)
        val loaded = InterpreterEngine(bundle.model, threads)
        engine = loaded
        val prepared = Pipeline(bundle, loaded, SystemClock::elapsedRealtimeNanos)
        val difference = prepared.selfTest()
        if (difference == null) {
            pipeline = prepared
            main.post { listener.onLoaded(bundle) }
            tell(Event.ModelReady)
        } else {
            unload()
            tell(Event.SelfTestFailed("$name: $difference"))
        }
    }

    /** Classifies the image that is made there, unless a newer one comes before its turn. */
    fun classify(source: Source, image: () -> Frame) {
        val still = { classify(image(), source) }
        if (newestStill.getAndSet(still) != null) return
        worker.handler.post { newestStill.getAndSet(null)?.invoke() }
    }

    /** Classifies a frame; on the thread of [worker]. */
    fun classify(frame: Frame, source: Source = Source.CAMERA) {
        val pipeline = pipeline ?: return
        val settings = settings ?: return
        try {
            show(pipeline.classify(frame, settings, source))
        } catch (error: FrameException) {
            tell(Event.CameraLost(error.message.orEmpty()))
        } catch (error: ScoreException) {
            unload()
            tell(Event.ModelInvalid(error.message.orEmpty()))
        } catch (error: BundleException) {
            unload()
            tell(Event.ModelInvalid(error.message.orEmpty()))
        }
    }

    /** Results that the main thread had no time to show are replaced by newer ones, not queued. */
    private fun show(result: FrameResult) {
        if (newest.getAndSet(result) == null) {
            main.post { newest.getAndSet(null)?.let(listener::onResult) }
        }
    }

    fun close() {
        worker.handler.post(::unload)
        worker.release()
        main.removeCallbacksAndMessages(null)
    }

    private fun unload() {
        engine?.close()
        engine = null
        pipeline = null
        newest.set(null)
    }

    private fun tell(event: Event) {
        main.post { listener.onEvent(event) }
    }
}
