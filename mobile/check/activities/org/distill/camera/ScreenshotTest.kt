package org.distill.camera

import android.widget.FrameLayout
import android.widget.ImageView
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment
import java.io.File

/** Pictures of the app, in the directory that `-Dscreenshots` names. */
@RunWith(Runner::class)
class ScreenshotTest {
    private fun take(name: String, qualifiers: String, fontScale: Float = 1f, use: Phone.() -> Unit) {
        RuntimeEnvironment.setFontScale(fontScale)
        val phone = Phone(qualifiers = qualifiers).start().awaitModel()
        phone.use()
        phone.await("a clear answer") { Regex("0.9.*3").matches(phone.text(R.id.scores).lines().first()) }
        val file = File(System.getProperty("screenshots"), "$name.png")
        file.writeBytes(png(phone.screenshot()))
        assertTrue(file.length() > 2_000)
    }

    /** The preview is a texture of the graphics processor; what it shows is put before it. */
    private fun Phone.look(width: Int = 480, height: Int = 640) {
        showPreview()
        val image = paper(THREE, width = width, height = height)
        val preview = find<android.view.View>(R.id.preview)
        val picture = ImageView(activity).apply { setImageBitmap(image) }
        (preview.parent as FrameLayout).addView(picture, 1)
        repeat(12) { // until the filter has settled
            see(image)
            await("frame ${it + 1}") { text(R.id.scores).isNotEmpty() }
        }
    }

    private fun Phone.drawThree() {
        choose(R.id.from_drawing)
        draw(THREE)
    }

    @Test
    fun phone() = take("phone", "w360dp-h640dp-xhdpi") { look() }

    @Test
    fun drawing() = take("drawing", "w360dp-h640dp-xhdpi") { drawThree() }

    @Test
    fun landscape() = take("landscape", "w640dp-h360dp-land-xhdpi") { look(640, 480) }

    @Test
    fun largeText() = take("large-text", "w360dp-h640dp-xhdpi", 2f) { look() }

    @Test
    fun tablet() = take("tablet", "w800dp-h1280dp-mdpi") { drawThree() }

    @Test
    fun german() = take("german", "de-w360dp-h640dp-xhdpi") { drawThree() }
}
