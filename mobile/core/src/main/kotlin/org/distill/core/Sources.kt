package org.distill.core

/** Where the images come from. */
enum class Source { CAMERA, DRAWING, PICTURE }

/** Returns the one thing to show: a drawing or a picture needs neither camera nor permission. */
fun screen(facts: Facts, source: Source): Screen = when (source) {
    Source.CAMERA -> screen(facts)
    else -> screen(facts.copy(permission = Permission.GRANTED, camera = Camera.RUNNING))
}

/** Says whether the camera is to run while the app is in front. */
fun wantsCamera(facts: Facts, source: Source): Boolean = source == Source.CAMERA && wantsCamera(facts)
