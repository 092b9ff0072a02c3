package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class CamerasTest {
    private val refused = Answer.Refused("disconnected")

    private fun camera(id: String, facing: Facing, sizes: List<Size> = listOf(Size(640, 480))) =
        Answer.Described(facing, CameraInfo(id, 90, sizes))

    private fun chosen(vararg answers: Answer) = choose(answers.toList()).camera?.id

    @Test
    fun theFirstBackCameraComesBeforeOneThatIsPluggedIn() {
        val (back, second) = camera("0", Facing.BACK) to camera("2", Facing.BACK)
        val (front, plugged) = camera("1", Facing.OTHER) to camera("3", Facing.EXTERNAL)
        assertEquals("0", chosen(plugged, front, back, second))
        assertEquals("3", chosen(front, plugged))
        assertNull(chosen(front))
        assertEquals("2", chosen(camera("0", Facing.BACK, sizes = emptyList()), second))
    }

    @Test
    fun oneBadCameraHidesNoOther() {
        val back = camera("0", Facing.BACK)
        assertEquals(Search(back.camera, Event.CameraRetried), choose(listOf(refused, back)))
        assertEquals(Search(back.camera, Event.CameraRetried), choose(listOf(back, refused)))
    }

    @Test
    fun noCameraIsAbsentWhileOneIsUnknown() {
        val front = camera("1", Facing.OTHER)
        assertEquals(Search(null, Event.CameraAbsent), choose(emptyList()))
        assertEquals(Search(null, Event.CameraAbsent), choose(listOf(front)))
        assertEquals(Search(null, Event.CameraLost("disconnected")), choose(listOf(front, refused)))
    }

    @Test
    fun aSearchThatFailedEndsWithTheNext() {
        val ready = Facts(Permission.GRANTED, model = Model.READY)
        val lost = reduce(ready, choose(listOf(refused)).event)
        assertEquals(Way.RETRY_CAMERA, screen(lost).way)
        assertEquals(ready, reduce(lost, choose(listOf(camera("0", Facing.BACK))).event))
    }
}
