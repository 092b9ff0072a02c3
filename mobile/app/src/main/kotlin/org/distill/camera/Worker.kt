package org.distill.camera

import android.os.Handler
import android.os.HandlerThread
import java.util.concurrent.atomic.AtomicInteger

/**
 * A thread that ends when the last that needs it has released it.
 *
 * The system opens and closes a camera at its own pace and answers here. Were nobody there, the camera
 * would stay open.
 */
class Worker(name: String) {
    private val thread = HandlerThread(name).apply { start() }
    private val users = AtomicInteger(1)
    val handler = Handler(thread.looper)

    val isAlive get() = thread.isAlive

    /** For one more user; the first is whoever made it. */
    fun hold() {
        users.incrementAndGet()
    }

    fun release() {
        if (users.decrementAndGet() == 0) thread.quitSafely()
    }
}
