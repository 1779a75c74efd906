package dev.weft.core.conformance;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleBinaryOperator;

/** Cuts tensors along a factor, wherever in their dims it stands, and puts the parts together. */
final class Parts {
  private final List<List<String>> dims;
  private final FactorSizes sizes;
  private final String factor;

  /**
   * The cut of one tensor.
   *
   * @param dims the factors of each of its dims
   */
  Parts(List<List<String>> dims, FactorSizes sizes, String factor) {
    this.dims = dims;
    this.sizes = sizes;
    this.factor = factor;
  }

  boolean isCut() {
    return dims.stream().anyMatch(dim -> dim.contains(factor));
  }

  /** The part where the factor runs from one number (inclusive) to another (exclusive). */
  Literal take(Literal whole, long from, long to) {
    TensorType type = local(whole.type(), to - from);
    Literal part = Literal.filled(type, 0);
    int index = 0;
    for (int position : positions(whole.type(), from, to)) {
      copy(whole, position, part, index++);
    }
    return part;
  }

  /** Writes a part back to its place. */
  void put(Literal part, Literal whole, long from, long to) {
    int index = 0;
    for (int position : positions(whole.type(), from, to)) {
      copy(part, index++, whole, position);
    }
  }

  /** The type with the factor made smaller. */
  TensorType local(TensorType type, long size) {
    long[] changed = type.shape().sizes();
    for (int dim = 0; dim < changed.length; dim++) {
      for (String name : dims.get(dim)) {
        if (name.equals(factor)) {
          changed[dim] = changed[dim] / sizes.size(factor) * size;
        }
      }
    }
    return type.with(Shape.of(changed));
  }

  /** The places of the part's elements in the whole tensor, in the part's order. */
  private List<Integer> positions(TensorType type, long from, long to) {
    List<String> axes = dims.stream().flatMap(List::stream).toList();
    var lengths = new ArrayList<Long>();
    for (int dim = 0; dim < dims.size(); dim++) {
      for (String name : dims.get(dim)) {
        lengths.add(sizes.isKnown(name) ? sizes.size(name) : type.size(dim));
      }
    }
    Shape whole = Shape.of(lengths.stream().mapToLong(Long::longValue).toArray());
    long[] local = whole.sizes();
    long offset = 0;
    for (int axis = 0; axis < local.length; axis++) {
      if (axes.get(axis).equals(factor)) {
        local[axis] = to - from;
        offset += from * whole.strides()[axis];
      }
    }
    var view = new Strided(Shape.of(local), whole.strides(), offset);
    var positions = new ArrayList<Integer>();
    for (long i = 0; i < view.shape().elements(); i++) {
      positions.add(Math.toIntExact(Positions.of(view, i)));
    }
    return positions;
  }

  private static void copy(Literal source, int from, Literal target, int to) {
    if (source.type().dtype().isFloat()) {
      target.doubles()[to] = source.doubles()[from];
    } else {
      target.longs()[to] = source.longs()[from];
    }
  }

  /** Two partial results folded element by element. */
  static Literal fold(Literal a, Literal b, DoubleBinaryOperator operator) {
    Literal folded = Literal.filled(a.type(), 0);
    for (int i = 0; i < a.elements(); i++) {
      double value = operator.applyAsDouble(a.asDouble(i), b.asDouble(i));
      if (a.type().dtype().isFloat()) {
        folded.doubles()[i] = value;
      } else {
        folded.longs()[i] = (long) value;
      }
    }
    return folded;
  }
}
