package dev.weft.engine.program;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Literals in a device's representation: dense, little-endian. */
public final class Literals {
  private Literals() {}

  /** Writes all elements; floats are rounded to their type. */
  public static void write(Literal literal, MemorySegment target) {
    DataType dtype = literal.type().dtype();
    for (int i = 0; i < literal.elements(); i++) {
      long at = (long) i * dtype.bytes();
      switch (dtype) {
        case F32 -> target.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, (float) literal.doubles()[i]);
        case F64 -> target.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at, literal.doubles()[i]);
        case BF16 -> {
          float rounded =
              (float) dev.weft.core.op.Rounding.round(DataType.BF16, literal.doubles()[i]);
          target.set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              at,
              (short) (Float.floatToRawIntBits(rounded) >>> 16));
        }
        case F16 ->
            target.set(
                ValueLayout.JAVA_SHORT_UNALIGNED,
                at,
                Float.floatToFloat16((float) literal.doubles()[i]));
        case I32 -> target.set(ValueLayout.JAVA_INT_UNALIGNED, at, (int) literal.longs()[i]);
        case I64 -> target.set(ValueLayout.JAVA_LONG_UNALIGNED, at, literal.longs()[i]);
        case BOOL -> target.set(ValueLayout.JAVA_BYTE, at, (byte) literal.longs()[i]);
      }
    }
  }

  /** Reads all elements. */
  public static Literal read(TensorType type, MemorySegment source) {
    int n = Math.toIntExact(type.elements());
    if (type.dtype().isFloat()) {
      double[] values = new double[n];
      for (int i = 0; i < n; i++) {
        long at = (long) i * type.dtype().bytes();
        values[i] =
            switch (type.dtype()) {
              case F32 -> source.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at);
              case F64 -> source.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, at);
              case BF16 ->
                  Float.intBitsToFloat(source.get(ValueLayout.JAVA_SHORT_UNALIGNED, at) << 16);
              case F16 -> Float.float16ToFloat(source.get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
              case I32, I64, BOOL -> throw new IllegalStateException();
            };
      }
      return Literal.of(type, values);
    }
    long[] values = new long[n];
    for (int i = 0; i < n; i++) {
      long at = (long) i * type.dtype().bytes();
      values[i] =
          switch (type.dtype()) {
            case I32 -> source.get(ValueLayout.JAVA_INT_UNALIGNED, at);
            case I64 -> source.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
            case BOOL -> source.get(ValueLayout.JAVA_BYTE, at);
            case F32, F64, BF16, F16 -> throw new IllegalStateException();
          };
    }
    return Literal.of(type, values);
  }
}
