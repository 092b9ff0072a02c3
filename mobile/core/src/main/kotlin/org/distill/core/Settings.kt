package org.distill.core

/** A resolution of the camera, as stored: `width` is the longer side on all phones known. */
data class Size(val width: Int, val height: Int) {
    override fun toString() = "${width}x$height"
}

/**
 * What a person may choose. Values out of range are clamped, never refused.
 *
 * @param sureFrom the score from which an answer is given without doubt, see [FrameResult].
 */
data class Settings(
    val topK: Int,
    val stages: Int,
    val factor: Double,
    val camera: Size = Size(640, 480),
    val threads: Int = 1,
    val showSystem: Boolean = false,
    val sureFrom: Double = SURE_FROM,
) {
    /** Returns the nearest settings that are possible with a model of that many classes. */
    fun clamped(classes: Int) = copy(
        topK = topK.coerceIn(1, maxOf(classes, 1)),
        stages = stages.coerceIn(0, MAX_STAGES),
        factor = if (factor.isNaN()) MAX_FACTOR else factor.coerceIn(MIN_FACTOR, MAX_FACTOR),
        threads = threads.coerceIn(1, MAX_THREADS),
        sureFrom = if (sureFrom.isNaN()) SURE_FROM else sureFrom.coerceIn(0.0, 1.0),
    )

    companion object {
        const val MAX_STAGES = 16
        const val MAX_THREADS = 4
        const val MIN_FACTOR = 0.01
        const val MAX_FACTOR = 1.0
        const val SURE_FROM = 0.9

        fun of(defaults: Defaults) = Settings(defaults.topK, defaults.stages, defaults.factor)
    }
}

private const val MOST_WIDTH = 1280
private const val MOST_HEIGHT = 720

/**
 * Returns the resolutions worth offering, largest first: the model sees far less than they hold.
 *
 * Where the camera has none so small, its smallest.
 */
fun offered(sizes: List<Size>): List<Size> {
    val order = compareByDescending<Size> { it.width.toLong() * it.height }.thenByDescending { it.width }
    val sorted = sizes.filter { it.width > 0 && it.height > 0 }.distinct().sortedWith(order)
    return sorted.filter { it.width <= MOST_WIDTH && it.height <= MOST_HEIGHT }.ifEmpty { sorted.takeLast(1) }
}

/** Returns the one whose number of pixels is nearest to what is wanted, or null where there is none. */
fun nearest(sizes: List<Size>, wanted: Size): Size? {
    val pixels = wanted.width.toLong() * wanted.height
    return sizes.minByOrNull { if (it == wanted) -1 else kotlin.math.abs(it.width.toLong() * it.height - pixels) }
}
