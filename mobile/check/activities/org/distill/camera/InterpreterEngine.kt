package org.distill.camera

import org.distill.core.Engine
import org.distill.core.JvmEngine

/** In place of the app's own, whose library is for phones: the same models in TensorFlow Lite for the JVM. */
class InterpreterEngine(model: ByteArray, threads: Int) : Engine by JvmEngine(model, threads) {
    init {
        made++
    }

    companion object {
        /** How many there have been, so that a test can tell whether a model was loaded anew. */
        @Volatile
        var made = 0
    }
}
