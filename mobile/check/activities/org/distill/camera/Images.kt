package org.distill.camera

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Path
import java.awt.BasicStroke
import java.awt.image.BufferedImage
import java.io.ByteArrayOutputStream
import javax.imageio.ImageIO

/** A seven and a three, on a field of 280 by 280. */
val SEVEN = listOf(80 to 60, 195 to 60, 160 to 130, 125 to 235)
val THREE = listOf(
    85 to 65, 130 to 50, 180 to 65, 185 to 100, 160 to 130, 125 to 138, 165 to 145, 195 to 180, 180 to 215,
    135 to 232, 85 to 215,
)

/** Returns lines of which each point is moved to the right. */
fun List<Pair<Int, Int>>.movedBy(right: Int) = map { (x, y) -> x + right to y }

/** Returns a sheet of paper with digits on it, somewhere, smaller than the sheet. */
fun paper(vararg digits: List<Pair<Int, Int>>, width: Int = 480, height: Int = 640): Bitmap {
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
    for (strokes in digits) {
        val path = Path().apply { moveTo(strokes[0].first.toFloat(), strokes[0].second.toFloat()) }
        for ((x, y) in strokes.drop(1)) path.lineTo(x.toFloat(), y.toFloat())
        canvas.drawPath(path, pen)
    }
    return bitmap
}

/** Returns a wall that fills the picture. */
fun wall(color: Int): Bitmap = Bitmap.createBitmap(480, 640, Bitmap.Config.ARGB_8888).apply { eraseColor(color) }

/** Returns a picture of a seven of 48 megapixels, as a file. */
fun hugeSeven(): ByteArray {
    val image = BufferedImage(8000, 6000, BufferedImage.TYPE_BYTE_BINARY) // a bit a pixel
    image.createGraphics().apply {
        paint = java.awt.Color.WHITE
        fillRect(0, 0, image.width, image.height)
        paint = java.awt.Color.BLACK
        stroke = BasicStroke(400f)
        translate(1200, 200)
        drawPolyline(SEVEN.map { 20 * it.first }.toIntArray(), SEVEN.map { 20 * it.second }.toIntArray(), SEVEN.size)
        dispose()
    }
    return ByteArrayOutputStream().also { ImageIO.write(image, "png", it) }.toByteArray()
}
