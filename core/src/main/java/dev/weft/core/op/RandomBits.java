package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Random bits that depend on nothing but where they are: inputs seed, step, layer and row (i64
 * scalars). Element (i, rest) of a call with row r equals element (i + r, rest) of one with row 0,
 * so that neither micro-batches nor recomputation change them.
 *
 * @param site which place of the model they are for
 * @param shape the output's shape, of i32
 */
public record RandomBits(long site, Shape shape) implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          RandomBits.class,
          Example.of(
              new RandomBits(7, Shape.of(4, 6)),
              Example.indices(99),
              Example.indices(99),
              Example.indices(9),
              Example.indices(9)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 4);
    for (int i = 0; i < 4; i++) {
      Check.type(this, inputs, i, TensorType.scalar(DataType.I64));
    }
    return List.of(new TensorType(DataType.I32, shape));
  }

  /** Split only along dim 0, by moving the row; the other dims count into the position. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    Factors factors =
        new Factors(
            List.of(List.of(), List.of(), List.of(), List.of()),
            List.of(Factors.named("d", shape.rank())),
            Map.of());
    for (int dim = 0; dim < shape.rank(); dim++) {
      factors = factors.mark("d" + dim, Factors.Mark.WHOLE);
    }
    return factors;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(12.0 * shape.elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::random_bits(y0, x0, x1, x2, x3, " + site + ")"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    int n = Math.toIntExact(shape.elements());
    long inner = shape.rank() == 0 ? 1 : shape.product(1, shape.rank());
    long key =
        Philox.key(
            inputs.get(0).longs()[0], site, inputs.get(1).longs()[0], inputs.get(2).longs()[0]);
    int[] bits = new int[n];
    Philox.fill(key, inputs.get(3).longs()[0] * inner, bits);
    return List.of(
        Literal.of(
            infer(inputs.stream().map(Literal::type).toList()).getFirst(),
            Arrays.stream(bits).asLongStream().toArray()));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return factor.equals("d0");
  }

  /** The rows of the part. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    var moved = new ArrayList<>(inputs);
    moved.set(3, inputs.get(3).plus(part.start()));
    return Tensor.apply(new RandomBits(site, outputs.getFirst().shape()), moved);
  }
}
