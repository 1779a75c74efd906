package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
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

/** The same elements in row-major order in another shape. */
public record Reshape(Shape shape) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Reshape.class,
          Example.of(new Reshape(Shape.of(4, 2, 3)), Example.f32(4, 6)),
          Example.of(new Reshape(Shape.of(6, 4)), Example.f32(2, 3, 2, 2)),
          Example.of(new Reshape(Shape.of(3, 4)), Example.f32(1, 12)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.require(
        inputs.getFirst().elements() == shape.elements(),
        this,
        inputs,
        "expected "
            + shape.elements()
            + " elements for "
            + shape
            + ", found "
            + inputs.getFirst().elements());
    return List.of(inputs.getFirst().with(shape));
  }

  /** Factors by the greatest common splits of both shapes, from the outermost dims inwards. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    Shape from = inputs.getFirst().shape();
    var left = emptyDims(from.rank());
    var right = emptyDims(shape.rank());
    int i = 0;
    int j = 0;
    long restLeft = i < from.rank() ? from.size(i) : 1;
    long restRight = j < shape.rank() ? shape.size(j) : 1;
    int number = 0;
    while (i < from.rank() && j < shape.rank()) {
      if (restLeft <= 1) {
        i++;
        restLeft = i < from.rank() ? from.size(i) : 1;
        continue;
      }
      if (restRight <= 1) {
        j++;
        restRight = j < shape.rank() ? shape.size(j) : 1;
        continue;
      }
      long smaller = Math.min(restLeft, restRight);
      if (restLeft % smaller != 0 || restRight % smaller != 0) {
        return coarse(from);
      }
      String factor = "f" + number++;
      left.get(i).add(factor);
      right.get(j).add(factor);
      restLeft /= smaller;
      restRight /= smaller;
    }
    return new Factors(List.of(frozen(left)), List.of(frozen(right)), Map.of());
  }

  /** Where sizes do not divide: equal leading dims pass, the rest stays whole. */
  private Factors coarse(Shape from) {
    var left = emptyDims(from.rank());
    var right = emptyDims(shape.rank());
    int same = 0;
    while (same < Math.min(from.rank(), shape.rank()) && from.size(same) == shape.size(same)) {
      left.get(same).add("f" + same);
      right.get(same).add("f" + same);
      same++;
    }
    Factors factors = new Factors(List.of(), List.of(), Map.of());
    for (int dim = same; dim < from.rank(); dim++) {
      left.get(dim).add("i" + dim);
      factors = factors.mark("i" + dim, Factors.Mark.WHOLE);
    }
    for (int dim = same; dim < shape.rank(); dim++) {
      right.get(dim).add("o" + dim);
      factors = factors.mark("o" + dim, Factors.Mark.WHOLE);
    }
    return new Factors(List.of(frozen(left)), List.of(frozen(right)), factors.marks());
  }

  private static List<List<String>> emptyDims(int rank) {
    var dims = new ArrayList<List<String>>();
    for (int i = 0; i < rank; i++) {
      dims.add(new ArrayList<>());
    }
    return dims;
  }

  private static List<List<String>> frozen(List<List<String>> dims) {
    return dims.stream().map(List::copyOf).toList();
  }

  @Override
  public Op local(List<TensorType> outputs) {
    return new Reshape(outputs.getFirst().shape());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.NONE;
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    String sizes = inputs.getFirst().shape().toString();
    return List.of(Kernel.of("weft::copy(view(y0, " + sizes + "), x0)"));
  }

  @Override
  public Optional<Strided> view(Strided input) {
    return input.reshape(shape);
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(adjoint.cotangent().reshape(adjoint.input(0).shape()));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    return List.of(inputs.getFirst().reshape(shape));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
