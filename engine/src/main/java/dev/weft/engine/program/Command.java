package dev.weft.engine.program;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A step of a program, its operands placed but not yet bound to addresses. */
sealed interface Command {
  /** What op of the graph it is for. */
  String origin();

  /**
   * A call of the library.
   *
   * @param results where tensors go that the library makes
   * @param serialBlas whether the matrix library must run on one thread meanwhile
   * @param small whether it is too little work for more than one thread
   */
  record Library(
      String origin,
      boolean shim,
      String name,
      String overload,
      List<Slot> arguments,
      List<Optional<Operand>> results,
      boolean serialBlas,
      boolean small)
      implements Command {}

  /** A copy, strides and data types as they are. */
  record Copy(String origin, Operand target, Operand source) implements Command {}

  /**
   * The sum of two tensors, the target being one of them or neither.
   *
   * @param ones a row of them as long as the target's, where what is added says every number of a
   *     row again
   */
  record Add(String origin, Operand target, Operand left, Operand right, @Nullable Operand ones)
      implements Command {}

  /**
   * The difference of two tensors.
   *
   * @param ones as of {@link Add}
   */
  record Subtract(
      String origin, Operand target, Operand left, Operand right, @Nullable Operand ones)
      implements Command {}

  /** One row normalised; see the op. */
  record LayerNorm(
      String origin,
      List<Operand> results,
      Operand row,
      Operand scale,
      Operand shift,
      double epsilon)
      implements Command {}

  /**
   * One row times a matrix whose columns lie one behind the other.
   *
   * @param target [n], without gaps
   * @param base what is added, like the target
   * @param row [k], without gaps
   * @param matrix [k, n]
   */
  record RowProduct(
      String origin, Operand target, @Nullable Operand base, Operand row, Operand matrix)
      implements Command {}

  /** Attention of one query; see the op. Of no operand the last dim has gaps. */
  record CachedAttention(
      String origin,
      Operand target,
      Operand query,
      Operand keys,
      Operand values,
      Operand position,
      double scale)
      implements Command {}

  /** The gelu by tanh of numbers without gaps. */
  record GeluRow(String origin, Operand target, Operand source) implements Command {}

  /** One number everywhere. */
  record Fill(String origin, Operand target, double value) implements Command {}

  /** Random bits; see the op. */
  record RandomBits(String origin, Operand target, List<Operand> key, long site)
      implements Command {}

  /** A run of indices read, or written where {@code update}, from an index known when it runs. */
  record Dynamic(String origin, boolean update, Operand whole, Operand part, Operand index, int dim)
      implements Command {}

  /**
   * The beginning of a collective, whose inputs and outputs are dense.
   *
   * @param number counts the program's collectives in the order of its graph
   */
  record Begin(
      String origin,
      int number,
      dev.weft.core.collective.Collective op,
      List<Operand> targets,
      List<Operand> sources)
      implements Command {}

  /** The end of a collective. */
  record Await(String origin, int number, List<Operand> targets) implements Command {}

  /** An argument of a call, placed. */
  sealed interface Slot {
    record Tensor(Operand operand) implements Slot {}

    record Tensors(List<Operand> operands) implements Slot {}

    record Plain(dev.weft.engine.kernel.KernelArgument argument) implements Slot {}

    record Given(Slot slot) implements Slot {}
  }
}
