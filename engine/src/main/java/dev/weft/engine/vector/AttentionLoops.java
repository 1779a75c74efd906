package dev.weft.engine.vector;

import static dev.weft.engine.vector.Native.FLOATS;
import static dev.weft.engine.vector.Native.LANES;

import dev.weft.core.graph.DataType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Attention of one head's query to the keys and values in a cache. */
public final class AttentionLoops {
  private AttentionLoops() {}

  /**
   * The weighted sum of the values that a query sees.
   *
   * @param dtype of query, keys, values and result, f32 or bf16
   * @param scale what scores are multiplied by
   * @param query an array for it, as long as a key
   * @param keys address of the first; a key has no gaps
   * @param keyStride bytes from one to the next
   * @param values address of the first; a value has no gaps
   * @param valueStride bytes from one to the next
   * @param seen how many of both there are, at least one
   * @param scores address of memory for as many f32
   */
  public static void attend(
      DataType dtype,
      long queryAddress,
      float scale,
      float[] query,
      long keys,
      long keyStride,
      long values,
      long valueStride,
      int seen,
      long scores,
      long result) {
    RowLoops.read(dtype, queryAddress, scale, query);
    RowLoops.multiply(dtype, query, keys, keyStride, 0, scores, seen, false);
    float share = 1 / exponentials(scores, seen);
    if (dtype == DataType.F32) {
      wide(scores, seen, share, values, valueStride, query.length, result);
    } else {
      narrow(scores, seen, share, values, valueStride, query.length, result);
    }
  }

  /** Replaces scores by their exponentials, the largest being one; gives their sum. */
  private static float exponentials(long scores, int count) {
    float largest = Float.NEGATIVE_INFINITY;
    FloatVector most = FloatVector.broadcast(FLOATS, largest);
    int whole = count - count % LANES;
    for (int i = 0; i < whole; i += LANES) {
      most = most.max(Native.floats(scores + 4L * i));
    }
    largest = most.reduceLanes(VectorOperators.MAX);
    for (int i = whole; i < count; i++) {
      largest = Math.max(largest, Native.get(scores + 4L * i));
    }
    FloatVector sums = FloatVector.zero(FLOATS);
    for (int i = 0; i < whole; i += LANES) {
      FloatVector power = Elementary.exp(Native.floats(scores + 4L * i).sub(largest));
      Native.store(power, scores + 4L * i);
      sums = sums.add(power);
    }
    float sum = sums.reduceLanes(VectorOperators.ADD);
    for (int i = whole; i < count; i++) {
      float power = (float) Math.exp(Native.get(scores + 4L * i) - largest);
      Native.set(scores + 4L * i, power);
      sum += power;
    }
    return sum;
  }

  private static void wide(
      long weights, int seen, float share, long values, long stride, int size, long result) {
    int at = 0;
    for (; at + 4 * LANES <= size; at += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      for (int i = 0; i < seen; i++) {
        FloatVector weight = FloatVector.broadcast(FLOATS, Native.get(weights + 4L * i));
        long value = values + i * stride + 4L * at;
        a = weight.fma(Native.floats(value), a);
        b = weight.fma(Native.floats(value + 4L * LANES), b);
        c = weight.fma(Native.floats(value + 8L * LANES), c);
        d = weight.fma(Native.floats(value + 12L * LANES), d);
      }
      long to = result + 4L * at;
      Native.store(a.mul(share), to);
      Native.store(b.mul(share), to + 4L * LANES);
      Native.store(c.mul(share), to + 8L * LANES);
      Native.store(d.mul(share), to + 12L * LANES);
    }
    for (; at + LANES <= size; at += LANES) {
      FloatVector sums = FloatVector.zero(FLOATS);
      for (int i = 0; i < seen; i++) {
        FloatVector weight = FloatVector.broadcast(FLOATS, Native.get(weights + 4L * i));
        sums = weight.fma(Native.floats(values + i * stride + 4L * at), sums);
      }
      Native.store(sums.mul(share), result + 4L * at);
    }
    for (; at < size; at++) {
      float sum = 0;
      for (int i = 0; i < seen; i++) {
        sum += Native.get(weights + 4L * i) * Native.get(values + i * stride + 4L * at);
      }
      Native.set(result + 4L * at, sum * share);
    }
  }

  private static void narrow(
      long weights, int seen, float share, long values, long stride, int size, long result) {
    int at = 0;
    for (; at + 4 * LANES <= size; at += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector oddA = a;
      FloatVector oddB = a;
      for (int i = 0; i < seen; i++) {
        FloatVector weight = FloatVector.broadcast(FLOATS, Native.get(weights + 4L * i));
        long value = values + i * stride + 2L * at;
        IntVector pairs = Native.pairs(value);
        a = weight.fma(Native.even(pairs), a);
        oddA = weight.fma(Native.odd(pairs), oddA);
        pairs = Native.pairs(value + 4L * LANES);
        b = weight.fma(Native.even(pairs), b);
        oddB = weight.fma(Native.odd(pairs), oddB);
      }
      Elementary.put(a, oddA, share, result + 2L * at);
      Elementary.put(b, oddB, share, result + 2L * at + 4L * LANES);
    }
    for (; at + 2 * LANES <= size; at += 2 * LANES) {
      FloatVector sums = FloatVector.zero(FLOATS);
      FloatVector odd = sums;
      for (int i = 0; i < seen; i++) {
        FloatVector weight = FloatVector.broadcast(FLOATS, Native.get(weights + 4L * i));
        IntVector pairs = Native.pairs(values + i * stride + 2L * at);
        sums = weight.fma(Native.even(pairs), sums);
        odd = weight.fma(Native.odd(pairs), odd);
      }
      Elementary.put(sums, odd, share, result + 2L * at);
    }
    for (; at < size; at++) {
      float sum = 0;
      for (int i = 0; i < seen; i++) {
        sum += Native.get(weights + 4L * i) * Native.getNarrow(values + i * stride + 2L * at);
      }
      Native.setNarrow(result + 2L * at, sum * share);
    }
  }
}
