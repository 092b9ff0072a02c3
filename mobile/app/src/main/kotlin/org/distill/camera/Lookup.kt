package org.distill.camera

import android.app.Activity
import android.content.Context
import android.view.View

// The framework says that both may be null; what the layout and every device have never is.

/** Returns a view of the layout. */
fun <T : View> Activity.view(id: Int): T = requireNotNull(findViewById<T>(id))

/** Returns a service that every device has. */
inline fun <reified T : Any> Context.service(): T = requireNotNull(getSystemService(T::class.java))
