package dev.weft.core.op;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The sum of the losses of a linear layer followed by cross-entropy, computed in chunks of rows so
 * that all logits never exist at once. Inputs: x [n, h], weight [v, h], targets [n] (i64). Output:
 * a scalar, f32 (f64 for f64 inputs).
 *
 * @param chunkRows the most rows of logits at a time
 * @param ignoreIndex the target that does not count
 */
public record LinearCrossEntropy(int chunkRows, long ignoreIndex) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          LinearCrossEntropy.class,
          Example.of(
              new LinearCrossEntropy(2, -1),
              Example.f32(6, 3),
              Example.f32(5, 3),
              Example.in(-1, 5, TensorType.of(DataType.I64, 6))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    return List.of(check(this, inputs, chunkRows));
  }

  /** The type of the sum for inputs that fit. */
  static TensorType check(dev.weft.core.graph.Op op, List<TensorType> inputs, int chunkRows) {
    Check.count(op, inputs, 3);
    Check.rank(op, inputs, 0, 2);
    Check.rank(op, inputs, 1, 2);
    Check.isFloat(op, inputs, 0);
    TensorType x = inputs.getFirst();
    Check.type(op, inputs, 1, x.with(Shape.of(inputs.get(1).size(0), x.size(1))));
    Check.type(op, inputs, 2, TensorType.of(DataType.I64, x.size(0)));
    Check.require(chunkRows >= 1 && x.size(0) >= 1, op, inputs, "chunks must have rows");
    return TensorType.scalar(CrossEntropy.wide(x.dtype()));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.parse("n h!, v! h, n -> ");
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(
        2.0 * inputs.get(0).elements() * inputs.get(1).size(0), inputs, infer(inputs));
  }

  /** The gradient is made with the loss in one pass: the logits are computed once. */
  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    List<Tensor> both =
        Tensor.apply(new LinearCrossEntropyWithGradient(chunkRows, ignoreIndex), adjoint.inputs());
    Tensor dy = adjoint.cotangent();
    Tensor dx = both.get(1);
    Tensor dw = both.get(2);
    return Arrays.asList(dx.times(dy.cast(dx.dtype())), dw.times(dy.cast(dw.dtype())), null);
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.get(0);
    Tensor weight = inputs.get(1);
    long rows = rows(x.size(0), chunkRows);
    int count = Math.toIntExact(x.size(0) / rows);
    DataType wide = CrossEntropy.wide(x.dtype());
    Builder body = x.builder().nested("chunks");
    Value round = body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor sum = input(body, "sum", TensorType.scalar(wide));
    Tensor part = input(body, "x", x.type().with(Shape.of(rows, x.size(1))));
    Tensor targets = input(body, "targets", TensorType.of(DataType.I64, rows));
    Tensor w = input(body, "weight", weight.type());
    Tensor losses = Tensor.one(new CrossEntropy(ignoreIndex), part.matmul(w.transposed()), targets);
    Tensor total = sum.plus(losses.sum());
    body.output(total.value());
    Repeat repeat = new Repeat(body.build(), count, 1, 2, false);
    return Tensor.apply(
        repeat,
        List.of(
            Tensor.constant(x.builder(), wide, 0),
            x.reshape(count, rows, x.size(1)),
            inputs.get(2).reshape(count, rows),
            weight));
  }

  static Tensor input(Builder builder, String name, TensorType type) {
    return new Tensor(builder, builder.input(name, type, Graph.Kind.DATA));
  }

  /** The most rows, at most {@code chunkRows}, that divide the batch into equal chunks. */
  static long rows(long n, int chunkRows) {
    long rows = Math.min(n, chunkRows);
    while (n % rows != 0) {
      rows--;
    }
    return rows;
  }

  /** Targets beyond the end are not counted. */
  @Override
  public double neutral(int input) {
    return input == 2 ? ignoreIndex : 0;
  }
}
