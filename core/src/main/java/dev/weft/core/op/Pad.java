package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
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
 * A tensor with a number added around it.
 *
 * @param low how many elements before each dim
 * @param high how many behind
 * @param value the number
 */
public record Pad(List<Long> low, List<Long> high, double value) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Pad.class,
          Example.of(new Pad(List.of(0L, 1L), List.of(0L, 2L), 0.5), Example.f32(3, 4)),
          Example.of(new Pad(List.of(1L, 0L), List.of(2L, 0L), 0), Example.f32(3, 4)));

  public Pad {
    low = List.copyOf(low);
    high = List.copyOf(high);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Shape shape = inputs.getFirst().shape();
    Check.require(
        low.size() == shape.rank() && high.size() == shape.rank(),
        this,
        inputs,
        "low and high must name " + shape.rank() + " dims");
    long[] sizes = shape.sizes();
    for (int dim = 0; dim < sizes.length; dim++) {
      Check.require(
          low.get(dim) >= 0 && high.get(dim) >= 0, this, inputs, "padding must not be negative");
      sizes[dim] += low.get(dim) + high.get(dim);
    }
    return List.of(inputs.getFirst().with(Shape.of(sizes)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var from = new ArrayList<List<String>>();
    var to = new ArrayList<List<String>>();
    Factors marks = new Factors(List.of(), List.of(), Map.of());
    for (int dim = 0; dim < low.size(); dim++) {
      boolean none = low.get(dim) == 0 && high.get(dim) == 0;
      from.add(List.of(none ? "d" + dim : "i" + dim));
      to.add(List.of(none ? "d" + dim : "o" + dim));
      if (!none) {
        marks = marks.mark("i" + dim, Factors.Mark.WHOLE).mark("o" + dim, Factors.Mark.WHOLE);
      }
    }
    return new Factors(List.of(from), List.of(to), marks.marks());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    long[] limits = inputs.getFirst().shape().sizes();
    for (int dim = 0; dim < limits.length; dim++) {
      limits[dim] += low.get(dim);
    }
    long[] ones = new long[limits.length];
    Arrays.fill(ones, 1);
    String inner =
        "slice(y0, %s, %s, %s)"
            .formatted(low, Arrays.toString(limits), Arrays.toString(ones))
            .replace(" ", "");
    return List.of(Kernel.of("weft::fill(y0, " + value + ")", "weft::copy(" + inner + ", x0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.cotangent();
    for (int dim = 0; dim < low.size(); dim++) {
      dy = dy.slice(dim, low.get(dim), low.get(dim) + adjoint.input(0).size(dim));
    }
    return List.of(dy);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    TensorType type = infer(List.of(x.type())).getFirst();
    Literal y = Literal.filled(type, value);
    long[] sizes = x.shape().sizes();
    long[] strides = type.shape().strides();
    for (int i = 0; i < x.elements(); i++) {
      long rest = i;
      long position = 0;
      for (int dim = sizes.length - 1; dim >= 0; dim--) {
        position += (rest % sizes[dim] + low.get(dim)) * strides[dim];
        rest /= sizes[dim];
      }
      if (type.dtype().isFloat()) {
        y.doubles()[(int) position] = x.doubles()[i];
      } else {
        y.longs()[(int) position] = x.longs()[i];
      }
    }
    return List.of(y);
  }
}
