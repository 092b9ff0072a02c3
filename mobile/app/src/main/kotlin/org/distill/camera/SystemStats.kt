package org.distill.camera

import android.os.Debug
import android.os.Handler
import android.os.Looper
import android.os.Process
import android.os.SystemClock
import org.distill.core.CpuMeter
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit

/** Memory of this process, and its share of all processors; null before there are two readings. */
class SystemReading(val memoryMb: Double, val nativeHeapMb: Double, val cpuPercent: Double?)

/**
 * Reads memory and CPU use once a second, off the main thread: the kernel adds up the memory of all
 * pages for it. `ActivityManager.getProcessMemoryInfo` would return readings minutes old.
 */
class SystemStats(private val onReading: (SystemReading) -> Unit) {
    private val main = Handler(Looper.getMainLooper())
    private val meter = CpuMeter(Runtime.getRuntime().availableProcessors())
    private val timer = Executors.newSingleThreadScheduledExecutor()
    private var closed = false // of the main thread

    init {
        timer.scheduleWithFixedDelay(::read, 0, 1, TimeUnit.SECONDS)
    }

    /** Call it on the main thread: after it there is no reading, also not the one under way. */
    fun close() {
        closed = true
        timer.shutdownNow()
    }

    private fun read() {
        val reading = SystemReading(
            memoryMb = Debug.getPss() / KB_PER_MB,
            nativeHeapMb = Debug.getNativeHeapAllocatedSize() / KB_PER_MB / BYTES_PER_KB,
            cpuPercent = meter.percent(Process.getElapsedCpuTime(), SystemClock.elapsedRealtime()),
        )
        main.post { if (!closed) onReading(reading) }
    }

    private companion object {
        const val KB_PER_MB = 1024.0
        const val BYTES_PER_KB = 1024.0
    }
}
