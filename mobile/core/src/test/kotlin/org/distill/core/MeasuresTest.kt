package org.distill.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class MeasuresTest {
    @Test
    fun medianAndPercentileOfTheLastDurations() {
        val latency = Latency(capacity = 10)
        assertEquals(0.0, latency.medianMs(), 0.0)
        assertEquals(0.0, latency.p90Ms(), 0.0)
        latency.add(420_000)
        assertEquals(0.42, latency.medianMs(), 0.0)
        assertEquals(0.42, latency.p90Ms(), 0.0)
        for (ms in 1L..10L) latency.add(ms * 1_000_000)
        assertEquals(5.5, latency.medianMs(), 0.0)
        assertEquals(9.0, latency.p90Ms(), 0.0)
        repeat(10) { latency.add(-5) }
        assertEquals(0.0, latency.p90Ms(), 0.0)
    }

    @Test
    fun framesPerSecond() {
        val rate = FrameRate(capacity = 3)
        assertEquals(0.0, rate.add(1_000_000_000), 0.0)
        assertEquals(10.0, rate.add(1_100_000_000), 1e-9)
        assertEquals(10.0, rate.add(1_200_000_000), 1e-9)
        assertEquals(4.0, rate.add(1_600_000_000), 1e-9)
        assertEquals(0.0, rate.add(5), 0.0)
    }

    @Test
    fun cpuIsAShareOfAllProcessors() {
        val meter = CpuMeter(4)
        assertNull(meter.percent(100, 1_000))
        assertEquals(12.5, meter.percent(600, 2_000)!!, 0.0)
        assertNull(meter.percent(600, 2_000))
        assertEquals(0.0, meter.percent(500, 3_000)!!, 0.0)
        assertEquals(100.0, meter.percent(99_000, 4_000)!!, 0.0)
    }

    @Test
    fun labelsAreReadAloudAtMostOnceASecondAndOnlyWhenTheyChange() {
        val announcer = Announcer(interval = 1_000)
        assertEquals("3", announcer.next("3", 0))
        assertNull(announcer.next("3", 5_000))
        assertEquals("8", announcer.next("8", 5_000))
        assertNull(announcer.next("3", 5_999))
        assertNull(announcer.next("8", 6_000))
        assertEquals("3", announcer.next("3", 6_000))
    }

    @Test
    fun rotationOfFrames() {
        val expected = mapOf((90 to 0) to 90, (90 to 90) to 0, (90 to 180) to 270, (270 to 0) to 270, (0 to 90) to 270)
        for ((degrees, rotation) in expected) {
            assertEquals("$degrees", rotation, uprightRotation(degrees.first, degrees.second))
        }
    }

    @Test
    fun aPreviewIsFittedAsAWhole() {
        // A phone held upright: 640 x 480 is shown as 480 x 640, 2.25 times as large.
        assertEquals(
            PreviewTransform(scaleX = 1f, scaleY = 0.75f, degrees = 0, square = 1080f),
            previewTransform(Size(1080, 1920), Size(640, 480), 90, 0),
        )
        // Turned to the left: the picture of the upright display is turned back by a quarter.
        assertEquals(
            PreviewTransform(scaleX = 0.5625f, scaleY = 1440f / 1080, degrees = 270, square = 1080f),
            previewTransform(Size(1920, 1080), Size(640, 480), 90, 90),
        )
        assertEquals(180, previewTransform(Size(10, 10), Size(4, 3), 90, 180)?.degrees)
        assertEquals(90, previewTransform(Size(10, 10), Size(4, 3), 90, 270)?.degrees)
    }

    @Test
    fun aRotatedPreviewKeepsItsShape() {
        for (display in listOf(0, 90, 180, 270)) {
            for (sensor in listOf(0, 90, 180, 270)) {
                for (view in listOf(Size(1080, 1920), Size(1920, 1080), Size(1000, 1000))) {
                    val fitted = previewTransform(view, Size(640, 480), sensor, display)!!
                    val (width, height) = view.width * fitted.scaleX to view.height * fitted.scaleY
                    val (long, short) = maxOf(width, height) to minOf(width, height)
                    assertEquals(640f / 480, long / short, 1e-4f)
                    assertEquals(short, fitted.square, 1e-3f)
                    val turned = display % 180 == 90
                    val (across, down) = if (turned) height to width else width to height
                    assertEquals(1f, maxOf(across / view.width, down / view.height), 1e-5f)
                }
            }
        }
    }

    @Test
    fun aViewWithoutAreaHasNoPreview() {
        assertNull(previewTransform(Size(0, 100), Size(640, 480), 90, 0))
        assertNull(previewTransform(Size(100, 100), Size(640, 0), 90, 0))
    }
}
