package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.TensorType;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The loss of each row: minus the logarithm of the softmax of logits [n, v] at targets [n] (i64).
 * The losses are f32 (f64 for f64 logits), and zero where the target is the ignored one.
 *
 * @param ignoreIndex the target that does not count; it may lie outside of 0 to v - 1
 */
public record CrossEntropy(long ignoreIndex) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          CrossEntropy.class,
          Example.of(new CrossEntropy(-1), Example.f32(6, 5), Example.indices(5, 6)),
          Example.of(
              new CrossEntropy(-1),
              Example.f32(6, 5),
              Example.in(-1, 5, TensorType.of(DataType.I64, 6))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.rank(this, inputs, 0, 2);
    Check.isFloat(this, inputs, 0);
    long rows = inputs.getFirst().size(0);
    Check.type(this, inputs, 1, TensorType.of(DataType.I64, rows));
    return List.of(TensorType.of(wide(inputs.getFirst().dtype()), rows));
  }

  /** The type that sums are made in. */
  static DataType wide(DataType dtype) {
    return dtype == DataType.F64 ? DataType.F64 : DataType.F32;
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.parse("n v!, n -> n");
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(12.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor logits = adjoint.input(0);
    Targets targets = Targets.of(adjoint.input(1), ignoreIndex, wide(logits.dtype()));
    Tensor logarithms = logarithms(logits);
    Tensor difference = targets.subtractFrom(logarithms.exp());
    Tensor scale = adjoint.cotangent().times(targets.weight()).reshape(logits.size(0), 1);
    return Arrays.asList(difference.times(scale).cast(logits.dtype()), null);
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor logits = inputs.getFirst();
    Targets targets = Targets.of(inputs.get(1), ignoreIndex, wide(logits.dtype()));
    return List.of(targets.losses(logarithms(logits)));
  }

  private static Tensor logarithms(Tensor logits) {
    return Tensor.one(new LogSoftmax(1), logits.cast(wide(logits.dtype())));
  }

  /**
   * Targets made safe to index with.
   *
   * @param column [n, 1], 0 where ignored
   * @param weight [n], 1 where the row counts, 0 where it is ignored
   */
  record Targets(Tensor column, Tensor weight) {
    static Targets of(Tensor targets, long ignoreIndex, DataType dtype) {
      Tensor counts = targets.notEqualTo(ignoreIndex);
      Tensor safe = Tensor.where(counts, targets, targets.filled(0));
      return new Targets(safe.reshape(targets.size(0), 1), counts.cast(dtype));
    }

    /** The losses [n] for the logarithms of probabilities [n, v]. */
    Tensor losses(Tensor logarithms) {
      Tensor picked = Tensor.one(new Gather(1), logarithms, column).reshape(weight.shape());
      return picked.times(weight).negate();
    }

    /** Probabilities less one at the target: the gradient by the logits. */
    Tensor subtractFrom(Tensor probabilities) {
      Tensor minusOne = probabilities.scalar(-1).broadcast(column.shape(), List.of());
      return Tensor.one(new ScatterAdd(1), probabilities, column, minusOne);
    }
  }
}
