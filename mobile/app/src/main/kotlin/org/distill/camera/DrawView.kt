package org.distill.camera

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Path
import android.util.AttributeSet
import android.view.MotionEvent
import android.view.View
import org.distill.core.Frame
import org.distill.core.frameOf

/** A square to draw on with a finger, light on dark as the digits of MNIST. */
class DrawView(context: Context, attributes: AttributeSet) : View(context, attributes) {
    /** Called after every change. */
    var onDrawn: () -> Unit = {}

    private val strokes = ArrayList<Path>()
    private val pen = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        style = Paint.Style.STROKE
        strokeWidth = PEN
        strokeCap = Paint.Cap.ROUND
        strokeJoin = Paint.Join.ROUND
    }

    val isEmpty get() = strokes.isEmpty()

    fun clear() {
        strokes.clear()
        changed()
    }

    fun undo() {
        strokes.removeLastOrNull()
        changed()
    }

    /** Returns what makes a frame of the drawing as it is now, on whatever thread. */
    fun image(): () -> Frame {
        val bitmap = Bitmap.createBitmap(SIDE, SIDE, Bitmap.Config.ARGB_8888)
        paint(Canvas(bitmap))
        return {
            val pixels = IntArray(SIDE * SIDE)
            bitmap.getPixels(pixels, 0, SIDE, 0, 0, SIDE, SIDE)
            frameOf(pixels, SIDE, SIDE)
        }
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val side = minOf(MeasureSpec.getSize(widthMeasureSpec), MeasureSpec.getSize(heightMeasureSpec))
        setMeasuredDimension(side, side)
    }

    override fun onDraw(canvas: Canvas) {
        canvas.save() // the frame is drawn over it, at its own scale
        canvas.scale(width.toFloat() / SIDE, height.toFloat() / SIDE)
        paint(canvas)
        canvas.restore()
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        when (event.actionMasked) {
            MotionEvent.ACTION_DOWN -> {
                strokes.add(Path().apply { moveTo(scaled(event.x), scaled(event.y)) })
                extend(event.x, event.y)
            }
            MotionEvent.ACTION_MOVE -> {
                for (i in 0 until event.historySize) extend(event.getHistoricalX(i), event.getHistoricalY(i))
                extend(event.x, event.y)
            }
            MotionEvent.ACTION_UP -> performClick()
            else -> return false
        }
        changed()
        return true
    }

    /** A line of no length is drawn as a dot. */
    private fun extend(x: Float, y: Float) {
        strokes.lastOrNull()?.lineTo(scaled(x) + DOT, scaled(y))
    }

    private fun scaled(pixels: Float) = pixels * SIDE / maxOf(width, 1)

    private fun paint(canvas: Canvas) {
        canvas.drawColor(Color.BLACK)
        for (stroke in strokes) canvas.drawPath(stroke, pen)
    }

    private fun changed() {
        invalidate()
        onDrawn()
    }

    private companion object {
        const val SIDE = 280
        const val PEN = 22f // about two of the 28 pixels that a model sees
        const val DOT = 0.01f
    }
}
