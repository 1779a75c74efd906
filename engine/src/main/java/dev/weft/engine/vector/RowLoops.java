package dev.weft.engine.vector;

import static dev.weft.engine.vector.Native.FLOATS;
import static dev.weft.engine.vector.Native.LANES;

import dev.weft.core.graph.DataType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * One row times a matrix whose columns lie one behind the other, each without gaps. Four columns
 * far from one another are read at a time: by measurement a core reads fastest so, as each of them
 * has its own page, and what is read ahead of it.
 */
public final class RowLoops {
  private RowLoops() {}

  /** An array for a row of k numbers in the order in which the loops read it. */
  public static float[] row(int k) {
    return new float[k];
  }

  /**
   * Takes in a row.
   *
   * @param dtype f32 or bf16
   * @param scale what each number is multiplied by
   */
  public static void read(DataType dtype, long address, float scale, float[] row) {
    if (dtype == DataType.F32) {
      for (int i = 0; i < row.length; i++) {
        row[i] = Native.get(address + 4L * i) * scale;
      }
      return;
    }
    // As vectors of pairs come apart: first the even elements of each, then the odd ones.
    int block = 2 * LANES;
    int whole = row.length - row.length % block;
    for (int first = 0; first < whole; first += block) {
      for (int i = 0; i < LANES; i++) {
        long at = address + 2L * first + 4L * i;
        row[first + i] = Native.getNarrow(at) * scale;
        row[first + LANES + i] = Native.getNarrow(at + 2) * scale;
      }
    }
    for (int i = whole; i < row.length; i++) {
      row[i] = Native.getNarrow(address + 2L * i) * scale;
    }
  }

  /**
   * result = row times matrix + base. Sums in f32.
   *
   * @param dtype of the matrix, f32 or bf16; the row was read with it
   * @param stride bytes from one column to the next
   * @param base address of as many numbers as there are columns, of the result's type; 0 for none
   * @param columns how many to take
   * @param rounded whether the result is bf16, else it is f32
   */
  public static void multiply(
      DataType dtype,
      float[] row,
      long matrix,
      long stride,
      long base,
      long result,
      int columns,
      boolean rounded) {
    int quarter = columns / 4;
    if (dtype == DataType.F32) {
      wide(row, matrix, stride, base, result, quarter, rounded);
    } else {
      narrow(row, matrix, stride, base, result, quarter, rounded);
    }
    for (int column = 4 * quarter; column < columns; column++) {
      long at = matrix + column * stride;
      float sum = dtype == DataType.F32 ? wide(row, at) : narrow(row, at);
      put(base, result, column, sum, rounded);
    }
  }

  private static void wide(
      float[] row, long matrix, long stride, long base, long result, int quarter, boolean rounded) {
    int whole = row.length - row.length % LANES;
    long distance = quarter * stride;
    for (int column = 0; column < quarter; column++) {
      long first = matrix + column * stride;
      long second = first + distance;
      long third = second + distance;
      long fourth = third + distance;
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      int i = 0;
      // Not a loop that Java counts: it would make three of it, too long for so few rounds.
      while (i != whole) {
        FloatVector x = FloatVector.fromArray(FLOATS, row, i);
        a = x.fma(Native.floats(first + 4L * i), a);
        b = x.fma(Native.floats(second + 4L * i), b);
        c = x.fma(Native.floats(third + 4L * i), c);
        d = x.fma(Native.floats(fourth + 4L * i), d);
        i += LANES;
      }
      float sumA = a.reduceLanes(VectorOperators.ADD);
      float sumB = b.reduceLanes(VectorOperators.ADD);
      float sumC = c.reduceLanes(VectorOperators.ADD);
      float sumD = d.reduceLanes(VectorOperators.ADD);
      for (; i < row.length; i++) {
        sumA += row[i] * Native.get(first + 4L * i);
        sumB += row[i] * Native.get(second + 4L * i);
        sumC += row[i] * Native.get(third + 4L * i);
        sumD += row[i] * Native.get(fourth + 4L * i);
      }
      put(base, result, column, sumA, rounded);
      put(base, result, column + quarter, sumB, rounded);
      put(base, result, column + 2 * quarter, sumC, rounded);
      put(base, result, column + 3 * quarter, sumD, rounded);
    }
  }

  private static void narrow(
      float[] row, long matrix, long stride, long base, long result, int quarter, boolean rounded) {
    int whole = row.length - row.length % (2 * LANES);
    long distance = quarter * stride;
    for (int column = 0; column < quarter; column++) {
      long first = matrix + column * stride;
      long second = first + distance;
      long third = second + distance;
      long fourth = third + distance;
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      FloatVector oddA = a;
      FloatVector oddB = a;
      FloatVector oddC = a;
      FloatVector oddD = a;
      int i = 0;
      while (i != whole) {
        FloatVector even = FloatVector.fromArray(FLOATS, row, i);
        FloatVector odd = FloatVector.fromArray(FLOATS, row, i + LANES);
        IntVector pairs = Native.pairs(first + 2L * i);
        a = even.fma(Native.even(pairs), a);
        oddA = odd.fma(Native.odd(pairs), oddA);
        pairs = Native.pairs(second + 2L * i);
        b = even.fma(Native.even(pairs), b);
        oddB = odd.fma(Native.odd(pairs), oddB);
        pairs = Native.pairs(third + 2L * i);
        c = even.fma(Native.even(pairs), c);
        oddC = odd.fma(Native.odd(pairs), oddC);
        pairs = Native.pairs(fourth + 2L * i);
        d = even.fma(Native.even(pairs), d);
        oddD = odd.fma(Native.odd(pairs), oddD);
        i += 2 * LANES;
      }
      float sumA = a.add(oddA).reduceLanes(VectorOperators.ADD);
      float sumB = b.add(oddB).reduceLanes(VectorOperators.ADD);
      float sumC = c.add(oddC).reduceLanes(VectorOperators.ADD);
      float sumD = d.add(oddD).reduceLanes(VectorOperators.ADD);
      for (; i < row.length; i++) {
        sumA += row[i] * Native.getNarrow(first + 2L * i);
        sumB += row[i] * Native.getNarrow(second + 2L * i);
        sumC += row[i] * Native.getNarrow(third + 2L * i);
        sumD += row[i] * Native.getNarrow(fourth + 2L * i);
      }
      put(base, result, column, sumA, rounded);
      put(base, result, column + quarter, sumB, rounded);
      put(base, result, column + 2 * quarter, sumC, rounded);
      put(base, result, column + 3 * quarter, sumD, rounded);
    }
  }

  private static float wide(float[] row, long column) {
    int whole = row.length - row.length % LANES;
    FloatVector sums = FloatVector.zero(FLOATS);
    for (int i = 0; i < whole; i += LANES) {
      sums = FloatVector.fromArray(FLOATS, row, i).fma(Native.floats(column + 4L * i), sums);
    }
    float sum = sums.reduceLanes(VectorOperators.ADD);
    for (int i = whole; i < row.length; i++) {
      sum += row[i] * Native.get(column + 4L * i);
    }
    return sum;
  }

  private static float narrow(float[] row, long column) {
    int whole = row.length - row.length % (2 * LANES);
    FloatVector sums = FloatVector.zero(FLOATS);
    for (int i = 0; i < whole; i += 2 * LANES) {
      IntVector pairs = Native.pairs(column + 2L * i);
      sums = FloatVector.fromArray(FLOATS, row, i).fma(Native.even(pairs), sums);
      sums = FloatVector.fromArray(FLOATS, row, i + LANES).fma(Native.odd(pairs), sums);
    }
    float sum = sums.reduceLanes(VectorOperators.ADD);
    for (int i = whole; i < row.length; i++) {
      sum += row[i] * Native.getNarrow(column + 2L * i);
    }
    return sum;
  }

  private static void put(long base, long result, int column, float sum, boolean rounded) {
    if (rounded) {
      long at = 2L * column;
      Native.setNarrow(result + at, base == 0 ? sum : sum + Native.getNarrow(base + at));
    } else {
      long at = 4L * column;
      Native.set(result + at, base == 0 ? sum : sum + Native.get(base + at));
    }
  }
}
