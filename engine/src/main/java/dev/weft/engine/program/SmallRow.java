package dev.weft.engine.program;

import dev.weft.core.graph.DataType;
import dev.weft.core.op.Rounding;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Function;

/**
 * A few numbers of a tensor, taken out of a device's memory and put back: for work that is done
 * before a call of the library has begun. Computes in f32, and in f64 where many are summed.
 */
final class SmallRow {
  /** The most numbers for which it is faster, also before Java has compiled it. */
  static final int LONGEST = 1024;

  private final MemorySegment memory;
  private final float[] values;
  private final short[] narrow;

  /**
   * A dense tensor in a device's memory.
   *
   * @param dtype f32 or bf16
   */
  SmallRow(MemorySegment memory, DataType dtype, int count) {
    this.memory = memory;
    this.values = new float[count];
    this.narrow = new short[dtype == DataType.BF16 ? count : 0];
  }

  /** Whether there are loops for the type, and so few numbers that they pay. */
  static boolean isFor(DataType dtype, long count) {
    return (dtype == DataType.F32 || dtype == DataType.BF16) && count <= LONGEST;
  }

  void read() {
    if (narrow.length == 0) {
      MemorySegment.copy(memory, ValueLayout.JAVA_FLOAT, 0, values, 0, values.length);
      return;
    }
    MemorySegment.copy(memory, ValueLayout.JAVA_SHORT, 0, narrow, 0, narrow.length);
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(narrow[i] << 16);
    }
  }

  /** Rounds once, to the nearest, halves to even. */
  void write() {
    if (narrow.length == 0) {
      MemorySegment.copy(values, 0, memory, ValueLayout.JAVA_FLOAT, 0, values.length);
      return;
    }
    for (int i = 0; i < values.length; i++) {
      narrow[i] = Rounding.bfloat16Bits(values[i]);
    }
    MemorySegment.copy(narrow, 0, memory, ValueLayout.JAVA_SHORT, 0, narrow.length);
  }

  /** target += factor * addend. */
  static Step sum(SmallRow target, SmallRow addend, int factor) {
    return () -> {
      target.read();
      addend.read();
      target.add(addend, factor);
      target.write();
    };
  }

  private void add(SmallRow other, int factor) {
    float[] addend = other.values;
    for (int i = 0; i < values.length; i++) {
      values[i] += factor * addend[i];
    }
  }

  /** Layer norm of one row; see {@link dev.weft.core.op.LayerNorm}. */
  static Step layerNorm(Command.LayerNorm norm, Function<Operand, SmallRow> rows) {
    SmallRow row = rows.apply(norm.row());
    SmallRow scale = rows.apply(norm.scale());
    SmallRow shift = rows.apply(norm.shift());
    SmallRow result = rows.apply(norm.results().get(0));
    SmallRow mean = rows.apply(norm.results().get(1));
    SmallRow deviation = rows.apply(norm.results().get(2));
    return () -> {
      row.read();
      scale.read();
      shift.read();
      row.normalize(scale, shift, norm.epsilon(), result, mean, deviation);
      result.write();
      mean.write();
      deviation.write();
    };
  }

  private void normalize(
      SmallRow scale,
      SmallRow shift,
      double epsilon,
      SmallRow result,
      SmallRow mean,
      SmallRow deviation) {
    double sum = 0;
    for (float value : values) {
      sum += value;
    }
    double middle = sum / values.length;
    double squares = 0;
    for (float value : values) {
      double distance = value - middle;
      squares += distance * distance;
    }
    double inverse = 1 / Math.sqrt(squares / values.length + epsilon);
    for (int i = 0; i < values.length; i++) {
      result.values[i] =
          (float) ((values[i] - middle) * inverse) * scale.values[i] + shift.values[i];
    }
    mean.values[0] = (float) middle;
    deviation.values[0] = (float) inverse;
  }
}
