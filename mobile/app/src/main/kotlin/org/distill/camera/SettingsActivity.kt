package org.distill.camera

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.SeekBar
import android.widget.Spinner
import android.widget.Switch
import android.widget.TextView
import org.distill.core.Defaults
import org.distill.core.Settings
import org.distill.core.nearest
import org.distill.core.offered
import kotlin.math.roundToInt

/** Everything that a person may change but for the model. Each change is stored at once. */
class SettingsActivity : Activity() {
    private lateinit var prefs: Prefs
    private lateinit var defaults: Defaults
    private lateinit var settings: Settings
    private var classes = 1

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_settings)
        prefs = Prefs(this)
        classes = intent.getIntExtra(CLASSES, 1)
        defaults = Defaults(
            topK = intent.getIntExtra(TOP_K, 1),
            stages = intent.getIntExtra(STAGES, 1),
            factor = intent.getDoubleExtra(FACTOR, 1.0),
        )
        view<Button>(R.id.back).setOnClickListener { finish() }
        view<Button>(R.id.reset).setOnClickListener {
            prefs.reset()
            show()
        }
        show()
    }

    /** Fills in all controls. */
    private fun show() {
        settings = prefs.settings(defaults).clamped(classes)
        slider(R.id.top_k, R.id.top_k_text, R.string.top_k, 1..classes, settings.topK) { copy(topK = it) }
        slider(R.id.stages, R.id.stages_text, R.string.stages, 0..Settings.MAX_STAGES, settings.stages) {
            copy(stages = it)
        }
        slider(R.id.threads, R.id.threads_text, R.string.threads, 1..Settings.MAX_THREADS, settings.threads) {
            copy(threads = it)
        }
        slider(R.id.sure_from, R.id.sure_from_text, R.string.sure_from, 0..100, percent(settings.sureFrom)) {
            copy(sureFrom = it / PERCENT)
        }
        showFactor()
        showResolutions()
        val system = view<Switch>(R.id.show_system)
        system.isChecked = settings.showSystem
        system.setOnCheckedChangeListener { _, checked -> change { copy(showSystem = checked) } }
    }

    private fun showFactor() {
        val text = view<TextView>(R.id.factor_text)
        val percents = percent(Settings.MIN_FACTOR)..percent(Settings.MAX_FACTOR)
        text.text = getString(R.string.factor, settings.factor)
        follow(R.id.factor, percents, percent(settings.factor)) {
            text.text = getString(R.string.factor, it / PERCENT)
            change { copy(factor = it / PERCENT) }
        }
    }

    private fun showResolutions() {
        val spinner = view<Spinner>(R.id.camera_resolution)
        val sizes = offered(findCamera(this).camera?.sizes.orEmpty())
        val adapter = ArrayAdapter(this, android.R.layout.simple_spinner_item, sizes)
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        spinner.adapter = adapter
        spinner.isEnabled = sizes.isNotEmpty()
        spinner.setSelection(sizes.indexOf(nearest(sizes, settings.camera)))
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>?, view: View?, position: Int, id: Long) {
                // Also called when the spinner is first shown, with what is used anyway.
                if (sizes[position] != nearest(sizes, settings.camera)) change { copy(camera = sizes[position]) }
            }

            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
    }

    private fun slider(
        bar: Int,
        label: Int,
        format: Int,
        range: IntRange,
        value: Int,
        changed: Settings.(Int) -> Settings,
    ) {
        val text = view<TextView>(label)
        text.text = getString(format, value)
        follow(bar, range, value) {
            text.text = getString(format, it)
            change { changed(it) }
        }
    }

    private fun follow(id: Int, range: IntRange, value: Int, onMoved: (Int) -> Unit) {
        val bar = view<SeekBar>(id)
        bar.setOnSeekBarChangeListener(null) // the range below moves the bar, and no person has
        bar.min = range.first
        bar.max = range.last
        bar.progress = value
        bar.setOnSeekBarChangeListener(object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(seekBar: SeekBar, progress: Int, fromUser: Boolean) {
                if (fromUser) onMoved(progress)
            }

            override fun onStartTrackingTouch(seekBar: SeekBar) = Unit

            override fun onStopTrackingTouch(seekBar: SeekBar) = Unit
        })
    }

    private fun change(changed: Settings.() -> Settings) {
        val after = settings.changed().clamped(classes)
        prefs.store(settings, after)
        settings = after
    }

    private fun percent(factor: Double) = (factor * PERCENT).roundToInt()

    companion object {
        private const val PERCENT = 100.0
        private const val CLASSES = "classes"
        private const val TOP_K = "top_k"
        private const val STAGES = "stages"
        private const val FACTOR = "factor"

        /** Returns what opens the settings for a model. */
        fun intent(context: Context, classes: Int, defaults: Defaults): Intent =
            Intent(context, SettingsActivity::class.java)
                .putExtra(CLASSES, classes)
                .putExtra(TOP_K, defaults.topK)
                .putExtra(STAGES, defaults.stages)
                .putExtra(FACTOR, defaults.factor)
    }
}
