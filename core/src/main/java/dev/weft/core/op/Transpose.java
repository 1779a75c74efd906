package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The dims in another order.
 *
 * @param permutation dim i of the output is dim {@code permutation[i]} of the input
 */
public record Transpose(List<Integer> permutation) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Transpose.class, Example.of(new Transpose(List.of(2, 0, 1)), Example.f32(2, 3, 4)));

  public Transpose {
    permutation = List.copyOf(permutation);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    int rank = inputs.getFirst().rank();
    Check.require(
        permutation.stream()
            .sorted()
            .toList()
            .equals(java.util.stream.IntStream.range(0, rank).boxed().toList()),
        this,
        inputs,
        "permutation " + permutation + " must name each of the " + rank + " dims once");
    long[] sizes = permutation.stream().mapToLong(d -> inputs.getFirst().size(d)).toArray();
    return List.of(inputs.getFirst().with(Shape.of(sizes)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> dims = Factors.named("d", permutation.size());
    return new Factors(
        List.of(dims), List.of(permutation.stream().map(dims::get).toList()), Map.of());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.NONE;
  }

  @Override
  public Optional<Strided> view(Strided input) {
    long[] sizes = permutation.stream().mapToLong(d -> input.shape().size(d)).toArray();
    long[] strides = permutation.stream().mapToLong(d -> input.strides()[d]).toArray();
    return Optional.of(new Strided(Shape.of(sizes), strides, input.offset()));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    var inverse = new ArrayList<>(permutation);
    for (int i = 0; i < permutation.size(); i++) {
      inverse.set(permutation.get(i), i);
    }
    return List.of(adjoint.cotangent().transpose(inverse));
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
