package org.distill.core

/** Which way a camera looks; the one that is wanted most comes first. */
enum class Facing { BACK, EXTERNAL, OTHER }

/** A camera, and the resolutions of its frames. */
data class CameraInfo(val id: String, val sensorDegrees: Int, val sizes: List<Size>)

/** What the system says when it is asked about a camera. */
sealed interface Answer {
    data class Described(val facing: Facing, val camera: CameraInfo) : Answer

    data class Refused(val reason: String) : Answer
}

/** What the search for a camera came to: the one to use, if any, and the event that says so. */
data class Search(val camera: CameraInfo?, val event: Event)

/**
 * Returns the back camera, else one that is plugged in.
 *
 * A camera about which nothing is said hides no other. But without another, none may be called absent.
 */
fun choose(answers: List<Answer>): Search {
    val camera = answers.filterIsInstance<Answer.Described>()
        .filter { it.facing != Facing.OTHER && it.camera.sizes.isNotEmpty() }
        .minByOrNull { it.facing }?.camera
    if (camera != null) return Search(camera, Event.CameraRetried)
    val refused = answers.firstNotNullOfOrNull { it as? Answer.Refused }
    return Search(null, if (refused == null) Event.CameraAbsent else Event.CameraLost(refused.reason))
}
