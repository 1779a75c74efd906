package dev.weft.core.op;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.List;
import java.util.Set;

/**
 * {@link LinearCrossEntropy} with its gradients by x [n, h] and weight [v, h], made in the same
 * pass over the chunks. Outputs: the sum, the gradient by x, the gradient by the weight.
 *
 * @param chunkRows the most rows of logits at a time
 * @param ignoreIndex the target that does not count
 */
public record LinearCrossEntropyWithGradient(int chunkRows, long ignoreIndex)
    implements Composite, DeadCode.Prunable {
  static final OpEntry ENTRY =
      OpEntry.of(
          LinearCrossEntropyWithGradient.class,
          Example.of(
              new LinearCrossEntropyWithGradient(2, -1),
              Example.f32(6, 3),
              Example.f32(5, 3),
              Example.in(-1, 5, TensorType.of(DataType.I64, 6))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    TensorType sum = LinearCrossEntropy.check(this, inputs, chunkRows);
    return List.of(sum, inputs.get(0), inputs.get(1));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.parse("n h!, v! h, n -> , n h, v h");
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(
        6.0 * inputs.get(0).elements() * inputs.get(1).size(0), inputs, infer(inputs));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.get(0);
    Tensor weight = inputs.get(1);
    long rows = LinearCrossEntropy.rows(x.size(0), chunkRows);
    int count = Math.toIntExact(x.size(0) / rows);
    DataType wide = CrossEntropy.wide(x.dtype());
    Builder body = x.builder().nested("chunks");
    Value round = body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor sum = LinearCrossEntropy.input(body, "sum", TensorType.scalar(wide));
    Tensor gradient = LinearCrossEntropy.input(body, "gradient", weight.type());
    Tensor part = LinearCrossEntropy.input(body, "x", x.type().with(Shape.of(rows, x.size(1))));
    Tensor targets = LinearCrossEntropy.input(body, "targets", TensorType.of(DataType.I64, rows));
    Tensor w = LinearCrossEntropy.input(body, "weight", weight.type());

    CrossEntropy.Targets safe = CrossEntropy.Targets.of(targets, ignoreIndex, wide);
    Tensor logits = part.matmul(w.transposed());
    Tensor logarithms = Tensor.one(new LogSoftmax(1), logits.cast(wide));
    Tensor losses = safe.losses(logarithms);
    Tensor difference = safe.subtractFrom(logarithms.exp()).cast(x.dtype());
    // Ignored rows are zeroed where they are narrow: on both sides of the wide difference.
    Tensor counts = safe.weight().cast(x.dtype()).reshape(rows, 1);
    Tensor dx = difference.matmul(w).times(counts);
    Tensor dw = difference.transposed().matmul(part.times(counts));
    body.output(sum.plus(losses.sum()).value());
    body.output(gradient.plus(dw).value());
    body.output(dx.value());
    Repeat repeat = new Repeat(body.build(), count, 2, 2, false);
    List<Tensor> results =
        Tensor.apply(
            repeat,
            List.of(
                Tensor.constant(x.builder(), wide, 0),
                weight.filled(0),
                x.reshape(count, rows, x.size(1)),
                inputs.get(2).reshape(count, rows),
                weight));
    return List.of(results.get(0), results.get(2).reshape(x.shape()), results.get(1));
  }

  /** Targets beyond the end are not counted. */
  @Override
  public double neutral(int input) {
    return input == 2 ? ignoreIndex : 0;
  }

  /** Where nobody reads a gradient the loss is computed alone. */
  @Override
  public Node prune(Node node, Set<Value> alive) {
    if (alive.contains(node.output(1)) || alive.contains(node.output(2))) {
      return node;
    }
    var loss = new LinearCrossEntropy(chunkRows, ignoreIndex);
    return new Node(loss, node.inputs(), List.of(node.output(0)), node.origin());
  }
}
