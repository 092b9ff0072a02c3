package org.distill.camera

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Path

/** A seven and a three, on a field of 280 by 280. */
val SEVEN = listOf(80 to 60, 195 to 60, 160 to 130, 125 to 235)
val THREE = listOf(
    85 to 65, 130 to 50, 180 to 65, 185 to 100, 160 to 130, 125 to 138, 165 to 145, 195 to 180, 180 to 215,
    135 to 232, 85 to 215,
)

/** Returns a sheet of paper with a digit on it, somewhere, smaller than the sheet. */
fun paper(strokes: List<Pair<Int, Int>>, width: Int = 480, height: Int = 640): Bitmap {
    val bitmap = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
    val canvas = Canvas(bitmap)
    canvas.drawColor(Color.rgb(196, 192, 184))
    val pen = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.rgb(40, 44, 70)
        style = Paint.Style.STROKE
        strokeWidth = 20f
        strokeCap = Paint.Cap.ROUND
        strokeJoin = Paint.Join.ROUND
    }
    canvas.translate(width / 2f - 130, height / 2f - 130)
    val path = Path().apply { moveTo(strokes[0].first.toFloat(), strokes[0].second.toFloat()) }
    for ((x, y) in strokes.drop(1)) path.lineTo(x.toFloat(), y.toFloat())
    canvas.drawPath(path, pen)
    return bitmap
}
