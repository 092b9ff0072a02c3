package org.distill.core

import kotlin.math.ceil

private const val NANOS_PER_MS = 1e6
private const val NANOS_PER_S = 1e9

fun millis(nanos: Long): Double = nanos / NANOS_PER_MS

/** The last durations, and what they are like. */
class Latency(private val capacity: Int = 120) {
    private val nanos = ArrayDeque<Long>()

    fun add(duration: Long) {
        if (nanos.size == capacity) nanos.removeFirst()
        nanos.addLast(maxOf(duration, 0))
    }

    /** Returns the median in ms, of an even number the mean of the two in the middle; 0 for none. */
    fun medianMs(): Double {
        if (nanos.isEmpty()) return 0.0
        val sorted = nanos.sorted()
        val half = sorted.size / 2
        return if (sorted.size % 2 == 1) millis(sorted[half]) else (millis(sorted[half - 1]) + millis(sorted[half])) / 2
    }

    /** Returns the shortest duration in ms that at least 90 % do not exceed; 0 for none. */
    fun p90Ms(): Double = if (nanos.isEmpty()) 0.0 else millis(nanos.sorted()[ceil(0.9 * nanos.size).toInt() - 1])
}

/** Frames per second over the last second or so. */
class FrameRate(private val capacity: Int = 30) {
    private val times = ArrayDeque<Long>()

    /** Takes the time of a frame in ns and returns the rate; 0 until there are two frames. */
    fun add(time: Long): Double {
        if (times.isNotEmpty() && time <= times.last()) times.clear() // a clock that went back
        if (times.size == capacity) times.removeFirst()
        times.addLast(time)
        if (times.size < 2) return 0.0
        return (times.size - 1) * NANOS_PER_S / (times.last() - times.first())
    }
}

/** The share of all processors that this process uses. */
class CpuMeter(private val processors: Int) {
    private var cpuMs = -1L
    private var wallMs = -1L

    /** Takes both clocks in ms and returns percent since the call before; null for the first. */
    fun percent(cpuMs: Long, wallMs: Long): Double? {
        val used = cpuMs - this.cpuMs
        val passed = wallMs - this.wallMs
        val first = this.wallMs < 0
        this.cpuMs = cpuMs
        this.wallMs = wallMs
        if (first || passed <= 0) return null
        return (100.0 * used / passed / maxOf(processors, 1)).coerceIn(0.0, 100.0)
    }
}

/** What is read aloud: the top label where it changed, and not more often than once a second. */
class Announcer(private val interval: Long = NANOS_PER_S.toLong()) {
    private var said: String? = null
    private var saidAt = 0L

    /** Returns what to say now, or null. A screen reader is flooded by a text for each frame. */
    fun next(label: String, time: Long): String? {
        if (label == said || (said != null && time - saidAt < interval)) return null
        said = label
        saidAt = time
        return label
    }
}
