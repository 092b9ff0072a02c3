package org.distill.camera

import org.distill.core.BundleException
import org.distill.core.DType
import org.distill.core.Engine
import org.distill.core.Fault
import org.distill.core.TensorSpec
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** TFLite's interpreter, on the CPU. The only file that knows the runtime. */
class InterpreterEngine(model: ByteArray, threads: Int) : Engine {
    private val interpreter = load(model, threads)

    override val input: TensorSpec
    override val output: TensorSpec

    init {
        try {
            val counts = interpreter.inputTensorCount to interpreter.outputTensorCount
            if (counts != 1 to 1) fail("one input and one output", "${counts.first} and ${counts.second}")
            input = spec(interpreter.getInputTensor(0))
            output = spec(interpreter.getOutputTensor(0))
        } catch (error: BundleException) {
            interpreter.close()
            throw error
        }
    }

    override fun run(input: ByteBuffer, output: ByteBuffer) = try {
        interpreter.run(input, output)
    } catch (error: IllegalArgumentException) {
        unusable(error)
    } catch (error: IllegalStateException) {
        unusable(error)
    }

    override fun close() = interpreter.close()

    private companion object {
        /** The interpreter throws either kind for a model that it cannot use. */
        fun load(model: ByteArray, threads: Int): Interpreter {
            val buffer = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder())
            buffer.put(model)
            return try {
                Interpreter(buffer, Interpreter.Options().setNumThreads(threads))
            } catch (error: IllegalArgumentException) {
                unusable(error)
            } catch (error: IllegalStateException) {
                unusable(error)
            } catch (error: UnsatisfiedLinkError) {
                unusable(error)
            }
        }

        fun spec(tensor: Tensor): TensorSpec {
            val dtype = when (tensor.dataType()) {
                DataType.FLOAT32 -> DType.FLOAT32
                DataType.INT8 -> DType.INT8
                DataType.UINT8 -> DType.UINT8
                else -> fail("float32, int8 or uint8 in ${tensor.name()}", "${tensor.dataType()}")
            }
            return TensorSpec(tensor.shape().toList(), dtype)
        }

        fun unusable(error: Throwable): Nothing =
            fail("one that this runtime can run", error.message ?: error.javaClass.simpleName)

        fun fail(expected: String, found: String): Nothing =
            throw BundleException(Fault.TENSOR, "model: expected $expected, found $found")
    }
}
