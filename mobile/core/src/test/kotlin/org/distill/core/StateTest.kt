package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class StateTest {
    private val granted = Event.PermissionAnswered(granted = true, blocked = false)

    private fun after(vararg events: Event) = events.fold(Facts(), ::reduce)

    private fun shown(vararg events: Event) = screen(after(*events))

    @Test
    fun fromTheStartToTheFirstResult() {
        assertEquals(Screen.Loading, shown())
        assertEquals(Screen.Loading, shown(granted))
        assertEquals(Screen.Loading, shown(granted, Event.ModelReady))
        assertTrue(wantsCamera(after(granted, Event.ModelReady)))
        assertEquals(Screen.Running, shown(granted, Event.ModelReady, Event.FrameClassified))
    }

    @Test
    fun thereIsAWayBackFromEveryDenial() {
        val denied = Event.PermissionAnswered(granted = false, blocked = false)
        val blocked = Event.PermissionAnswered(granted = false, blocked = true)
        assertEquals(Way.ASK_PERMISSION, shown(Event.ModelReady, denied).way)
        assertEquals(Way.OPEN_SYSTEM_SETTINGS, shown(Event.ModelReady, denied, blocked).way)
        assertFalse(wantsCamera(after(Event.ModelReady, blocked)))
        val back = arrayOf(Event.ModelReady, denied, blocked, granted, Event.FrameClassified)
        assertEquals(Screen.Running, shown(*back))
    }

    @Test
    fun aPermissionTakenAwayStopsTheCamera() {
        val taken = Event.PermissionAnswered(granted = false, blocked = false)
        val facts = after(granted, Event.ModelReady, Event.FrameClassified, taken)
        assertEquals(Screen.PermissionNeeded, screen(facts))
        assertFalse(wantsCamera(facts))
    }

    @Test
    fun onlyADenialAfterTheOfferToExplainIsForEver() {
        assertFalse(isBlocked(granted = false, explains = true, explainedBefore = true))
        assertFalse(isBlocked(granted = false, explains = false, explainedBefore = false))
        assertTrue(isBlocked(granted = false, explains = false, explainedBefore = true))
        assertFalse(isBlocked(granted = true, explains = false, explainedBefore = true))
    }

    @Test
    fun aDrawingNeedsNeitherCameraNorPermission() {
        val denied = Event.PermissionAnswered(granted = false, blocked = true)
        for (before in listOf(arrayOf<Event>(), arrayOf(denied), arrayOf(Event.CameraAbsent), arrayOf(granted))) {
            assertEquals(Screen.Running, screen(after(*before, Event.ModelReady), Source.DRAWING))
            assertEquals(Screen.Loading, screen(after(*before), Source.PICTURE))
            assertEquals(Screen.ModelInvalid("x"), screen(after(*before, Event.ModelInvalid("x")), Source.DRAWING))
            assertFalse(wantsCamera(after(*before, Event.ModelReady), Source.DRAWING))
        }
        val facts = after(granted, Event.ModelReady)
        assertEquals(screen(facts), screen(facts, Source.CAMERA))
        assertTrue(wantsCamera(facts, Source.CAMERA))
    }

    @Test
    fun aLostCameraCanBeRetried() {
        val lost = arrayOf(granted, Event.ModelReady, Event.FrameClassified, Event.CameraLost("in use"))
        assertEquals(Screen.CameraLost("in use"), shown(*lost))
        assertEquals(Way.RETRY_CAMERA, shown(*lost).way)
        assertFalse(wantsCamera(after(*lost)))
        assertEquals(Screen.CameraLost("in use"), shown(*lost, Event.FrameClassified))
        assertTrue(wantsCamera(after(*lost, Event.CameraRetried)))
        assertEquals(Screen.Running, shown(*lost, Event.CameraRetried, Event.FrameClassified))
    }

    @Test
    fun everyTroubleWithAModelIsShownAndEndsWithAnother() {
        val running = arrayOf(granted, Event.ModelReady, Event.FrameClassified)
        assertEquals(Screen.NoModel, shown(granted, Event.ModelMissing))
        val invalid = Event.ModelInvalid("hash")
        assertEquals(Screen.ModelInvalid("hash"), shown(*running, invalid))
        assertEquals(Screen.ModelInvalid("hash"), shown(*running, invalid, Event.FrameClassified))
        assertEquals(Screen.SelfTestFailed("output 3"), shown(*running, Event.SelfTestFailed("output 3")))
        assertEquals(Way.CHOOSE_MODEL, shown(*running, invalid).way)
        assertEquals(Screen.Loading, shown(*running, invalid, Event.ModelChosen))
        assertEquals(Screen.Running, shown(*running, invalid, Event.ModelChosen, Event.ModelReady))
        assertEquals("", after(invalid, Event.ModelReady).modelDetail)
        assertTrue(isUnusable(after(invalid).model))
        assertFalse(isUnusable(after(invalid, Event.ModelChosen).model)) // or each look would load it anew
        assertFalse(isUnusable(after(*running).model))
    }

    @Test
    fun whatAPersonMustKnowFirstComesFirst() {
        val denied = Event.PermissionAnswered(granted = false, blocked = false)
        assertEquals(Screen.NoCamera, shown(denied, Event.ModelMissing, Event.CameraAbsent))
        assertEquals(Screen.PermissionNeeded, shown(Event.ModelMissing, denied))
        assertEquals(Screen.NoModel, shown(granted, Event.ModelMissing, Event.CameraLost("x")))
    }

    @Test
    fun noEventLeadsNowhere() {
        val events = listOf(
            granted, Event.PermissionAnswered(false, false), Event.PermissionAnswered(false, true), Event.CameraAbsent,
            Event.CameraLost("c"), Event.CameraRetried, Event.FrameClassified, Event.ModelChosen, Event.ModelMissing,
            Event.ModelReady, Event.ModelInvalid("m"), Event.SelfTestFailed("s"),
        )
        var reached = setOf(Facts())
        repeat(6) { reached = reached + reached.flatMap { facts -> events.map { reduce(facts, it) } } }
        for (facts in reached) {
            val shown = screen(facts)
            assertEquals("$facts", shown == Screen.Running, wantsCamera(facts) && facts.camera == Camera.RUNNING)
            // Where a person is sent to choose a model, the only one there is can be chosen again.
            if (shown.way == Way.CHOOSE_MODEL) assertTrue("$facts", isUnusable(facts.model))
        }
        assertEquals(reached, reached + reached.flatMap { facts -> events.map { reduce(facts, it) } })
    }

    @Test
    fun settingsAreClamped() {
        val wild = Settings(topK = 99, stages = -1, factor = 7.0, threads = 64)
        assertEquals(Settings(10, 0, 1.0, threads = 4), wild.clamped(10))
        val low = Settings(topK = -3, stages = 99, factor = -1.0, threads = 0)
        assertEquals(Settings(1, 16, 0.01, threads = 1), low.clamped(3))
        assertEquals(1.0, Settings(1, 1, Double.NaN).clamped(3).factor, 0.0)
        val fine = Settings.of(Defaults(3, 3, 0.4))
        assertEquals(fine, fine.clamped(10))
        assertEquals(1, fine.clamped(0).topK)
    }

    @Test
    fun resolutionsWorthOffering() {
        val (large, wide, small) = listOf(Size(4000, 3000), Size(1280, 720), Size(640, 480))
        val sizes = listOf(large, small, wide, Size(0, 9), small, Size(1280, 960))
        assertEquals(listOf(wide, small), offered(sizes))
        assertEquals(listOf(Size(2000, 1000)), offered(listOf(Size(4000, 3000), Size(2000, 1000))))
        assertEquals(Size(640, 480), nearest(offered(sizes), Size(800, 600)))
        assertEquals(Size(480, 640), nearest(listOf(Size(640, 480), Size(480, 640)), Size(480, 640)))
        assertNull(nearest(emptyList(), Size(1, 1)))
    }
}
