package org.distill.camera

import android.content.Context
import org.distill.core.Defaults
import org.distill.core.Settings
import org.distill.core.Size
import kotlin.math.roundToInt

/** What the app remembers. What a person has not chosen is as the model's bundle has it. */
class Prefs(context: Context) {
    private val stored = context.getSharedPreferences("settings", Context.MODE_PRIVATE)

    /** The bundle that was chosen last. */
    var model: String?
        get() = stored.getString(MODEL, null)
        set(value) = stored.edit().putString(MODEL, value).apply()

    /** Whether the system has offered to explain why the camera is needed, as it does after a denial. */
    var explainedBefore: Boolean
        get() = stored.getBoolean(EXPLAINED, false)
        set(value) = stored.edit().putBoolean(EXPLAINED, value).apply()

    fun settings(defaults: Defaults): Settings {
        val usual = Settings.of(defaults)
        return Settings(
            topK = stored.getInt(TOP_K, usual.topK),
            stages = stored.getInt(STAGES, usual.stages),
            factor = if (FACTOR in stored) stored.getFloat(FACTOR, 0f).toDouble() else usual.factor,
            camera = Size(stored.getInt(WIDTH, usual.camera.width), stored.getInt(HEIGHT, usual.camera.height)),
            threads = stored.getInt(THREADS, usual.threads),
            showSystem = stored.getBoolean(SYSTEM, usual.showSystem),
            sureFrom = if (SURE in stored) stored.getInt(SURE, 0) / PERCENT else usual.sureFrom,
        )
    }

    /** Stores what differs from the settings before, so that the rest still follows the bundle. */
    fun store(before: Settings, after: Settings) {
        val edit = stored.edit()
        if (after.topK != before.topK) edit.putInt(TOP_K, after.topK)
        if (after.stages != before.stages) edit.putInt(STAGES, after.stages)
        if (after.factor != before.factor) edit.putFloat(FACTOR, after.factor.toFloat())
        if (after.camera != before.camera) edit.putInt(WIDTH, after.camera.width).putInt(HEIGHT, after.camera.height)
        if (after.threads != before.threads) edit.putInt(THREADS, after.threads)
        if (after.showSystem != before.showSystem) edit.putBoolean(SYSTEM, after.showSystem)
        if (after.sureFrom != before.sureFrom) edit.putInt(SURE, (after.sureFrom * PERCENT).roundToInt())
        edit.apply()
    }

    /** Forgets the settings; the model and what is known of the permission stay. */
    fun reset() {
        val edit = stored.edit()
        listOf(TOP_K, STAGES, FACTOR, WIDTH, HEIGHT, THREADS, SYSTEM, SURE).forEach(edit::remove)
        edit.apply()
    }

    private companion object {
        const val MODEL = "model"
        const val EXPLAINED = "explained_before"
        const val TOP_K = "top_k"
        const val STAGES = "stages"
        const val FACTOR = "factor"
        const val WIDTH = "camera_width"
        const val HEIGHT = "camera_height"
        const val THREADS = "threads"
        const val SYSTEM = "show_system"
        const val SURE = "sure_from_percent"
        const val PERCENT = 100.0
    }
}
