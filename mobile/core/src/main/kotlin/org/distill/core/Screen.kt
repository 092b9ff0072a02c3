package org.distill.core

/** What is known about the permission to use the camera. */
enum class Permission { UNKNOWN, GRANTED, DENIED, BLOCKED }

/** What is known about the camera; `UNKNOWN` until it delivers a frame. */
enum class Camera { UNKNOWN, RUNNING, ABSENT, LOST }

/** What is known about the model. */
enum class Model { LOADING, READY, MISSING, INVALID, SELF_TEST_FAILED }

/** Everything that decides what the screen shows. `detail` is about the camera or the model. */
data class Facts(
    val permission: Permission = Permission.UNKNOWN,
    val camera: Camera = Camera.UNKNOWN,
    val cameraDetail: String = "",
    val model: Model = Model.LOADING,
    val modelDetail: String = "",
)

sealed interface Event {
    /** @param blocked the system will not ask again; see [isBlocked]. */
    data class PermissionAnswered(val granted: Boolean, val blocked: Boolean) : Event

    data object CameraAbsent : Event

    data class CameraLost(val detail: String) : Event

    data object CameraRetried : Event

    data object FrameClassified : Event

    data object ModelChosen : Event

    data object ModelMissing : Event

    data object ModelReady : Event

    data class ModelInvalid(val detail: String) : Event

    data class SelfTestFailed(val detail: String) : Event
}

/** Returns what is known after an event. */
fun reduce(facts: Facts, event: Event): Facts = when (event) {
    is Event.PermissionAnswered -> facts.copy(
        permission = when {
            event.granted -> Permission.GRANTED
            event.blocked -> Permission.BLOCKED
            else -> Permission.DENIED
        },
    )
    Event.CameraAbsent -> facts.copy(camera = Camera.ABSENT, cameraDetail = "")
    is Event.CameraLost -> facts.copy(camera = Camera.LOST, cameraDetail = event.detail)
    Event.CameraRetried -> facts.copy(camera = Camera.UNKNOWN, cameraDetail = "")
    // A frame that was under way when the camera was lost, or the model changed, proves nothing.
    Event.FrameClassified ->
        if (facts.camera == Camera.UNKNOWN) facts.copy(camera = Camera.RUNNING) else facts
    Event.ModelChosen -> facts.copy(model = Model.LOADING, modelDetail = "")
    Event.ModelMissing -> facts.copy(model = Model.MISSING, modelDetail = "")
    Event.ModelReady -> facts.copy(model = Model.READY, modelDetail = "")
    is Event.ModelInvalid -> facts.copy(model = Model.INVALID, modelDetail = event.detail)
    is Event.SelfTestFailed -> facts.copy(model = Model.SELF_TEST_FAILED, modelDetail = event.detail)
}

/** What a person can do where the app cannot go on. */
enum class Way { NONE, ASK_PERMISSION, OPEN_SYSTEM_SETTINGS, RETRY_CAMERA, CHOOSE_MODEL }

/** What the screen shows. All but [Running] hide the results. */
sealed class Screen(val way: Way) {
    data object Loading : Screen(Way.NONE)

    data object PermissionNeeded : Screen(Way.ASK_PERMISSION)

    data object PermissionBlocked : Screen(Way.OPEN_SYSTEM_SETTINGS)

    data object NoCamera : Screen(Way.NONE)

    data class CameraLost(val detail: String) : Screen(Way.RETRY_CAMERA)

    data object NoModel : Screen(Way.NONE)

    data class ModelInvalid(val detail: String) : Screen(Way.CHOOSE_MODEL)

    data class SelfTestFailed(val detail: String) : Screen(Way.CHOOSE_MODEL)

    data object Running : Screen(Way.NONE)
}

/** Returns the one thing to show: what a person must know first comes first. */
fun screen(facts: Facts): Screen = when {
    facts.camera == Camera.ABSENT -> Screen.NoCamera
    facts.permission == Permission.DENIED -> Screen.PermissionNeeded
    facts.permission == Permission.BLOCKED -> Screen.PermissionBlocked
    facts.model == Model.MISSING -> Screen.NoModel
    facts.model == Model.INVALID -> Screen.ModelInvalid(facts.modelDetail)
    facts.model == Model.SELF_TEST_FAILED -> Screen.SelfTestFailed(facts.modelDetail)
    facts.permission == Permission.UNKNOWN || facts.model == Model.LOADING -> Screen.Loading
    facts.camera == Camera.LOST -> Screen.CameraLost(facts.cameraDetail)
    facts.camera == Camera.UNKNOWN -> Screen.Loading
    else -> Screen.Running
}

/** Says whether the camera is to run while the app is in front. */
fun wantsCamera(facts: Facts): Boolean =
    facts.permission == Permission.GRANTED && facts.model == Model.READY &&
        (facts.camera == Camera.UNKNOWN || facts.camera == Camera.RUNNING)

/** Says whether the model was tried in vain: then choosing it again is to try it again. */
fun isUnusable(model: Model): Boolean = model == Model.INVALID || model == Model.SELF_TEST_FAILED

/**
 * Says whether the system will not ask for a permission again.
 *
 * After a first denial it offers to explain, and so it does until it is denied for ever. A dialog
 * that was closed without an answer, however often, looks the same as that but for the offer before.
 *
 * @param explains what `shouldShowRequestPermissionRationale` returns after the answer.
 * @param explainedBefore whether it has ever returned true after an answer.
 */
fun isBlocked(granted: Boolean, explains: Boolean, explainedBefore: Boolean): Boolean =
    !granted && !explains && explainedBefore
