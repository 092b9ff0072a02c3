package org.distill.camera

import android.Manifest
import android.content.pm.PackageManager
import android.provider.Settings
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Shadows.shadowOf

@RunWith(Runner::class)
class PermissionTest {
    private fun Phone.answer(granted: Boolean, explains: Boolean) {
        val packages = shadowOf(application.packageManager)
        packages.setShouldShowRequestPermissionRationale(Manifest.permission.CAMERA, explains)
        if (granted) shadowOf(application).grantPermissions(Manifest.permission.CAMERA)
        val result = if (granted) PackageManager.PERMISSION_GRANTED else PackageManager.PERMISSION_DENIED
        val request = requireNotNull(shadowOf(activity).lastRequestedPermission)
        activity.onRequestPermissionsResult(request.requestCode, request.requestedPermissions, intArrayOf(result))
        idle()
    }

    private val Phone.asks get() = text(R.id.way) == activity.getString(R.string.permission_ask)

    @Test
    fun aFirstStartAsks() {
        val phone = Phone(isAllowed = false).start()
        assertNotNull(shadowOf(phone.activity).lastRequestedPermission)
        phone.awaitModel()
        phone.answer(granted = true, explains = false)
        assertFalse(phone.isShown(R.id.way))
    }

    @Test
    fun deniedItSaysWhyAndAsksAgainAndDeniedForEverItLeadsToTheSettings() {
        val phone = Phone(isAllowed = false).start().awaitModel()
        phone.answer(granted = false, explains = true)
        assertTrue(phone.asks)
        assertEquals(phone.activity.getString(R.string.permission_needed), phone.text(R.id.message))
        phone.click(R.id.way)
        phone.answer(granted = false, explains = false)
        assertEquals(phone.activity.getString(R.string.permission_blocked), phone.text(R.id.message))
        phone.click(R.id.way)
        val settings = shadowOf(phone.activity).nextStartedActivity
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, settings.action)
        assertEquals("package:org.distill.camera", "${settings.data}")
        phone.controller.pause()
        shadowOf(phone.application).grantPermissions(Manifest.permission.CAMERA)
        phone.controller.resume()
        assertFalse(phone.isShown(R.id.way))
    }

    @Test
    fun aDialogThatIsClosedTwiceIsNoDenialForEver() {
        val phone = Phone(isAllowed = false).start().awaitModel()
        repeat(3) {
            phone.answer(granted = false, explains = false)
            assertTrue(phone.asks)
            phone.click(R.id.way)
        }
    }

    @Test
    fun withoutACameraNothingIsAskedForAndDrawingWorks() {
        val phone = Phone(hasCamera = false, isAllowed = false).start().awaitModel()
        assertNull(shadowOf(phone.activity).lastRequestedPermission)
        assertEquals(phone.activity.getString(R.string.no_camera), phone.text(R.id.message))
        phone.choose(R.id.from_drawing)
        assertFalse(phone.isShown(R.id.message_panel))
    }
}
