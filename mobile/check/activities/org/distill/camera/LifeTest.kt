package org.distill.camera

import android.content.res.Configuration
import android.graphics.Rect
import android.view.View
import android.widget.LinearLayout
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment

/** Turned, paused, ended in the middle of something. */
@RunWith(Runner::class)
class LifeTest {
    private fun worker(activity: CameraActivity): Worker {
        val field = CameraActivity::class.java.getDeclaredField("classifier").apply { isAccessible = true }
        return (field.get(activity) as Classifier).worker
    }

    private fun Phone.box(id: Int) = Rect().also { find<View>(id).getGlobalVisibleRect(it) }

    @Test
    fun aTurnedDeviceKeepsModelDrawingAndActivity() {
        val phone = Phone().start().awaitModel()
        phone.choose(R.id.from_drawing)
        phone.draw(THREE)
        phone.await("an answer") { phone.text(R.id.scores).isNotEmpty() }
        val (activity, made) = phone.activity to InterpreterEngine.made
        for (orientation in listOf("+land", "+port")) {
            RuntimeEnvironment.setQualifiers(orientation)
            phone.controller.configurationChange(phone.application.resources.configuration)
            phone.idle()
            val isWide = phone.activity.resources.configuration.orientation == Configuration.ORIENTATION_LANDSCAPE
            val wanted = if (isWide) LinearLayout.HORIZONTAL else LinearLayout.VERTICAL
            assertEquals(wanted, phone.find<LinearLayout>(R.id.root).orientation)
            assertEquals(orientation == "+land", isWide)
        }
        assertEquals(activity, phone.activity)
        assertEquals(made, InterpreterEngine.made)
        assertFalse(phone.find<DrawView>(R.id.pad).isEmpty)
    }

    @Test
    fun thePanelNeverCoversTheStage() {
        for (qualifiers in SCREENS) {
            for (fontScale in listOf(1f, 2f)) {
                RuntimeEnvironment.setFontScale(fontScale)
                val phone = Phone(qualifiers = qualifiers).start().awaitModel()
                phone.showPreview()
                phone.see(paper(THREE))
                phone.await("an answer") { phone.text(R.id.scores).isNotEmpty() }
                val where = "$qualifiers, font scale $fontScale"
                val (preview, crop, panel) = listOf(R.id.preview, R.id.crop, R.id.panel).map { phone.box(it) }
                assertFalse(where, Rect.intersects(preview, panel))
                val least = minOf(preview.width(), preview.height()) / 2
                assertTrue("$where: $crop", preview.contains(crop) && crop.width() > least)
                for (id in listOf(R.id.model, R.id.share, R.id.settings, R.id.from_picture)) {
                    val view = phone.find<View>(id)
                    assertEquals(where, view.height, phone.box(id).height())
                    assertTrue(where, panel.contains(phone.box(id)))
                }
                phone.controller.pause().stop().destroy()
            }
        }
    }

    @Test
    fun anActivityThatEndsWhileItsCameraOpensLeavesNothing() {
        val phone = Phone().start().awaitModel()
        val worker = worker(phone.activity)
        phone.showPreview()
        phone.controller.pause().stop().destroy()
        phone.await("the end of the thread") { !worker.isAlive }
    }

    @Test
    fun aPauseDoesNotWaitForTheCamera() {
        val phone = Phone().start().awaitModel()
        phone.showPreview()
        val gate = java.util.concurrent.CountDownLatch(1)
        worker(phone.activity).handler.post(gate::await) // a camera that hangs
        val start = System.nanoTime()
        phone.controller.pause()
        assertTrue((System.nanoTime() - start) / 1_000_000 < 1000)
        gate.countDown()
        phone.controller.resume()
        phone.see(paper(THREE))
        phone.await("an answer") { phone.text(R.id.scores).isNotEmpty() }
        phone.controller.pause().stop().destroy()
    }

    private companion object {
        val SCREENS = listOf("w360dp-h640dp-xhdpi", "w640dp-h360dp-land-xhdpi", "w800dp-h1280dp-hdpi")
    }
}
