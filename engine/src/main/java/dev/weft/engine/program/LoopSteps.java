package dev.weft.engine.program;

import dev.weft.core.graph.DataType;
import dev.weft.engine.device.Crew;
import dev.weft.engine.vector.AttentionLoops;
import dev.weft.engine.vector.Elementary;
import dev.weft.engine.vector.RowLoops;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToLongFunction;

/** Commands that are loops of Weft's own, bound to addresses and shared out among threads. */
final class LoopSteps {
  /** Work on fewer bytes is done before a second thread has found it. */
  private static final long LEAST_BYTES = 1 << 15;

  /** A thread takes at most so many bytes at a time, so that none waits long for another. */
  private static final long MOST_BYTES = 1 << 22;

  /** Parts are so many columns, or a multiple: their results share no line of a cache. */
  private static final int COLUMNS = 32;

  private final Crew crew;
  private final int threads;
  private final Arena arena;
  private final ToLongFunction<Operand> addresses;

  /**
   * Binds commands for one program.
   *
   * @param crew shares the work out
   * @param threads how many there are, with the device's own
   * @param arena what is kept as long as the program is linked
   * @param addresses where an operand's first element stands
   */
  LoopSteps(Crew crew, int threads, Arena arena, ToLongFunction<Operand> addresses) {
    this.crew = crew;
    this.threads = threads;
    this.arena = arena;
    this.addresses = addresses;
  }

  Step product(Command.RowProduct product) {
    Operand matrix = product.matrix();
    DataType dtype = matrix.dtype();
    int n = Math.toIntExact(matrix.shape().size(1));
    long stride = matrix.layout().strides()[1] * dtype.bytes();
    float[] row = RowLoops.row(Math.toIntExact(matrix.shape().size(0)));
    long rowAddress = addresses.applyAsLong(product.row());
    long first = addresses.applyAsLong(matrix);
    long result = addresses.applyAsLong(product.target());
    Operand added = product.base();
    long base = added == null ? 0 : addresses.applyAsLong(added);
    boolean rounded = dtype != DataType.F32;
    int width = width(n, (long) n * row.length * dtype.bytes());
    var parts = new ArrayList<Runnable>();
    for (int from = 0; from < n; from += width) {
      int columns = Math.min(width, n - from);
      long matrixPart = first + from * stride;
      long basePart = base == 0 ? 0 : base + (long) from * dtype.bytes();
      long resultPart = result + (long) from * dtype.bytes();
      parts.add(
          () ->
              RowLoops.multiply(
                  dtype, row, matrixPart, stride, basePart, resultPart, columns, rounded));
    }
    Step work = together(parts);
    return () -> {
      RowLoops.read(dtype, rowAddress, 1, row);
      work.run();
    };
  }

  /** Columns of a part, in all of so many bytes. */
  private int width(int n, long bytes) {
    if (bytes < LEAST_BYTES) {
      return n;
    }
    long parts = Math.max(1, Math.ceilDiv(bytes, threads * MOST_BYTES)) * threads;
    return Math.ceilDiv(Math.toIntExact(Math.ceilDiv(n, parts)), COLUMNS) * COLUMNS;
  }

  Step attention(Command.CachedAttention attention) {
    Operand query = attention.query();
    Operand keys = attention.keys();
    Operand values = attention.values();
    DataType dtype = query.dtype();
    int heads = Math.toIntExact(keys.shape().size(0));
    int places = Math.toIntExact(keys.shape().size(1));
    int size = Math.toIntExact(keys.shape().size(2));
    MemorySegment position =
        MemorySegment.ofAddress(addresses.applyAsLong(attention.position())).reinterpret(8);
    long[] from = heads(query, heads);
    long[] key = heads(keys, heads);
    long[] value = heads(values, heads);
    long[] to = heads(attention.target(), heads);
    long keyStride = stride(keys);
    long valueStride = stride(values);
    float scale = (float) attention.scale();
    var parts = new ArrayList<Runnable>();
    long bytes = 2 * keys.shape().elements() * dtype.bytes();
    int width = bytes < LEAST_BYTES ? heads : Math.ceilDiv(heads, threads);
    for (int begin = 0; begin < heads; begin += width) {
      int first = begin;
      int end = Math.min(heads, begin + width);
      float[] row = RowLoops.row(size);
      long scores = arena.allocate(4L * places, 64).address();
      parts.add(
          () -> {
            long last = Math.clamp(position.get(ValueLayout.JAVA_LONG, 0), 0L, places - 1L);
            for (int head = first; head < end; head++) {
              AttentionLoops.attend(
                  dtype,
                  from[head],
                  scale,
                  row,
                  key[head],
                  keyStride,
                  value[head],
                  valueStride,
                  (int) last + 1,
                  scores,
                  to[head]);
            }
          });
    }
    return together(parts);
  }

  Step gelu(Command.GeluRow gelu) {
    DataType dtype = gelu.source().dtype();
    long from = addresses.applyAsLong(gelu.source());
    long to = addresses.applyAsLong(gelu.target());
    int count = Math.toIntExact(gelu.source().shape().elements());
    return () -> Elementary.gelu(dtype, from, to, count);
  }

  /** Where each head's part of an operand begins. */
  private long[] heads(Operand operand, int heads) {
    long[] result = new long[heads];
    for (int head = 0; head < heads; head++) {
      long offset = head * operand.layout().strides()[0] * operand.dtype().bytes();
      result[head] = addresses.applyAsLong(operand) + offset;
    }
    return result;
  }

  /** Bytes from one key or value to the next. */
  private static long stride(Operand operand) {
    return operand.layout().strides()[1] * operand.dtype().bytes();
  }

  private Step together(List<Runnable> parts) {
    if (parts.size() == 1) {
      Runnable only = parts.getFirst();
      return only::run;
    }
    var job = new Crew.Job(parts);
    return () -> crew.run(job);
  }
}
