package dev.weft.core.graph;

import dev.weft.core.cluster.DeviceKind;
import java.util.List;
import java.util.Optional;

/**
 * An operation on tensors with all that the passes need to know of it. An op is a record: its
 * components are its attributes, written in the text form by their names.
 */
public interface Op {
  /** The name in the text form; the class name in snake case. */
  default String name() {
    return nameOf(getClass());
  }

  /** The name of ops of a class that says no other: its own in snake case. */
  static String nameOf(Class<? extends Op> type) {
    String simple = type.getSimpleName();
    var name = new StringBuilder(simple.length() + 4);
    for (int i = 0; i < simple.length(); i++) {
      char letter = simple.charAt(i);
      if (Character.isUpperCase(letter) && i > 0) {
        name.append('_');
      }
      name.append(Character.toLowerCase(letter));
    }
    return name.toString();
  }

  /**
   * The types of the outputs.
   *
   * @throws ShapeException if the inputs do not fit: names op, argument, expected and found
   */
  List<TensorType> infer(List<TensorType> inputs);

  /** How the dims of inputs and outputs correspond. */
  Factors factors(List<TensorType> inputs);

  /** Operations and bytes of one application. */
  Cost cost(List<TensorType> inputs);

  /**
   * The ways a library can compute this op on a kind of device, the one to prefer first. Empty
   * where there is none: the op is then expanded, or is a view.
   */
  default List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of();
  }

  /**
   * A way to add the op's only output to a value of the same type, {@code b} in the kernel's text;
   * {@code y0} may share memory with it.
   */
  default Optional<Kernel> accumulate(DeviceKind kind, List<TensorType> inputs) {
    return Optional.empty();
  }

  /**
   * The output as a view of the first input's memory, where this op moves no data and the strides
   * allow it.
   */
  default Optional<Strided> view(Strided input) {
    return Optional.empty();
  }

  /**
   * The op that makes one part of this one's outputs from the parts of its inputs, when dims are
   * split along factors. An op whose attributes say sizes of its tensors gives itself with those of
   * the part.
   *
   * @param outputs the types of the part's outputs
   */
  default Op local(List<TensorType> outputs) {
    return this;
  }

  /**
   * Groups of inputs that the op is linear in together, the other inputs held: applied to parts of
   * these that sum to the whole, it gives parts that sum to the result.
   */
  default List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of();
  }

  /**
   * What elements of an input count as that lie beyond the end of a tile, where the op folds a
   * split factor away by sums.
   */
  default double neutral(int input) {
    return 0;
  }

  /** The graphs that this op runs. */
  default List<Graph> bodies() {
    return List.of();
  }
}
