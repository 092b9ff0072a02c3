package org.distill.camera

import android.content.ContentResolver
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import android.provider.OpenableColumns
import org.distill.core.Frame
import org.distill.core.frameOf
import org.distill.core.middleSquare
import org.distill.core.readAtMost
import org.distill.core.shrinkage
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream

private const val MOST_FILES = 4

/** Returns what asks the system for files to open. */
fun picking(type: String, several: Boolean): Intent = Intent(Intent.ACTION_OPEN_DOCUMENT)
    .addCategory(Intent.CATEGORY_OPENABLE)
    .setType(type)
    .putExtra(Intent.EXTRA_ALLOW_MULTIPLE, several)

/** Returns what was picked. */
fun pickedUris(answer: Intent): List<Uri> {
    val clip = answer.clipData
    val several = if (clip == null) emptyList() else List(clip.itemCount) { clip.getItemAt(it).uri }
    return several.ifEmpty { listOfNotNull(answer.data) }
}

/**
 * Reads files, by their names.
 *
 * @throws IOException one of them cannot be read, or is too large.
 */
fun readFiles(resolver: ContentResolver, uris: List<Uri>): Map<String, ByteArray> =
    uris.take(MOST_FILES).associate { nameOf(resolver, it) to open(resolver, it).use { file -> readAtMost(file) } }

/**
 * Returns the square in the middle of a picture, upright.
 *
 * @throws IOException it cannot be read, or is none.
 */
fun readPicture(resolver: ContentResolver, uri: Uri): Bitmap {
    val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    open(resolver, uri).use { BitmapFactory.decodeStream(it, null, options) }
    if (options.outWidth < 1 || options.outHeight < 1) throw IOException("no picture")
    options.inSampleSize = shrinkage(options.outWidth, options.outHeight)
    options.inJustDecodeBounds = false
    try {
        val stored = open(resolver, uri).use { BitmapFactory.decodeStream(it, null, options) }
            ?: throw IOException("no picture")
        val (left, top, side) = middleSquare(stored.width, stored.height)
        return Bitmap.createBitmap(stored, left, top, side, side, turn(resolver, uri), true)
    } catch (error: OutOfMemoryError) { // so long and thin that shrinking has not helped
        throw IOException("too large", error)
    }
}

/** Returns what makes a frame of a picture, on whatever thread. */
fun imageOf(picture: Bitmap): () -> Frame = {
    val pixels = IntArray(picture.width * picture.height)
    picture.getPixels(pixels, 0, picture.width, 0, 0, picture.width, picture.height)
    frameOf(pixels, picture.width, picture.height)
}

private fun open(resolver: ContentResolver, uri: Uri): InputStream = try {
    resolver.openInputStream(uri) ?: throw FileNotFoundException("$uri")
} catch (error: SecurityException) { // what was allowed when it was picked no longer is
    throw IOException(error)
}

private fun nameOf(resolver: ContentResolver, uri: Uri): String {
    val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
    val name = resolver.query(uri, columns, null, null, null)?.use { if (it.moveToFirst()) it.getString(0) else null }
    return name ?: uri.lastPathSegment ?: "$uri"
}

/** Returns what makes a picture upright, as its EXIF says. */
private fun turn(resolver: ContentResolver, uri: Uri): Matrix {
    val orientation = open(resolver, uri).use {
        ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
    }
    val matrix = Matrix()
    val degrees = when (orientation) {
        ExifInterface.ORIENTATION_ROTATE_180, ExifInterface.ORIENTATION_FLIP_VERTICAL -> 180f
        ExifInterface.ORIENTATION_ROTATE_90, ExifInterface.ORIENTATION_TRANSVERSE -> 90f
        ExifInterface.ORIENTATION_ROTATE_270, ExifInterface.ORIENTATION_TRANSPOSE -> 270f
        else -> 0f
    }
    val mirrored = orientation in listOf(
        ExifInterface.ORIENTATION_FLIP_HORIZONTAL,
        ExifInterface.ORIENTATION_FLIP_VERTICAL,
        ExifInterface.ORIENTATION_TRANSPOSE,
        ExifInterface.ORIENTATION_TRANSVERSE,
    )
    if (mirrored) matrix.setScale(-1f, 1f)
    matrix.postRotate(degrees)
    return matrix
}
