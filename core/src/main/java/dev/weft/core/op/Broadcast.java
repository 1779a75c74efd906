package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A tensor repeated along new dims.
 *
 * @param shape the shape of the output
 * @param dims the dim of the output that each dim of the input becomes, ascending; the sizes are
 *     equal
 */
public record Broadcast(Shape shape, List<Integer> dims) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Broadcast.class,
          Example.of(new Broadcast(Shape.of(2, 3), List.of()), Example.f32()),
          Example.of(new Broadcast(Shape.of(2, 3, 4), List.of(0, 2)), Example.f32(2, 4)),
          Example.of(
              new Broadcast(Shape.of(2, 3), List.of(1)),
              Example.in(0, 9, TensorType.of(DataType.I64, 3))));

  public Broadcast {
    dims = List.copyOf(dims);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.rank(this, inputs, 0, dims.size());
    int before = -1;
    for (int i = 0; i < dims.size(); i++) {
      int dim = dims.get(i);
      Check.require(
          dim > before && dim < shape.rank(),
          this,
          inputs,
          "dims " + dims + " must ascend within the rank of " + shape);
      Check.require(
          inputs.getFirst().size(i) == shape.size(dim),
          this,
          inputs,
          "dim " + i + " must have size " + shape.size(dim) + " of dim " + dim + " of " + shape);
      before = dim;
    }
    return List.of(inputs.getFirst().with(shape));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> result = Factors.named("d", shape.rank());
    return new Factors(List.of(dims.stream().map(result::get).toList()), List.of(result), Map.of());
  }

  @Override
  public Op local(List<TensorType> outputs) {
    return new Broadcast(outputs.getFirst().shape(), dims);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.NONE;
  }

  @Override
  public Optional<Strided> view(Strided input) {
    long[] strides = new long[shape.rank()];
    for (int i = 0; i < dims.size(); i++) {
      strides[dims.get(i)] = input.strides()[i];
    }
    return Optional.of(new Strided(shape, strides, input.offset()));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    var summed = new ArrayList<Integer>();
    for (int dim = 0; dim < shape.rank(); dim++) {
      if (!dims.contains(dim)) {
        summed.add(dim);
      }
    }
    return List.of(adjoint.cotangent().sum(summed));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    return List.of(Gathering.strided(x, view(Strided.dense(x.shape())).orElseThrow()));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
