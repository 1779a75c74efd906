package dev.weft.core.op;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.ShapeException;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.function.Predicate;

/** What ops demand of their inputs; failures name op, argument, expected and found. */
public final class Check {
  private Check() {}

  public static void count(Op op, List<TensorType> inputs, int expected) {
    if (inputs.size() != expected) {
      throw new ShapeException(
          op.name() + ": expected " + expected + " inputs, found " + inputs.size() + " " + inputs);
    }
  }

  public static void rank(Op op, List<TensorType> inputs, int index, int expected) {
    if (inputs.get(index).rank() != expected) {
      throw wrong(op, inputs, index, "a tensor of rank " + expected);
    }
  }

  public static void type(Op op, List<TensorType> inputs, int index, TensorType expected) {
    if (!inputs.get(index).equals(expected)) {
      throw wrong(op, inputs, index, expected.toString());
    }
  }

  public static void dtype(
      Op op, List<TensorType> inputs, int index, Predicate<DataType> fits, String expected) {
    if (!fits.test(inputs.get(index).dtype())) {
      throw wrong(op, inputs, index, expected);
    }
  }

  public static void isFloat(Op op, List<TensorType> inputs, int index) {
    dtype(op, inputs, index, DataType::isFloat, "floating point elements");
  }

  /** All inputs of one type. */
  public static void same(Op op, List<TensorType> inputs) {
    same(op, inputs, inputs.size());
  }

  /** The first inputs, so many, of one type. */
  public static void same(Op op, List<TensorType> inputs, int count) {
    for (int i = 1; i < count; i++) {
      if (!inputs.get(i).equals(inputs.getFirst())) {
        throw wrong(op, inputs, i, inputs.getFirst() + " like argument 0");
      }
    }
  }

  public static void require(boolean condition, Op op, List<TensorType> inputs, String message) {
    if (!condition) {
      throw new ShapeException(op.name() + ": " + message + "; arguments are " + inputs);
    }
  }

  public static ShapeException wrong(Op op, List<TensorType> inputs, int index, String expected) {
    return new ShapeException(
        op.name()
            + ": argument "
            + index
            + " must be "
            + expected
            + ", found "
            + inputs.get(index)
            + "; all arguments are "
            + inputs);
  }
}
