package org.distill.camera

import android.content.Intent
import android.graphics.Color
import android.view.View
import android.view.accessibility.AccessibilityNodeInfo
import android.widget.SeekBar
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowAlertDialog
import java.io.File

/** What people do with the app, answered by the real model. */
@RunWith(Runner::class)
class UseTest {
    private fun Phone.best() = text(R.id.scores).lineSequence().first().substringAfter(" ")

    private fun Phone.drawn() = apply {
        choose(R.id.from_drawing)
        draw(SEVEN)
        await("an answer") { text(R.id.scores).isNotEmpty() }
    }

    private fun bundle(name: String) = listOf("model.json", "model.tflite")
        .map { it to File(System.getProperty("assets"), "$name/$it").readBytes() }.toTypedArray()

    @Test
    fun aFirstStartHasTheDeclaredModel() {
        val phone = Phone().start().awaitModel()
        assertEquals("Model: mnist", phone.text(R.id.model))
    }

    @Test
    fun aDrawingIsRecognisedTakenBackAndShared() {
        val phone = Phone().start().awaitModel().drawn()
        phone.await("seven") { phone.best() == "7" }
        phone.click(R.id.share)
        val chooser = shadowOf(phone.activity).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, chooser.action)
        @Suppress("DEPRECATION") // its successor needs API 33
        val sent = requireNotNull(chooser.getParcelableExtra<Intent>(Intent.EXTRA_INTENT))
        val text = sent.getStringExtra(Intent.EXTRA_TEXT).orEmpty()
        assertTrue(text, Regex("7 \\(\\d+\\.\\d %\\), says the model mnist").matches(text))
        phone.click(R.id.undo)
        assertEquals("", phone.text(R.id.scores))
        assertEquals(phone.activity.getString(R.string.draw_here), phone.text(R.id.notice))
        assertFalse(phone.find<View>(R.id.share).isEnabled)
    }

    @Test
    fun aPictureIsRecognisedAndWhatIsNoneIsTold() {
        val phone = Phone().start().awaitModel()
        phone.choose(R.id.from_picture)
        phone.click(R.id.pick)
        phone.pick("seven.png" to png(paper(SEVEN)))
        phone.await("seven") { phone.text(R.id.scores).isNotEmpty() && phone.best() == "7" }
        for (content in listOf("text".toByteArray(), ByteArray(0))) {
            phone.click(R.id.pick)
            phone.pick("a.png" to content)
            phone.await("a message") { ShadowAlertDialog.getLatestAlertDialog()?.isShowing == true }
            val dialog = ShadowAlertDialog.getLatestAlertDialog()
            assertEquals(phone.activity.getString(R.string.unreadable), "${shadowOf(dialog).message}")
            dialog.dismiss()
        }
    }

    @Test
    fun aPictureThatIsNoSingleDigitHasItsAnswer() {
        val phone = Phone().start().awaitModel()
        phone.choose(R.id.from_picture)
        for ((what, notice) in listOf(
            wall(Color.WHITE) to R.string.blank,
            paper(SEVEN.movedBy(-75), THREE.movedBy(75), width = 640) to R.string.several,
            wall(Color.BLACK) to R.string.blank,
            paper(SEVEN.movedBy(-320), width = 640) to R.string.cut,
            paper(SEVEN, width = 1, height = 1) to R.string.blank,
        )) {
            phone.click(R.id.pick)
            phone.pick("picture.png" to png(what))
            phone.await(phone.activity.getString(notice)) {
                phone.text(R.id.notice) == phone.activity.getString(notice) && phone.isShown(R.id.notice)
            }
            assertEquals(notice == R.string.blank, phone.text(R.id.scores).isEmpty())
        }
        phone.click(R.id.pick)
        phone.pick("huge.png" to hugeSeven())
        phone.await("seven") { !phone.isShown(R.id.notice) && phone.best() == "7" }
    }

    @Test
    fun aModelThatIsChosenIsKept() {
        val phone = Phone().start().awaitModel()
        phone.click(R.id.model)
        shadowOf(ShadowAlertDialog.getLatestAlertDialog()).clickOnItem(0)
        phone.await("the other model") { phone.text(R.id.model) == "Model: fashion_mnist" }
        phone.startAnew()
        assertEquals("Model: fashion_mnist", phone.text(R.id.model))
    }

    @Test
    fun aBundleIsOpenedKeptAndAnswersAndAnotherFileIsRefused() {
        val phone = Phone().start().awaitModel()
        fun open(vararg files: Pair<String, ByteArray>) {
            phone.click(R.id.model)
            ShadowAlertDialog.getLatestAlertDialog().getButton(-3).performClick()
            phone.idle()
            phone.pick(*files)
        }
        val files = bundle("mnist")
        open(*files)
        phone.await("the bundle") { phone.text(R.id.model) == "Model: simplenet_v1 mnist int8" }
        phone.drawn().await("seven") { phone.best() == "7" }
        phone.startAnew()
        assertEquals("Model: simplenet_v1 mnist int8", phone.text(R.id.model))

        val changed = files[1].second.clone().also { it[2000] = (it[2000] + 1).toByte() }
        for ((what, words) in listOf(
            arrayOf("thing.pdf" to ByteArray(1000)) to "a file model.json",
            arrayOf(files[0], "model.tflite" to changed) to "sha256",
            arrayOf("large.zip" to ByteArray(33 * 1024 * 1024)) to "32 MB",
        )) {
            open(*what)
            phone.await(words) {
                ShadowAlertDialog.getLatestAlertDialog().findViewById<View>(android.R.id.message) != null
            }
            val message = "${shadowOf(ShadowAlertDialog.getLatestAlertDialog()).message}"
            assertTrue(message, words in message)
            ShadowAlertDialog.getLatestAlertDialog().dismiss()
        }
        assertEquals("Model: simplenet_v1 mnist int8", phone.text(R.id.model))
    }

    @Test
    fun settingsAreKeptAndForgotten() {
        val phone = Phone().start().awaitModel()
        phone.click(R.id.settings)
        val intent = shadowOf(phone.activity).nextStartedActivity
        fun settings() = Robolectric.buildActivity(SettingsActivity::class.java, intent).setup().get()
        val before = settings()
        val arguments = android.os.Bundle()
        arguments.putFloat(AccessibilityNodeInfo.ACTION_ARGUMENT_PROGRESS_VALUE, 5f)
        val action = AccessibilityNodeInfo.AccessibilityAction.ACTION_SET_PROGRESS.id
        assertTrue(before.view<SeekBar>(R.id.top_k).performAccessibilityAction(action, arguments))
        assertEquals(5, settings().view<SeekBar>(R.id.top_k).progress)
        phone.controller.pause().resume()
        phone.drawn()
        assertEquals(5, phone.text(R.id.scores).lines().size)
        settings().view<View>(R.id.reset).performClick()
        assertEquals(3, settings().view<SeekBar>(R.id.top_k).progress)
    }
}
