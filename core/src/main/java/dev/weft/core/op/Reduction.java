package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;

/** What folding some dims away has in common. */
interface Reduction extends Primitive {
  /** The dims folded away, ascending. */
  List<Integer> dims();

  @Override
  default List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    int rank = inputs.getFirst().rank();
    int before = -1;
    for (int dim : dims()) {
      Check.require(
          dim > before && dim < rank,
          this,
          inputs,
          "dims " + dims() + " must ascend within rank " + rank);
      before = dim;
    }
    return List.of(inputs.getFirst().with(kept(inputs.getFirst().shape())));
  }

  /** The shape that is left. */
  default Shape kept(Shape shape) {
    return Shape.of(keptDims(shape).stream().mapToLong(shape::size).toArray());
  }

  /** The dims that are left, ascending. */
  default List<Integer> keptDims(Shape shape) {
    var kept = new ArrayList<Integer>();
    for (int dim = 0; dim < shape.rank(); dim++) {
      if (!dims().contains(dim)) {
        kept.add(dim);
      }
    }
    return kept;
  }

  @Override
  default Factors factors(List<TensorType> inputs) {
    List<List<String>> all = Factors.named("d", inputs.getFirst().rank());
    List<List<String>> kept = keptDims(inputs.getFirst().shape()).stream().map(all::get).toList();
    return new Factors(List.of(all), List.of(kept), Map.of());
  }

  @Override
  default Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, infer(inputs));
  }

  /** The output's element that each element of the input is folded into. */
  default IntUnaryOperator target(Literal x) {
    long[] sizes = x.shape().sizes();
    long[] strides = new long[sizes.length];
    long stride = 1;
    for (int dim = sizes.length - 1; dim >= 0; dim--) {
      if (!dims().contains(dim)) {
        strides[dim] = stride;
        stride *= sizes[dim];
      }
    }
    return index -> {
      long rest = index;
      long position = 0;
      for (int dim = sizes.length - 1; dim >= 0; dim--) {
        position += rest % sizes[dim] * strides[dim];
        rest /= sizes[dim];
      }
      return (int) position;
    };
  }

  /** The dims as a list in a kernel's text. */
  default String dimsText() {
    return dims().toString().replace(" ", "");
  }
}
