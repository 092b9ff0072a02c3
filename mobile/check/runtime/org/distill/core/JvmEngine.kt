package org.distill.core

import org.bytedeco.javacpp.BytePointer
import org.bytedeco.tensorflowlite.TfLiteTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterAllocateTensors
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterCreate
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterDelete
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterGetInputTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterGetOutputTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterInvoke
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterOptionsCreate
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterOptionsDelete
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterOptionsSetNumThreads
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteModelCreate
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteModelDelete
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorCopyFromBuffer
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorCopyToBuffer
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorDim
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorNumDims
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorType
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteFloat32
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteInt8
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteOk
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteUInt8
import java.nio.ByteBuffer

/** TensorFlow Lite's C interface by JavaCPP: what the app's interpreter is on a phone. */
class JvmEngine(bytes: ByteArray, threads: Int = 1) : Engine {
    private val memory = BytePointer(*bytes) // the model is read from it as long as it lives
    private val model = TfLiteModelCreate(memory, bytes.size.toLong())
    private val interpreter = TfLiteInterpreterOptionsCreate().let { options ->
        TfLiteInterpreterOptionsSetNumThreads(options, threads)
        TfLiteInterpreterCreate(model, options).also { TfLiteInterpreterOptionsDelete(options) }
    }

    init {
        check(TfLiteInterpreterAllocateTensors(interpreter) == kTfLiteOk)
    }

    private val inputTensor = TfLiteInterpreterGetInputTensor(interpreter, 0)
    private val outputTensor = TfLiteInterpreterGetOutputTensor(interpreter, 0)
    override val input = spec(inputTensor)
    override val output = spec(outputTensor)

    override fun run(input: ByteBuffer, output: ByteBuffer) {
        val size = this.output.bytes
        check(TfLiteTensorCopyFromBuffer(inputTensor, BytePointer(input), this.input.bytes.toLong()) == kTfLiteOk)
        check(TfLiteInterpreterInvoke(interpreter) == kTfLiteOk)
        check(TfLiteTensorCopyToBuffer(outputTensor, BytePointer(output), size.toLong()) == kTfLiteOk)
    }

    override fun close() {
        TfLiteInterpreterDelete(interpreter)
        TfLiteModelDelete(model)
        memory.close()
    }

    private fun spec(tensor: TfLiteTensor): TensorSpec {
        val dtypes = mapOf(kTfLiteFloat32 to DType.FLOAT32, kTfLiteInt8 to DType.INT8, kTfLiteUInt8 to DType.UINT8)
        val shape = List(TfLiteTensorNumDims(tensor)) { TfLiteTensorDim(tensor, it) }
        return TensorSpec(shape, dtypes.getValue(TfLiteTensorType(tensor)))
    }
}
